package pubsub

import (
	"hash/maphash"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// TestTopicsModel compares the table with a map, over random calls.
func TestTopicsModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	table := topics{seed: maphash.MakeSeed()}
	model := map[string]*Subscription{}
	for step := range 50_000 {
		// The number of topics grows and falls by turns.
		name := strconv.Itoa(rng.IntN(300))
		s := model[name]
		if table.of(name) != s {
			t.Fatalf("step %d: %q is %p, want %p", step, name, table.of(name), s)
		}
		switch adds := step/1000%2 == 0; {
		case s == nil && (adds || rng.IntN(4) == 0):
			model[name] = &Subscription{name: name}
			table.add(model[name])
		case s != nil && (!adds || rng.IntN(4) == 0):
			delete(model, name)
			if table.remove(s); s.next != nil {
				t.Fatalf("step %d: what was removed holds another topic", step)
			}
		case s != nil:
			model[name] = &Subscription{name: name}
			if table.replace(s, model[name]); s.next != nil {
				t.Fatalf("step %d: what was replaced holds another topic", step)
			}
		}
		if table.len() != len(model) || len(table.buckets) < len(model) {
			t.Fatalf("step %d: %d topics in %d lists, want %d", step, table.len(), len(table.buckets), len(model))
		}
		if step%100 != 0 {
			continue
		}
		names := table.names()
		slices.Sort(names)
		if !slices.Equal(names, slices.Sorted(maps.Keys(model))) {
			t.Fatalf("step %d: %q", step, names)
		}
	}
	for _, s := range model {
		table.remove(s)
	}
	if table.len() != 0 || table.of("1") != nil || len(table.names()) != 0 {
		t.Errorf("%d topics are left", table.len())
	}
}
