package dispatcher

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Whatever the demands are, GiveWhole returns the subscription to which Dispatch gives all of
// an offer, and leaves the same demand and order; and it changes nothing if Dispatch would
// split the offer.
func TestGiveWholeIsADispatchToOne(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 11))
		size := func() int {
			switch r.IntN(8) {
			case 0:
				return math.MaxInt
			case 1:
				return listedBelow - 2 + r.IntN(4)
			}
			return 1 + r.IntN(12)
		}
		subs := 1 + r.IntN(5)
		plain, whole := NewDemand[int](), NewDemand[int]()
		k := newDesk(t, plain)
		for sub := range subs {
			k.subscribe(sub, SubscribeConfig{})
			if err := whole.Subscribe(sub, SubscribeConfig{}); err != nil {
				t.Fatal(err)
			}
		}
		for step := range 300 {
			sub := r.IntN(subs)
			switch r.IntN(8) {
			case 0:
				k.cancel(sub)
				whole.Cancel(sub)
				k.subscribe(sub, SubscribeConfig{})
				if err := whole.Subscribe(sub, SubscribeConfig{}); err != nil {
					t.Fatal(err)
				}
			case 1, 2, 3:
				n := size()
				k.ask(sub, n)
				whole.Ask(sub, n)
			default:
				n := 1 + r.IntN(10)
				before := outstanding(whole)
				got := whole.GiveWhole(n)
				k.dispatch(make([]int, n)...)
				want := none
				for sub := range subs {
					if len(k.taken(sub)) == n {
						want = sub
					}
				}
				if got != want {
					t.Fatalf("seed %d, step %d: GiveWhole(%d) returns %d, want %d of the demands %v", seed, step, n, got, want, before)
				}
				if got == none {
					if after := outstanding(whole); !slices.Equal(before, after) {
						t.Fatalf("seed %d, step %d: the demands were %v, and are %v after a GiveWhole that gave nothing", seed, step, before, after)
					}
					whole.Dispatch(Offer[int]{Events: make([]int, n)}, nowhere{})
				}
			}
			if a, b := outstanding(plain), outstanding(whole); !slices.Equal(a, b) || plain.Demand() != whole.Demand() || plain.order.first() != whole.order.first() {
				t.Fatalf("seed %d, step %d: %v, in all %d, first %d, after GiveWhole; want %v, %d, %d", seed, step, b, whole.Demand(), whole.order.first(), a, plain.Demand(), plain.order.first())
			}
		}
	}
}

// nowhere is an Out that drops what it is given.
type nowhere struct{ Out[int] }

func (nowhere) Give(int, int, int) {}
