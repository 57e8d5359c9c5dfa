package stage_test

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

var modelSeeds = flag.Int("model.seeds", 700, "how many seeds each of the model tests tries")

// model is the reference: plain lists, no stage. Events are numbered as they are
// emitted, so that an event is its own sequence number.
type model struct {
	kind     string
	limit    int
	keep     stage.Keep
	capacity int // of the partitions
	paused   bool
	told     int
	queue    []int   // the stage's buffer
	held     [][]int // by partition
	takers   []*taker
	next     int
	lost     map[int]bool
	ended    map[int]int // events that are finished: how often they were reported so
	copies   map[int]int // how many still have an event
	shared   map[int]bool
	returned map[int]bool
	given    map[int]int // deliveries by event
	gone     int64       // abandoned deliveries
	leaving  int         // handed out in this step, without it being said to whom
}

// taker is a subscriber, in the model and in fact.
type taker struct {
	name       string
	w          *pool
	c          *stage.ConsumerStage[int]
	sub        *stage.Subscription[int]
	partition  int
	redeliver  bool
	live       bool // is being delivered to
	asked, got int
	events     []int          // expected, by position
	flight     map[uint64]int // positions without a receipt
	expected   []int          // of this step
	seen       int
}

const modelPartitions = 3

func (m *model) home(event int) (int, bool) { return event % modelPartitions, event%7 != 0 }

func (m *model) liveTakers() []*taker {
	var all []*taker
	for _, k := range m.takers {
		if k.live {
			all = append(all, k)
		}
	}
	return all
}

func (m *model) give(k *taker, event int) {
	k.flight[uint64(len(k.events))] = event
	k.events = append(k.events, event)
	k.expected = append(k.expected, event)
	k.got++
	m.given[event]++
}

func (m *model) heldCount() int {
	n := 0
	for _, q := range m.held {
		n += len(q)
	}
	return n
}

// demand is the takers' demand beyond the held events.
func (m *model) demand() int {
	live := m.liveTakers()
	switch {
	case len(live) == 0:
		return 0
	case m.kind == "broadcast":
		least := live[0].asked - live[0].got
		for _, k := range live {
			least = min(least, k.asked-k.got)
		}
		return least
	}
	n := 0
	for _, k := range live {
		open := k.asked - k.got
		if m.kind == "partition" {
			open = max(0, open-len(m.held[k.partition]))
		}
		n += open
	}
	if m.kind == "partition" {
		n = min(n, max(0, m.capacity-m.heldCount()))
	}
	return n - m.leaving
}

// deliver hands out what can be handed out. With the demand dispatcher the model
// does not say to whom, only how many of the queue's first events go.
func (m *model) deliver() (first []int) {
	if m.paused {
		return nil
	}
	switch m.kind {
	case "demand":
		n := min(len(m.queue), m.demand())
		first, m.queue = m.queue[:n:n], m.queue[n:]
		m.leaving += n
	case "broadcast":
		live := m.liveTakers()
		n := min(len(m.queue), m.demand())
		for _, event := range m.queue[:n] {
			m.copies[event] = len(live)
			m.shared[event] = len(live) > 1
			for _, k := range live {
				m.give(k, event)
			}
		}
		m.queue = m.queue[n:]
	case "partition":
		m.sort()
	}
	return first
}

func (m *model) sort() {
	of := map[int]*taker{}
	for _, k := range m.liveTakers() {
		of[k.partition] = k
		for len(m.held[k.partition]) > 0 && k.got < k.asked {
			m.give(k, m.held[k.partition][0])
			m.held[k.partition] = m.held[k.partition][1:]
		}
	}
	for len(m.queue) > 0 {
		open := 0
		for _, k := range of {
			open += k.asked - k.got
		}
		event := m.queue[0]
		p, ok := m.home(event)
		k := of[p]
		switch {
		case open == 0:
			return
		case !ok:
			m.lose(event)
		case k != nil && k.got < k.asked:
			m.give(k, event)
		case m.heldCount() < m.capacity:
			m.held[p] = append(m.held[p], event)
		default:
			return
		}
		m.queue = m.queue[1:]
	}
}

func (m *model) lose(event int) {
	m.lost[event] = true
	m.ended[event]++
}

// push appends events and returns the events of the queue that went first; then the
// buffer's policy drops the excess.
func (m *model) push(n int) (first []int) {
	var before int
	for range n {
		m.queue = append(m.queue, m.next)
		m.next++
	}
	m.told = max(0, m.told-n)
	first = m.deliver()
	newcomers := min(n, len(m.queue))
	before = len(m.queue) - newcomers
	if m.keep == stage.KeepFirst {
		kept := before + min(newcomers, max(0, m.limit-before))
		for _, event := range m.queue[kept:] {
			m.lose(event)
		}
		m.queue = m.queue[:kept]
		return first
	}
	if excess := len(m.queue) - m.limit; excess > 0 && newcomers > 0 {
		for _, event := range m.queue[:excess] {
			m.lose(event)
		}
		m.queue = m.queue[excess:]
	}
	return first
}

// finish ends a taker's delivery.
func (m *model) finish(k *taker, position uint64, dead, crashed bool) (back int, ok bool) {
	event := k.flight[position]
	delete(k.flight, position)
	if m.kind == "broadcast" {
		m.copies[event]--
	}
	if dead && k.redeliver && !m.shared[event] && !(crashed && m.returned[event]) {
		m.given[event]--
		m.returned[event] = m.returned[event] || crashed
		return event, true
	}
	if dead {
		m.gone++
	}
	if m.kind != "broadcast" || m.copies[event] == 0 {
		m.ended[event]++
	}
	return 0, false
}

// die gives back what a taker had, or counts it as abandoned.
func (m *model) die(k *taker, crashes bool) {
	k.live = false
	var back []int
	for _, position := range slices.Sorted(maps.Keys(k.flight)) {
		if event, ok := m.finish(k, position, true, crashes); ok {
			back = append(back, event)
		}
	}
	m.takers = slices.DeleteFunc(m.takers, func(other *taker) bool { return other == k })
	if m.kind == "partition" {
		m.held[k.partition] = append(back, m.held[k.partition]...)
		return
	}
	m.queue = append(back, m.queue...)
	slices.Sort(m.queue)
}

// modelRun drives a stage and its model with the same steps.
type modelRun struct {
	t    *testing.T
	rng  *rand.Rand
	m    *model
	src  *acking
	p    *stage.ProducerStage[int]
	kind string
	acks bool // the source wants receipts
	log  []string
}

func TestModelDemand(t *testing.T)    { runModel(t, "demand") }
func TestModelBroadcast(t *testing.T) { runModel(t, "broadcast") }
func TestModelPartition(t *testing.T) { runModel(t, "partition") }

func runModel(t *testing.T, kind string) {
	seeds := *modelSeeds
	if testing.Short() {
		seeds /= 20
	}
	for seed := range seeds {
		ok := true
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
					ok = false
				}
			}()
			newModelRun(t, kind, uint64(seed)).steps(50)
		})
		if !ok {
			return
		}
	}
}

func newModelRun(t *testing.T, kind string, seed uint64) *modelRun {
	rng := rand.New(rand.NewPCG(seed, 3))
	r := &modelRun{t: t, rng: rng, kind: kind, src: &acking{}, m: &model{
		kind: kind, limit: 1 + rng.IntN(12), capacity: 1 + rng.IntN(8), keep: stage.Keep(rng.IntN(3)),
		held: make([][]int, modelPartitions), lost: map[int]bool{}, ended: map[int]int{},
		copies: map[int]int{}, shared: map[int]bool{}, returned: map[int]bool{}, given: map[int]int{},
	}}
	if r.m.keep == stage.KeepAll {
		r.m.limit = stage.Unlimited
	}
	cfg := stage.ProducerConfig[int]{BufferSize: r.m.limit, Keep: r.m.keep}
	switch kind {
	case "broadcast":
		cfg.Dispatcher = dispatcher.NewBroadcast[int]()
	case "partition":
		cfg.Dispatcher = stage.Must(dispatcher.NewPartition(modelPartitions, r.m.home, dispatcher.PartitionConfig{Capacity: r.m.capacity}))
	}
	if r.acks = rng.IntN(3) > 0; r.acks {
		r.p = producer(r.src, cfg)
	} else {
		r.p = producer(&r.src.source, cfg)
	}
	start(t, r.p)
	return r
}

func (r *modelRun) note(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *modelRun) fatal(format string, args ...any) {
	r.t.Helper()
	r.t.Fatalf(format+"\nafter %v", append(args, r.log)...)
}

func (r *modelRun) steps(n int) {
	for range n {
		var first []int
		live := r.m.liveTakers()
		switch op := r.rng.IntN(20); {
		case op < 2 || len(r.m.takers) == 0:
			r.subscribe()
		case op < 7 && len(live) > 0:
			k, n := live[r.rng.IntN(len(live))], 1+r.rng.IntN(6)
			r.note("%s asks %d", k.name, n)
			k.asked += n
			if err := k.sub.Ask(n); err != nil {
				r.fatal("%v", err)
			}
		case op < 12:
			n := 1 + r.rng.IntN(8)
			r.note("push %d", n)
			next := r.m.next
			first = r.m.push(n)
			r.p.Do(func() {
				for i := range n {
					r.src.emit.Emit(next + i)
				}
			})
		case op < 16:
			r.settle(r.m.takers[r.rng.IntN(len(r.m.takers))])
		case op == 16 && len(live) > 0:
			k := live[r.rng.IntN(len(live))]
			r.note("%s cancels", k.name)
			k.live = false
			k.sub.Cancel(nil)
		case op == 17:
			k := r.m.takers[r.rng.IntN(len(r.m.takers))]
			crashes := r.rng.IntN(2) == 0
			r.note("%s dies, crashes %v", k.name, crashes)
			r.m.die(k, crashes)
			if crashes {
				k.c.Do(func() { panic(errOops) })
			} else {
				k.c.Stop(errOops)
			}
		case op == 18:
			r.m.paused = !r.m.paused
			r.note("paused %v", r.m.paused)
			mode := stage.Forward
			if r.m.paused {
				mode = stage.Accumulate
			}
			r.p.SetDemand(mode)
		}
		r.check(append(first, r.m.deliver()...))
	}
}

func (r *modelRun) subscribe() {
	partition := r.rng.IntN(modelPartitions)
	for _, k := range r.m.takers {
		if len(r.m.takers) > 4 || r.kind == "partition" && k.partition == partition {
			return
		}
	}
	k := &taker{
		name: fmt.Sprint("C", len(r.log)), w: &pool{}, partition: partition,
		redeliver: r.rng.IntN(2) == 0, live: true, flight: map[uint64]int{},
	}
	k.c = consumer(k.w, k.name)
	r.note("%s subscribes, redeliver %v", k.name, k.redeliver)
	cfg := stage.SubscribeConfig{Manual: true, Cancel: stage.Temporary, Redeliver: k.redeliver}
	if r.kind == "partition" {
		cfg.Partition = partition
	}
	k.sub = subscribe(r.t, k.c, r.p, cfg)
	r.m.takers = append(r.m.takers, k)
	start(r.t, k.c)
}

func (r *modelRun) settle(k *taker) {
	open := slices.Sorted(maps.Keys(k.flight))
	r.rng.Shuffle(len(open), func(i, j int) { open[i], open[j] = open[j], open[i] })
	open = open[:r.rng.IntN(len(open)+1)]
	var err error
	if r.rng.IntN(3) == 0 {
		err = errOops
	}
	r.note("%s finishes %v", k.name, open)
	var list []stage.Finished
	for _, position := range open {
		r.m.finish(k, position, false, false)
		list = append(list, stage.Finished{Position: position, Err: err})
	}
	ask := 0
	if k.live {
		ask = r.rng.IntN(3)
		k.asked += ask
	}
	k.sub.Settle(ask, list...)
}

// check compares the stage with the model when nothing moves any more. first
// are the events that the model has handed out without saying to whom.
func (r *modelRun) check(first []int) {
	r.t.Helper()
	synctest.Wait()
	r.m.leaving = 0
	var arrived []int
	for _, k := range r.m.takers {
		events := slices.Concat(k.w.batches...)
		fresh := events[k.seen:]
		k.seen = len(events)
		if r.kind == "demand" {
			arrived = append(arrived, fresh...)
			at := -1
			for _, event := range fresh {
				i := slices.Index(first, event)
				if i <= at {
					r.fatal("%s gets %v out of %v", k.name, fresh, first)
				}
				at = i
				r.m.give(k, event)
			}
		} else if !slices.Equal(fresh, k.expected) {
			r.fatal("%s gets %v, want %v", k.name, fresh, k.expected)
		}
		k.expected = nil
		if k.got > k.asked {
			r.fatal("%s has asked for %d and got %d", k.name, k.asked, k.got)
		}
	}
	if r.kind == "demand" {
		slices.SortFunc(arrived, func(a, b int) int { return cmp.Compare(slices.Index(first, a), slices.Index(first, b)) })
		if !slices.Equal(arrived, first) {
			r.fatal("delivered %v, want %v", arrived, first)
		}
	}
	if want := r.m.demand() - r.m.told - len(r.m.queue); want > 0 && !r.m.paused {
		r.m.told += want
	}
	got := snap(r.t, r.p)
	delivered := 0
	for _, n := range r.m.given {
		delivered += min(n, 1)
	}
	want := stage.Snapshot{
		Demand: r.m.demand(), Pending: r.m.told, Buffered: len(r.m.queue) + r.m.heldCount(),
		Emitted: int64(r.m.next), Delivered: int64(delivered), Abandoned: r.m.gone,
	}
	have := stage.Snapshot{
		Demand: got.Demand, Pending: got.Pending, Buffered: got.Buffered,
		Emitted: got.Emitted, Delivered: got.Delivered, Abandoned: got.Abandoned,
	}
	if fmt.Sprint(have) != fmt.Sprint(want) {
		r.fatal("the stage has %+v\nthe model has %+v", have, want)
	}
	r.receipts()
}

// receipts checks that each finished event was reported once, and no other.
func (r *modelRun) receipts() {
	if !r.acks {
		return
	}
	seen := map[int]int{}
	for _, receipt := range r.src.receipts {
		for seq := range receipt.Seqs() {
			seen[int(seq)]++
		}
	}
	if !maps.Equal(seen, r.m.ended) {
		r.fatal("receipts %v, want %v", seen, r.m.ended)
	}
}
