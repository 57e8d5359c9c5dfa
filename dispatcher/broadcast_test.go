package dispatcher

import (
	"errors"
	"math/rand/v2"
	"testing"
)

// extra returns what a subscription has asked for beyond the demand of all.
func (b *Broadcast[T]) extra(sub int) int { return b.subs[sub].limit - b.sent - b.Demand() }

func newBroadcastDesk(t *testing.T) (*Broadcast[int], *desk) {
	b := NewBroadcast[int]()
	k := newDesk(t, b)
	k.multi = true
	return b, k
}

var broadcastCases = []kase{
	{"G134_no_demand", func(t *testing.T) {
		b, k := newBroadcastDesk(t)
		k.want("upstream", k.subscribe(0, SubscribeConfig{}), 0)
		k.want("upstream", k.cancel(0), 0)
		k.want("waiting", b.Demand(), 0)
		k.want("requested", k.told, 0)
	}},
	{"G135_cancel_keeps_what_was_requested", func(t *testing.T) {
		b, k := newBroadcastDesk(t)
		k.subscribe(0, SubscribeConfig{})
		k.want("upstream", k.ask(0, 10), 10)
		k.want("waiting", b.Demand(), 10)
		k.want("requested", k.told, 10)
		k.cancel(0)
		k.want("waiting", b.Demand(), 0)
		k.want("requested", k.told, 10)
		k.want("left over", k.dispatch(1, 2, 3), "[1 2 3]")
	}},
	{"G136_newcomer_takes_over", func(t *testing.T) {
		b, k := newBroadcastDesk(t)
		k.subscribe(0, SubscribeConfig{})
		k.ask(0, 10)
		k.subscribe(1, SubscribeConfig{})
		k.want("extra", []int{b.extra(0), b.extra(1)}, "[10 0]")
		k.want("waiting", b.Demand(), 0)
		k.want("upstream", k.cancel(0), 0)
		k.want("upstream", k.ask(1, 10), 0)
		k.want("waiting", b.Demand(), 10)
		k.want("requested", k.told, 10)
	}},
	{"G137_the_slowest_leaves", func(t *testing.T) {
		b, k := newBroadcastDesk(t)
		k.subscribe(0, SubscribeConfig{})
		k.subscribe(1, SubscribeConfig{})
		k.want("upstream", k.ask(0, 10), 0)
		k.want("upstream", k.cancel(1), 10)
		k.want("waiting", b.Demand(), 10)
		k.want("upstream", k.ask(0, 10), 10)
		k.want("waiting", b.Demand(), 20)
		k.want("requested", k.told, 20)
	}},
	{"G139_newcomer_between_batches", func(t *testing.T) {
		b, k := newBroadcastDesk(t)
		k.subscribe(0, SubscribeConfig{})
		k.ask(0, 10)
		k.dispatch(1, 2, 3)
		k.want("waiting", b.Demand(), 7)
		k.want("requested", k.told, 7)
		k.subscribe(1, SubscribeConfig{})
		k.want("extra", []int{b.extra(0), b.extra(1)}, "[7 0]")
		k.want("waiting", b.Demand(), 0)
		k.want("upstream", k.ask(1, 20), 0)
		k.want("waiting", b.Demand(), 7)
		k.want("extra", b.extra(1), 13)
		k.taken(0)
		k.want("left over", k.dispatch(ints(4, 11)...), "[]")
		k.want("got", k.taken(0), "[4 5 6 7 8 9 10]")
		k.want("got", k.taken(1), "[4 5 6 7 8 9 10]")
	}},
	{"G140_newcomer_after_the_last_has_left", func(t *testing.T) {
		b, k := newBroadcastDesk(t)
		k.subscribe(0, SubscribeConfig{})
		k.ask(0, 10)
		k.cancel(0)
		k.subscribe(1, SubscribeConfig{})
		k.want("upstream", k.ask(1, 5), 0)
		k.want("waiting", b.Demand(), 5)
		k.want("requested", k.told, 10)
		k.dispatch(1, 2, 3)
		k.want("got", k.taken(1), "[1 2 3]")
		k.want("waiting", b.Demand(), 2)
		k.want("requested", k.told, 7)
	}},
	{"G141_who_blocks_leaves", func(t *testing.T) {
		b, k := newBroadcastDesk(t)
		k.subscribe(0, SubscribeConfig{})
		k.ask(0, 10)
		k.subscribe(1, SubscribeConfig{})
		k.want("upstream", k.ask(0, 5), 0)
		k.want("extra", b.extra(0), 15)
		k.want("upstream", k.cancel(1), 5)
		k.want("waiting", b.Demand(), 15)
		k.want("requested", k.told, 15)
	}},
	{"G144_the_same_consumer_twice", func(t *testing.T) {
		b, k := newBroadcastDesk(t)
		k.subscribe(0, SubscribeConfig{Consumer: 7})
		if err := b.Subscribe(1, SubscribeConfig{Consumer: 7}); !errors.Is(err, ErrSubscribed) {
			t.Fatal(err)
		}
		k.ask(0, 3)
		k.want("waiting", b.Demand(), 3)
		k.cancel(0)
		k.subscribe(1, SubscribeConfig{Consumer: 7})
	}},
}

func TestBroadcastSelector(t *testing.T) {
	b, k := newBroadcastDesk(t)
	k.subscribe(0, SubscribeConfig{Selector: func(v int) bool { return v%2 == 0 }})
	k.subscribe(1, SubscribeConfig{Selector: func(v int) bool { return v%3 == 0 }})
	k.ask(0, 4)
	k.ask(1, 4)
	k.want("left over", k.dispatch(1, 2, 3, 4, 5), "[5]")
	k.want("got", k.taken(0), "[2 4]")
	k.want("got", k.taken(1), "[3]")
	k.want("discarded", k.dropped, "[1 unselected]")
	k.want("demand", b.Demand(), 2) // what was filtered out costs nothing
	// A batch of which one subscriber wants nothing is sent to the other only.
	k.dispatch(9)
	k.want("got", k.taken(0), "[]")
	k.want("got", k.taken(1), "[9]")
	k.subscribe(2, SubscribeConfig{})
	k.ask(2, 10)
	k.dispatch(1)
	k.want("got", k.taken(2), "[1]")
	k.want("discarded", len(k.dropped), 1)
}

func TestBroadcastRefusesABadSelector(t *testing.T) {
	b := NewBroadcast[int]()
	for _, bad := range []any{1, func(string) bool { return true }, (func(int) bool)(nil)} {
		var refused *OptionError
		if err := b.Subscribe(0, SubscribeConfig{Selector: bad}); !errors.As(err, &refused) {
			t.Fatalf("%T: %v", bad, err)
		}
	}
}

func (k eachDesk) Reject(sub int, reason error) { k.rejected[sub] = reason }

func TestBroadcastSelectorThatPanicsIsRejected(t *testing.T) {
	b, k := newBroadcastDesk(t)
	k.subscribe(0, SubscribeConfig{Selector: func(int) bool { panic("bad") }})
	k.subscribe(1, SubscribeConfig{})
	k.ask(0, 5)
	k.ask(1, 5)
	k.given = make([]int, 2)
	k.offer = Offer[int]{Events: []int{1, 2}}
	k.want("taken", b.Dispatch(k.offer, eachDesk{k}), 2)
	var bad *SelectorError
	if !errors.As(k.rejected[0], &bad) || bad.Panic.Value != "bad" || len(bad.Panic.Stack) == 0 {
		t.Fatal(k.rejected)
	}
	k.want("got", k.taken(1), "[1 2]")
}

// With every ask, cancel and batch the demand is the least of all.
func TestBroadcastModel(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		b, k := newBroadcastDesk(t)
		for range 200 {
			sub := rng.IntN(6)
			_, live := k.asked[sub]
			switch op := rng.IntN(10); {
			case !live:
				var opts SubscribeConfig
				if m := rng.IntN(4); m > 0 {
					opts.Selector = func(v int) bool { return v%m == 0 }
				}
				k.subscribe(sub, opts)
			case op == 0:
				k.cancel(sub)
			case op < 6:
				k.ask(sub, 1+rng.IntN(20))
			default:
				k.dispatch(ints(0, rng.IntN(20))...)
			}
			least, any := 0, false
			for _, n := range k.asked {
				if !any || n < least {
					least, any = n, true
				}
			}
			if b.Demand() != least {
				t.Fatalf("seed %d: demand %d, the least is %d", seed, b.Demand(), least)
			}
		}
	}
}
