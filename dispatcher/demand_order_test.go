package dispatcher

import (
	"math"
	"math/rand/v2"
	"testing"
)

// plainOrder is the rule of Demand in its plainest form.
type plainOrder struct {
	demand, turn []int
	now          int
}

func (p *plainOrder) set(sub, demand int) {
	p.now++
	p.demand[sub], p.turn[sub] = demand, p.now
}

func (p *plainOrder) first() int {
	best := none
	for sub, n := range p.demand {
		if n > 0 && (best == none || n > p.demand[best] || n == p.demand[best] && p.turn[sub] < p.turn[best]) {
			best = sub
		}
	}
	return best
}

// Whatever the demands are, below the bound of the lists, at it and above, the order is that
// of a search through all subscriptions.
func TestRandomDemandOrder(t *testing.T) {
	sizes := []int{0, 0, 1, 2, 5, 63, 64, 65, 500, listedBelow - 1, listedBelow, listedBelow + 1, 1 << 20, math.MaxInt}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 7))
		subs := 1 + r.IntN(12)
		var o demandOrder
		o.init()
		for sub := range subs {
			o.add(sub)
		}
		p := plainOrder{demand: make([]int, subs), turn: make([]int, subs)}
		for step := range 2000 {
			sub := r.IntN(subs)
			if r.IntN(3) == 0 && o.first() != none {
				sub = o.first() // as a Dispatch does
			}
			n := sizes[r.IntN(len(sizes))]
			if r.IntN(2) == 0 {
				n = r.IntN(8)
			}
			o.subs[sub].outstanding = n
			o.requeue(sub)
			p.set(sub, n)
			if got, want := o.first(), p.first(); got != want {
				t.Fatalf("seed %d, step %d: the first is %d, want %d of the demands %v", seed, step, got, want, p.demand)
			}
		}
		for p.first() != none { // and to the end, one after the other
			sub := p.first()
			if o.first() != sub {
				t.Fatalf("seed %d: the first is %d, want %d", seed, o.first(), sub)
			}
			o.subs[sub].outstanding = 0
			o.requeue(sub)
			p.set(sub, 0)
		}
		if o.first() != none || o.ranked != 0 || o.used != 0 || len(o.heap) != 0 {
			t.Fatalf("seed %d: without demand there is a first, %d, or a member, %+v", seed, o.first(), o)
		}
	}
}
