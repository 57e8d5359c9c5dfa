package presence_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

// The times of the model. The bound for presences follows from the periods.
const (
	simDelay     = 150 * time.Millisecond // of a message at most
	simBroadcast = 200 * time.Millisecond
	simHeartbeat = 10 * simBroadcast
	simDown      = 2 * simHeartbeat
	simConverge  = simDown + 3*simBroadcast + 6*simDelay
	simAnswer    = time.Second
	simFreeze    = 500 * time.Millisecond // of a node in most cases
	simMove      = simDelay + simFreeze + 50*time.Millisecond
	simDeadline  = 6 * time.Second // of a push
	simSteps     = 60
)

// simTotals counts over all seeds what happened.
type simTotals struct{ Delivered, Expired, Repeated, Gaps, Deaths, Downs, Broadcasts, Resumed int }

// sim is one cluster with its users. The goroutine of the test drives it.
type sim struct {
	t     *testing.T
	seed  uint64
	rand  *rand.Rand
	net   *pubsubtest.Network
	nodes map[string]*simNode // that live
	names []string
	users []*simUser
	conns int // ids
	begun map[string]int
	moved time.Time // when sources moved last

	mu     sync.Mutex
	total  *simTotals
	log    []string
	faults int
}

// simNode is one process of a node.
type simNode struct {
	name    string
	process string // name and number, the sender in the room
	hub     *pubsub.Hub
	tracker *presence.Tracker
	room    *simRoom
	sent    int // broadcasts
	over    atomic.Bool
	conns   map[*simConn]bool
	stop    []func()
}

func newSim(t *testing.T, seed uint64, total *simTotals) *sim {
	s := &sim{t: t, seed: seed, total: total, rand: rand.New(rand.NewPCG(seed, 1)), net: pubsubtest.NewNetwork(), nodes: map[string]*simNode{}, begun: map[string]int{}}
	s.net.Uncounted = s.rand.IntN(3) == 0
	s.names = strings.Split("abcde", "")[:2+s.rand.IntN(4)]
	return s
}

// note adds a line to what a failure prints; fault fails the test.
func (s *sim) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, fmt.Sprintf("%s %s", time.Now().Format("05.000"), fmt.Sprintf(format, args...)))
}

func (s *sim) fault(format string, args ...any) {
	s.note("FAULT "+format, args...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults++; s.faults <= 5 {
		s.t.Errorf(format, args...)
	}
}

func (s *sim) count(add func(*simTotals)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	add(s.total)
}

// life is the whole run: faults for a while, then none, then everything must hold.
func (s *sim) life() {
	for _, name := range s.names {
		s.start(name)
	}
	for i := range 1 + s.rand.IntN(4) {
		s.users = append(s.users, &simUser{s: s, name: fmt.Sprint("u", i), rand: rand.New(rand.NewPCG(s.seed, uint64(100+i)))})
	}
	s.disturb()
	for range simSteps {
		s.step()
		pass(time.Duration(s.rand.IntN(500)) * time.Millisecond)
		s.nobodyTwice()
	}
	s.net.Disturb(pubsubtest.Faults{})
	s.net.Heal()
	s.note("the last fault is over")
	pass(simConverge)
	s.converged()
	pass(simDeadline + simAnswer + time.Second)
	for _, u := range s.users {
		u.settled()
	}
	for _, n := range s.live() {
		n.room.resume()
		s.end(n, false)
	}
	if s.t.Failed() {
		s.t.Logf("again with PENSTOCK_SEED=%d", s.seed)
		for _, line := range s.log[max(0, len(s.log)-150):] {
			s.t.Log(line)
		}
	}
}

// live returns the nodes that live, by name.
func (s *sim) live() (list []*simNode) {
	for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
		list = append(list, s.nodes[name])
	}
	return list
}

func (s *sim) any() *simNode {
	list := s.live()
	return list[s.rand.IntN(len(list))]
}

func (s *sim) disturb() {
	f := pubsubtest.Faults{Seed: s.rand.Uint64(), MaxDelay: time.Duration(s.rand.Int64N(int64(simDelay))), Lost: 0.2 * s.rand.Float64()}
	if s.rand.IntN(3) == 0 {
		f.Lost = 0
	}
	s.note("faults %+v", f)
	s.net.Disturb(f)
}

// step does one thing by chance.
func (s *sim) step() {
	user := s.users[s.rand.IntN(len(s.users))]
	a, b := s.names[s.rand.IntN(len(s.names))], s.names[s.rand.IntN(len(s.names))]
	switch x := s.rand.IntN(100); {
	case x < 25:
		s.any().broadcast(s)
	case x < 50:
		user.push(s.any())
	case x < 65:
		s.connect(user, s.any())
	case x < 73:
		if c := user.anyConn(s.rand); c != nil {
			c.close("leaves")
		}
	case x < 77 && a != b:
		s.note("cut %s %s", a, b)
		s.net.Cut(a, b)
	case x < 80 && a != b:
		s.note("cut %s to %s", a, b)
		s.net.CutOneWay(a, b)
	case x < 86:
		s.note("heal")
		s.net.Heal()
	case x < 88:
		s.freeze(a)
	case x < 91 && len(s.nodes) > 1:
		s.end(s.any(), s.rand.IntN(3) > 0)
	case x < 96 && s.nodes[a] == nil:
		s.start(a)
	default:
		s.disturb()
	}
}

// freeze keeps a node from receiving for a while, at times until the others count it
// as silent. A source does not move meanwhile: it waits for what the last one sent.
func (s *sim) freeze(name string) {
	d := time.Duration(s.rand.Int64N(int64(simFreeze)))
	if s.rand.IntN(4) == 0 && time.Since(s.moved) > simMove {
		d = simDown
	}
	s.note("freeze %s for %v", name, d)
	s.net.Freeze(name)
	pass(d)
	s.net.Thaw(name)
	synctest.Wait()
}

// start begins a process of a node, whose clock may be set back.
func (s *sim) start(name string) {
	s.begun[name]++
	n := &simNode{name: name, process: fmt.Sprint(name, s.begun[name]), conns: map[*simConn]bool{}}
	clock := time.Now()
	if s.begun[name] > 1 && s.rand.IntN(2) == 0 {
		clock = clock.Add(-time.Duration(s.rand.IntN(48)) * time.Hour)
	}
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	history, err := pubsub.NewMemory(pubsub.MemoryConfig{Topics: []string{"room"}})
	if err != nil {
		s.t.Fatal(err)
	}
	var stopHub func()
	n.hub, stopHub = s.net.Hub(s.t, name, pubsub.Config{RemoteTimeout: simAnswer, History: history, Logger: logger})
	n.room = newSimRoom(s, n)
	if _, err := n.hub.Subscribe("room", n.room); err != nil {
		s.t.Fatal(err)
	}
	n.tracker, err = presence.NewAt(presence.Config{Hub: n.hub, Silent: true, BroadcastPeriod: simBroadcast, Logger: logger}, clock)
	if err != nil {
		s.t.Fatal(err)
	}
	n.stop = []func(){pubsubtest.Run(s.t, n.tracker.Run), stopHub}
	s.nodes[name] = n
	synctest.Wait()
	s.note("%s begins, clock %v", n.process, time.Until(clock))
}

// end ends a process, in good order or by death. All its pushes must have ended
// with it: a source would give them to another node.
func (s *sim) end(n *simNode, dies bool) {
	s.note("%s ends, dies %t", n.process, dies)
	if dies {
		s.net.Kill(n.name)
		s.count(func(t *simTotals) { t.Deaths++ })
	}
	n.over.Store(true)
	delete(s.nodes, n.name)
	for c := range n.conns {
		c.close("node ends")
	}
	synctest.Wait()
	for _, stop := range n.stop {
		stop()
		synctest.Wait()
	}
	s.moved = time.Now()
	for _, u := range s.users {
		u.nodeEnded(n)
	}
}

// nobodyTwice is true of every view at any time.
func (s *sim) nobodyTwice() {
	for _, n := range s.live() {
		seen := map[string]bool{}
		for key, p := range n.tracker.List("room") {
			for _, m := range p.Metas {
				if text := stripRef(m); seen[text] {
					s.fault("%s shows %s of %s twice", n.process, text, key)
				} else {
					seen[text] = true
				}
			}
		}
		if len(n.tracker.Snapshot().Down) > 0 {
			s.count(func(t *simTotals) { t.Downs++ })
		}
	}
}

// converged compares every view with the connections that are there.
func (s *sim) converged() {
	var want []string
	for _, n := range s.live() {
		for c := range n.conns {
			want = append(want, fmt.Sprintf(`%s={"conn":%d}`, c.user.name, c.id))
		}
	}
	slices.Sort(want)
	for _, n := range s.live() {
		got := []string{}
		for key, p := range n.tracker.List("room") {
			for _, m := range p.Metas {
				got = append(got, key+"="+stripRef(m))
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			s.fault("%s shows %v, want %v; %+v", n.process, got, want, n.tracker.Snapshot())
		}
	}
}

func (n *simNode) broadcast(s *sim) {
	n.sent++
	s.count(func(t *simTotals) { t.Broadcasts++ })
	_, err := n.hub.Broadcast(context.Background(), "room", "said", said{n.process, n.sent})
	if err != nil {
		s.fault("%s cannot broadcast: %v", n.process, err)
	}
}
