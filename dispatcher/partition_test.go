package dispatcher

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
)

func on(name any) SubscribeConfig { return SubscribeConfig{Partition: name} }

func newHalves(t *testing.T, cfg PartitionConfig) (*Partition[int], *desk) {
	p := option.Must(NewPartition(2, half, cfg))
	return p, newDesk(t, p)
}

func one(int) (int, bool) { return 0, true }

func parity(v int) (string, bool) {
	if v%2 == 0 {
		return "even", true
	}
	return "odd", true
}

var partitionCases = []kase{
	{"G145_cancel_keeps_what_was_requested", func(t *testing.T) {
		p, k := newHalves(t, PartitionConfig{})
		k.subscribe(0, on(0))
		k.want("upstream", k.ask(0, 10), 10)
		k.want("upstream", k.cancel(0), 0)
		k.want("pending", k.told, 10)
		k.subscribe(1, on(1))
		k.want("upstream", k.ask(1, 5), 0)
		k.want("waiting", []int{p.Demand(), k.told}, "[5 10]")
		k.want("upstream", k.cancel(1), 0)
		k.want("pending", k.told, 10)
		// GenStage holds them; here they stay in the stage's buffer.
		k.want("left over", k.dispatch(0, 1, 2, 3), "[0 1 2 3]")
		k.want("held, pending", []int{p.Held(), k.told}, "[0 6]")
	}},
	{"G146_left_over_what_nobody_asked_for", func(t *testing.T) {
		p := option.Must(NewPartition(1, one, PartitionConfig{}))
		k := newDesk(t, p)
		k.subscribe(0, on(0))
		leftOver(k, p, []int{1}, []int{2, 3, 4, 5, 6, 7, 8}, "[7 8]")
	}},
	{"G147_named_partitions", func(t *testing.T) {
		p := option.Must(NewNamedPartition([]string{"odd", "even"}, parity, PartitionConfig{}))
		k := newDesk(t, p)
		k.subscribe(0, on("odd"))
		leftOver(k, p, []int{1}, []int{3, 5, 7, 9, 11, 15, 17}, "[15 17]")
	}},
	{"G148_no_partition_uses_no_demand", func(t *testing.T) {
		p := option.Must(NewPartition(2, func(v int) (int, bool) { return v % 2, v%3 != 0 }, PartitionConfig{}))
		k := newDesk(t, p)
		k.subscribe(0, on(0))
		k.subscribe(1, on(1))
		k.ask(0, 4)
		k.ask(1, 4)
		k.want("left over", k.dispatch(ints(1, 13)...), "[12]")
		k.want("even", k.taken(0), "[2 4 8 10]")
		k.want("odd", k.taken(1), "[1 5 7 11]")
		k.want("waiting", p.Demand(), 0)
		k.want("discarded", k.dropped, "[3 no_partition 6 no_partition 9 no_partition]")
	}},
	{"G149_held_for_who_comes_later", func(t *testing.T) {
		p, k := newHalves(t, PartitionConfig{})
		k.subscribe(0, on(1))
		k.ask(0, 5)
		k.want("left over", k.dispatch(0, 2, 4, 6, 8), "[]")
		k.want("got", len(k.got), 0)
		k.want("held", []int{p.Held(), p.HeldFor(0)}, "[5 5]")
		k.subscribe(1, on(0))
		k.ask(1, 5)
		k.dispatch()
		k.want("got", k.taken(1), "[0 2 4 6 8]")
		k.want("waiting", p.Demand(), 5)
		k.dispatch(1, 3)
		k.want("waiting", p.Demand(), 3)
	}},
	{"G150_held_for_a_subscriber_that_asks_again", func(t *testing.T) {
		p, k := newHalves(t, PartitionConfig{})
		k.subscribe(0, on(0))
		k.want("upstream", k.ask(0, 5), 5)
		k.subscribe(1, on(1))
		k.want("upstream", k.ask(1, 5), 5)
		k.want("left over", k.dispatch(0, 2), "[]")
		k.want("left over", k.dispatch(4, 6, 8, 10, 12, 14, 16, 18), "[]")
		k.want("got", k.taken(0), "[0 2 4 6 8]")
		// In GenStage nothing is left of the demand of both.
		k.want("waiting", p.Demand(), 5)
		k.want("upstream", k.up(), 5)
		k.want("upstream", k.ask(0, 5), 0)
		k.dispatch()
		k.want("got", k.taken(0), "[10 12 14 16 18]")
		k.want("waiting", p.Demand(), 5)
	}},
	{"G151_cancel_keeps_what_is_held", func(t *testing.T) {
		p, k := newHalves(t, PartitionConfig{})
		k.subscribe(0, on(0))
		k.subscribe(1, on(1))
		k.ask(1, 5)
		k.dispatch(0, 2, 4, 6, 8)
		k.cancel(0)
		k.want("held", p.Held(), 5)
		k.subscribe(0, on(0))
		k.ask(0, 3)
		k.dispatch()
		k.want("got", k.taken(0), "[0 2 4]")
		k.want("held", p.Held(), 2)
	}},
	{"G155_unknown_partition", func(t *testing.T) {
		p := option.Must(NewPartition(2, func(int) (int, bool) { return 5, true }, PartitionConfig{}))
		k := newDesk(t, p)
		k.subscribe(0, on(0))
		k.ask(0, 1)
		panics(t, "5", func() { k.dispatch(1) })
		n := option.Must(NewNamedPartition([]string{"a"}, func(int) (string, bool) { return "oops", true }, PartitionConfig{}))
		k = newDesk(t, n)
		k.subscribe(0, on("a"))
		k.ask(0, 1)
		panics(t, "oops", func() { k.dispatch(1) })
	}},
	{"G157_wrong_options", func(t *testing.T) {
		for name, err := range map[string]error{
			"none":      refusal(NewPartition(0, one, PartitionConfig{})),
			"no hash":   refusal(NewPartition[int](2, nil, PartitionConfig{})),
			"no names":  refusal(NewNamedPartition([]string{}, parity, PartitionConfig{})),
			"name hash": refusal(NewNamedPartition[int]([]string{"a"}, nil, PartitionConfig{})),
			"twice":     refusal(NewNamedPartition([]string{"a", "a"}, parity, PartitionConfig{})),
			"capacity":  refusal(NewPartition(1, one, PartitionConfig{Capacity: -1})),
		} {
			var wrong *OptionError
			if !errors.As(err, &wrong) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := refusal(NewPartition(1, one, PartitionConfig{})); err != nil {
			t.Error(err)
		}
	}},
	{"G158_bad_subscribers_are_refused", func(t *testing.T) {
		p, k := newHalves(t, PartitionConfig{})
		k.subscribe(3, on(0))
		for _, bad := range []struct {
			partition any
			text      string
		}{{nil, "0 to 1"}, {0, "3"}, {-1, "0 to 1"}, {2, "0 to 1"}, {"oops", "0 to 1"}, {[]int{1}, "0 to 1"}} {
			var refused *OptionError
			err := p.Subscribe(4, on(bad.partition))
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), bad.text) {
				t.Errorf("%v: %v", bad.partition, err)
			}
		}
		k.subscribe(4, on(1))
	}},
}

// refusal is the error of a constructor.
func refusal[T any](_ T, err error) error { return err }

func leftOver(k *desk, p *Partition[int], first, then []int, left string) {
	k.t.Helper()
	k.ask(0, 3)
	k.dispatch(first...)
	k.want("waiting", p.Demand(), 2)
	k.want("upstream", k.ask(0, 3), 3)
	k.want("waiting", p.Demand(), 5)
	k.want("left over", k.dispatch(then...), left)
	k.want("got", k.taken(0), append(first, then[:5]...))
	k.want("waiting", p.Demand(), 0)
}

func panics(t *testing.T, text string, f func()) {
	t.Helper()
	defer func() {
		if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), text) {
			t.Fatalf("panic: %v", p)
		}
	}()
	f()
}

// A busy partition does not use up the demand of the others before the bound is
// reached, and nothing is dropped when it is.
func TestPartitionHoldsWithinItsCapacity(t *testing.T) {
	p, k := newHalves(t, PartitionConfig{Capacity: 3})
	k.subscribe(0, on(0))
	k.subscribe(1, on(1))
	k.ask(1, 10)
	k.want("left over", k.dispatch(0, 2, 1, 4, 3, 6, 5), "[6 5]")
	k.want("got", k.taken(1), "[1 3]")
	k.want("demand", p.Demand(), 0)
	k.ask(0, 1)
	k.dispatch()
	k.want("got", k.taken(0), "[0]")
	k.want("demand", p.Demand(), 1)
}

func TestPartitionPutsBackInFront(t *testing.T) {
	p, k := newHalves(t, PartitionConfig{})
	k.subscribe(1, on(1))
	k.ask(1, 1)
	k.dispatch(4, 6)
	p.PutBack(2, 1)
	p.PutBack(0, 0)
	k.subscribe(0, on(0))
	k.ask(0, 9)
	var got []int
	k.held = nil
	p.Dispatch(Offer[int]{}, k)
	got = k.taken(0)
	k.want("got", got, "[0 2 4 6]")
	k.want("demand", p.Demand(), 6)
}

func TestPartitionDiscardsWhatIsHeld(t *testing.T) {
	p, k := newHalves(t, PartitionConfig{})
	k.subscribe(1, on(1))
	k.ask(1, 2)
	k.dispatch(0, 2)
	p.DiscardHeld(k, receipt.Stopped)
	k.want("discarded", k.dropped, "[0 stopped 2 stopped]")
	k.want("held", p.Held(), 0)
}

func TestPartitionDiscardsOrphans(t *testing.T) {
	p, k := newHalves(t, PartitionConfig{})
	k.subscribe(0, on(0))
	k.subscribe(1, on(1))
	k.ask(1, 1)
	k.dispatch(0, 2)
	p.DiscardOrphans(k, receipt.Stopped)
	k.want("held", p.Held(), 2)
	k.want("orphans", p.Orphans(), 0)
	k.cancel(0)
	p.PutBack(4, 9)
	k.want("orphans", p.Orphans(), 3)
	p.DiscardOrphans(k, receipt.Stopped)
	k.want("held", p.Held(), 0)
	k.want("orphans", p.Orphans(), 0)
	k.want("discarded", k.dropped, "[4 stopped 0 stopped 2 stopped]")
}

// batched is NewPartition with a hash function that takes all events at once.
func batched(n int, hash func(int) (int, bool), cfg PartitionConfig) (*Partition[int], error) {
	return NewPartitionBatch(n, func(events []int, partitions []int32) {
		for i, v := range events {
			at, ok := hash(v)
			if !ok {
				at = -7
			}
			partitions[i] = int32(at)
		}
	}, cfg)
}

// A hash function for many events is held to the same rules as one for each.
func TestPartitionBatchRefusesWhatIsNoPartition(t *testing.T) {
	for text, hash := range map[string]func(events []int, partitions []int32){
		"returned 2, which is not an int from 0 to 1": func(_ []int, partitions []int32) { copy(partitions, []int32{1, 2, 0}) },
		"has left out an event":                       func(_ []int, partitions []int32) { copy(partitions, []int32{1, 0}) },
	} {
		p := option.Must(NewPartitionBatch(2, hash, PartitionConfig{}))
		k := newDesk(t, p)
		k.subscribe(0, on(0))
		k.ask(0, 9)
		panics(t, text, func() { k.dispatch(1, 2, 3) })
	}
}

// What comes back goes to its partition, and is kept in another one if the hash function
// has written none.
func TestPartitionBatchPutsBack(t *testing.T) {
	p := option.Must(batched(2, half, PartitionConfig{}))
	p.PutBack(3, 1)
	p.PutBack(2, 0)
	if p.HeldFor(0) != 1 || p.HeldFor(1) != 1 {
		t.Fatalf("held %d and %d, want 1 each", p.HeldFor(0), p.HeldFor(1))
	}
	lazy := option.Must(NewPartitionBatch(2, func([]int, []int32) {}, PartitionConfig{}))
	if lazy.PutBack(5, 0); lazy.HeldFor(0) != 1 {
		t.Fatal("an event without a partition was not kept")
	}
}

// Whatever happens, each partition's events arrive in order, each once.
func TestPartitionModel(t *testing.T) {
	testPartitionModel(t, NewPartition[int])
}

func TestPartitionBatchModel(t *testing.T) {
	testPartitionModel(t, batched)
}

func testPartitionModel(t *testing.T, make func(int, func(int) (int, bool), PartitionConfig) (*Partition[int], error)) {
	const parts = 4
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		p := option.Must(make(parts, func(v int) (int, bool) { return v % 5 % parts, v%7 != 0 }, PartitionConfig{Capacity: 8}))
		k := newDesk(t, p)
		next := 0
		last := map[int]int{}
		var rest []int
		dispatch := func(out Out[int]) {
			for range rng.IntN(10) {
				rest = append(rest, next)
				next++
			}
			rest = k.dispatch(rest...)
			for sub, got := range k.got {
				for _, v := range got {
					if v%5%parts != sub || v%7 == 0 {
						t.Fatalf("seed %d: %d came to partition %d", seed, v, sub)
					}
					if before, ok := last[sub]; ok && before >= v {
						t.Fatalf("seed %d: partition %d: %d after %d", seed, sub, v, before)
					}
					last[sub] = v
				}
				delete(k.got, sub)
			}
		}
		for range 300 {
			sub := rng.IntN(parts)
			_, live := k.asked[sub]
			switch op := rng.IntN(10); {
			case !live:
				k.subscribe(sub, on(sub))
			case op == 0:
				k.cancel(sub)
			case op < 6:
				k.ask(sub, 1+rng.IntN(5))
			default:
				dispatch(k)
			}
			if p.Held() > 8 {
				t.Fatalf("seed %d: holds %d", seed, p.Held())
			}
			orphans := 0
			for part := range parts {
				if _, live := k.asked[part]; !live {
					orphans += p.HeldFor(part)
				}
			}
			if p.Orphans() != orphans {
				t.Fatalf("seed %d: %d orphans, want %d", seed, p.Orphans(), orphans)
			}
		}
		// With demand of every partition, no event is left.
		for sub := range parts {
			if _, live := k.asked[sub]; !live {
				k.subscribe(sub, on(sub))
			}
			k.ask(sub, 1_000_000)
		}
		dispatch(k)
		if len(rest) > 0 || p.Held() > 0 {
			t.Fatalf("seed %d: %d left, %d held", seed, len(rest), p.Held())
		}
	}
}
