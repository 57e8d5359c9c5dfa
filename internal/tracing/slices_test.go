package tracing

import "testing"

type boxed struct{ field }

// TestSlices: a slice of carriers is read once it was asked for: its first sampled event.
func TestSlices(t *testing.T) {
	if ReadSlices[int](); NewCarriers[[]int]() != nil {
		t.Error("slices of what is no carrier are read")
	}
	ReadSlices[boxed]()
	ReadSlices[[]boxed]()
	unsampled := someContext
	unsampled.Flags = 0
	list := [][]boxed{{{field{unsampled}}, {}}, nil, {{field{unsampled}}, {field{someContext}}, {}}}
	of := NewCarriers[[]boxed]()
	if i := of.Next(list, 0); i != 2 || of.Context(&list[2]) != someContext || of.Sampled(&list[0]).IsValid() {
		t.Errorf("found slice %d", i)
	}
	if i := NewCarriers[[][]boxed]().Next([][][]boxed{list[:2], list}, 0); i != 1 {
		t.Errorf("found slice %d of slices", i)
	}
	if n := testing.AllocsPerRun(10, func() { of.Next(list, 0) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
