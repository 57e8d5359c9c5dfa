package pipeline

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// A random run against maps and slices: each event is in one summary, of its key, and the
// states are those of their events.
func TestReductionModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		maxKeys, maxEvents, totals := 1+rnd.IntN(8), 1+rnd.IntN(30), rnd.IntN(2) == 0
		r := newReduction[int, int](maxKeys, maxEvents, totals)
		type known struct{ sum, last int }
		model := map[string]known{} // of the states
		var waiting [][2]any        // key and event, in order
		forgotten := 0
		flush := func() {
			var order []string
			events := map[string][]int{}
			for _, w := range waiting {
				key := w[0].(string)
				if events[key] == nil {
					order = append(order, key)
				}
				events[key] = append(events[key], w[1].(int))
			}
			r.summarize(func(key string, state *int, got []int) {
				if len(order) == 0 || key != order[0] || *state != model[key].sum || !slices.Equal(got, events[key]) {
					t.Fatalf("summary of %q: %d of %v, want %v: %d of %v", key, *state, got, order, model[key].sum, events[key])
				}
				order = order[1:]
				if !totals {
					delete(model, key)
				}
			})
			if len(order) > 0 {
				t.Fatalf("no summary of %q", order)
			}
			waiting = nil
		}
		for event := range 300 {
			key := fmt.Sprint(rnd.IntN(12))
			k := r.keys[key]
			if _, want := model[key]; want != (k != nil) {
				t.Fatalf("key %q known: %v, want %v", key, k != nil, want)
			}
			if r.full(k != nil) {
				flush()
				k = r.keys[key]
			}
			fresh := k == nil
			if fresh {
				if len(model) == maxKeys {
					oldest := ""
					for key, m := range model {
						if oldest == "" || m.last < model[oldest].last {
							oldest = key
						}
					}
					delete(model, oldest)
					forgotten++
				}
				k, _ = r.open(key)
				if k.state != 0 || len(k.waiting) > 0 {
					t.Fatalf("a new key has %+v", k)
				}
			}
			if rnd.IntN(10) == 0 { // it fails
				if fresh {
					r.forget(k)
				}
			} else {
				k.state += event
				r.added(k, event)
				model[key] = known{model[key].sum + event, event + 1}
				waiting = append(waiting, [2]any{key, event})
			}
			if r.events != len(waiting) || r.events > maxEvents || len(r.keys) > maxKeys || len(r.keys) != len(model) || r.forgotten != int64(forgotten) {
				t.Fatalf("%d events and %d keys, want %d and %d; %d forgotten, want %d",
					r.events, len(r.keys), len(waiting), len(model), r.forgotten, forgotten)
			}
			if rnd.IntN(20) == 0 {
				flush()
			}
		}
	}
}

func TestReductionAllocatesNothing(t *testing.T) {
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = fmt.Sprint(i)
	}
	for _, totals := range []bool{false, true} {
		r := newReduction[int, int](1000, 1000, totals)
		i := 0
		event := func() {
			key := keys[i%len(keys)]
			k := r.keys[key]
			if r.full(k != nil) {
				r.summarize(func(string, *int, []int) {})
				k = r.keys[key]
			}
			if k == nil {
				k, _ = r.open(key)
			}
			k.state++
			r.added(k, i)
			i++
		}
		for range 10_000 {
			event()
		}
		if n := testing.AllocsPerRun(10_000, event); n > 0 {
			t.Errorf("totals %v: %v allocations for an event", totals, n)
		}
	}
}
