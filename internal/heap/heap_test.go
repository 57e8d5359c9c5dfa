package heap

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// The heap against a sorted list, under random pushes, changes and removals.
func TestAgainstASortedList(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		var h Heap[int]
		model, places := map[uint32]Entry[int]{}, map[uint32]int{}
		moved := func(id uint32, at int) { places[id] = at }
		for step := range 300 {
			e := Entry[int]{Key: rnd.IntN(10), Tie: uint64(step), ID: uint32(rnd.IntN(40))}
			_, there := model[e.ID]
			switch {
			case !there:
				h.Push(e, moved)
				model[e.ID] = e
			case rnd.IntN(3) == 0:
				h.Remove(places[e.ID], moved)
				delete(model, e.ID)
				delete(places, e.ID)
			default:
				h.Set(places[e.ID], e, moved)
				model[e.ID] = e
			}
			if len(h) != len(model) {
				t.Fatalf("%d members, want %d", len(h), len(model))
			}
			for id, at := range places {
				if h[at] != model[id] {
					t.Fatalf("member %d is not at %d", id, at)
				}
			}
			for at := range h {
				if at > 0 && before(&h[at], &h[(at-1)/2]) {
					t.Fatalf("entry %d is less than its parent", at)
				}
			}
		}
		var got, want []Entry[int]
		for len(h) > 0 {
			got = append(got, h[0])
			h.Remove(0, moved)
		}
		for _, e := range model {
			want = append(want, e)
		}
		slices.SortFunc(want, func(a, b Entry[int]) int {
			if before(&a, &b) {
				return -1
			}
			return 1
		})
		if !slices.Equal(got, want) {
			t.Fatalf("left in the order %v, want %v", got, want)
		}
	}
}

func TestAllocatesNothing(t *testing.T) {
	var h Heap[int64]
	places := make([]int, 100)
	moved := func(id uint32, at int) { places[id] = at }
	cycle := func() {
		for i := range uint32(100) {
			h.Push(Entry[int64]{Key: int64(i * 37 % 100), ID: i}, moved)
		}
		for len(h) > 0 {
			h.Remove(0, moved)
		}
	}
	cycle()
	if n := testing.AllocsPerRun(100, cycle); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
