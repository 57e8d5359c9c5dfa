package penstock_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// item is an event of the model: the number that its source gave it, the key that follows
// from that, and what it has passed on its way.
type item struct {
	id, key int
	path    string
}

// hash returns a number that is the same whenever the same is asked of an item.
func (v item) hash(about string, more uint64) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, about, more, " ", v.id, v.path)
	return h.Sum64()
}

// one reports, for one item in so many, always the same for an item.
func (v item) one(in uint64, about string) bool { return v.hash(about, in)%in == 0 }

// The kinds of levels, as letters of a plan.
const (
	fromLog   = 'l' // a source that knows which prefix is finished, as a log's reader does
	fromQueue = 'q' // producer.Queue with a bound for each key
	mapping   = 'm' // some fail, by an error or a panic
	filtering = 'f'
	splitting = 'x' // two events for one
	holding   = 'h' // keeps some events for a while
	pooled    = 'S' // consumer.Supervisor
	timed     = 'T' // the same with Timeout, and workers that hang
	batched   = 'B' // consumer.Batch, with its Timeout
	patient   = 'N' // the same with NoTimeout
	forEach   = 'E' // consumer.ForEach
	iterated  = 'A' // consumer.All
)

// The dispatchers of the stages of a level.
const (
	byDemand    = 'd'
	fairly      = 'k'
	fairBounded = 'K' // with KeyMaxEvents
	toAll       = 'b'
	byPartition = 'p'
)

// level is a row of stages that do the same. Each is subscribed to each of the level before.
type level struct {
	kind  byte
	width int
	how   byte // the dispatcher of each of its stages
}

// plan is a pipeline and what happens to it, all from a seed.
type plan struct {
	seed      uint64
	n, keys   int
	levels    []level // the source first, the end last
	endless   bool    // the source does not end by itself
	demand    []int   // MaxDemand of the subscriptions to each level, 0 for the default
	redeliver bool
	keep      bool          // KeepRunning
	timeout   time.Duration // of a drain
	at        time.Duration // when it happens
	what      string        // "", "drain", "stop" or "crash"
	then      time.Duration // a crash is followed by a drain
}

// newPlan makes a plan from a seed.
func newPlan(seed uint64) *plan {
	rng := rand.New(rand.NewPCG(seed, 14))
	pick := func(letters string) byte { return letters[rng.IntN(len(letters))] }
	p := &plan{seed: seed, n: 1 + rng.IntN(60), keys: 1 + rng.IntN(8)}
	p.levels = append(p.levels, level{pick("llq"), 1, 0})
	for range rng.IntN(4) {
		p.levels = append(p.levels, level{pick("mfxh"), 1 + rng.IntN(4)/3, 0})
	}
	end := level{pick("SSTBNEA"), 1 + rng.IntN(3), 0}
	if before := p.levels[len(p.levels)-1]; end.kind == iterated {
		p.levels[len(p.levels)-1], end.width = level{before.kind, 1, 0}, 1
	}
	p.levels = append(p.levels, end)
	for i := range p.levels {
		p.levels[i].how = pick("dkKbp")
		p.demand = append(p.demand, []int{0, 0, 1 + rng.IntN(8)}[rng.IntN(3)])
	}
	p.endless = rng.IntN(2) == 0 || p.levels[0].kind == fromQueue
	p.redeliver, p.keep = rng.IntN(2) == 0, rng.IntN(2) == 0
	p.timeout = []time.Duration{2 * time.Second, time.Hour, time.Hour}[rng.IntN(3)]
	p.at = time.Duration(rng.Int64N(int64(3 * time.Second)))
	p.then = time.Duration(rng.Int64N(int64(3 * time.Second)))
	p.what = []string{"", "drain", "stop", "crash"}[rng.IntN(4)]
	if p.what == "" && p.endless {
		p.what = "drain"
	}
	return p
}

// again is the plan of the second life of a source: nothing happens to it, and it ends.
func (p *plan) again() *plan {
	next := *p
	next.endless, next.what, next.timeout = false, "", time.Hour
	return &next
}

// half reports whether a subscriber of a broadcast may fail while others live.
func (p *plan) half() bool {
	return p.what == "crash" && slices.ContainsFunc(p.levels, func(l level) bool { return l.how == toAll })
}

func (p *plan) String() string {
	var b strings.Builder
	for i, l := range p.levels {
		fmt.Fprintf(&b, "%c%d%c/%d ", l.kind, l.width, l.how, p.demand[i])
	}
	return fmt.Sprintf("seed %d: %s, %d events of %d keys, endless %v, redeliver %v, keep %v, %q at %v, drain after %v within %v",
		p.seed, b.String(), p.n, p.keys, p.endless, p.redeliver, p.keep, p.what, p.at, p.then, p.timeout)
}

// marked returns the item as the stage number j of a level receives it: copies differ.
func (p *plan) marked(i, j int, v item) item {
	if p.levels[i-1].how == toAll && p.levels[i].width > 1 {
		v.path += string(rune('a' + j))
	}
	return v
}

// made returns what a stage of a level makes of an item, and whether the item fails there.
func (p *plan) made(i int, v item) (out []item, err error) {
	switch p.levels[i].kind {
	case mapping:
		if v.one(17, "map") {
			return nil, errModel
		}
		v.path += "m"
	case filtering:
		if v.one(5, "filter") {
			return nil, nil
		}
	case splitting:
		return []item{{v.id, v.key, v.path + "0"}, {v.id, v.key, v.path + "1"}}, nil
	}
	return []item{v}, nil
}

// expected returns the paths by which what is made of an item that leaves the level before
// i reaches the end, and whether any of it fails on the way.
func (p *plan) expected(i int, v item) (paths []string, fails bool) {
	copies := 1
	if p.levels[i-1].how == toAll {
		copies = p.levels[i].width
	}
	for j := range copies {
		in := p.marked(i, j, v)
		if i == len(p.levels)-1 {
			paths = append(paths, in.path)
			continue
		}
		out, err := p.made(i, in)
		fails = fails || err != nil
		for _, made := range out {
			list, failed := p.expected(i+1, made)
			paths, fails = append(paths, list...), fails || failed
		}
	}
	return paths, fails
}

// ordered reports whether the plan keeps the order of a key's events to the end.
func (p *plan) ordered() bool {
	ordered := true
	for i, l := range p.levels[:len(p.levels)-1] {
		if l.how == fairly || l.how == fairBounded {
			// One event of the key is under way from here on, if here is one place for it.
			if ordered && l.width == 1 {
				return true
			}
		}
		if p.levels[i+1].width > 1 && l.how != byPartition && l.how != toAll {
			ordered = false
		}
	}
	end := p.levels[len(p.levels)-1].kind
	return ordered && end != pooled && end != timed
}
