package fair

import (
	"fmt"
	"testing"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
)

// sinkOut is where a dispatcher puts what it hands out and discards.
type sinkOut struct {
	given     int
	discarded map[receipt.Reason]int
}

func (o *sinkOut) Give(int, int, int) { panic("Give") }

func (o *sinkOut) GiveHeld(int, string, uint64, uint64) { o.given++ }

func (o *sinkOut) Discard(_ string, _ uint64, reason receipt.Reason) { o.discarded[reason]++ }

// Under Conflate a dispatcher that is full takes an event that only replaces another: it
// needs no room. The source is asked for one event at a time.
func TestFullTakesWhatConflates(t *testing.T) {
	f := option.Must(New(func(e string) byte { return e[0] }, Config[string]{
		MaxEvents: 3, KeyOverflow: Conflate, SubKey: func(e string) string { return e[:2] },
	}))
	out := &sinkOut{discarded: map[receipt.Reason]int{}}
	if n := f.Dispatch(dispatcher.Offer[string]{Events: []string{"a1", "b1", "c1"}, First: 1}, out); n != 3 {
		t.Fatalf("%d of 3 were taken", n)
	}
	for i := range 10 {
		if d := f.Demand(); d != 1 {
			t.Fatalf("demand %d while full", d)
		}
		if n := f.Dispatch(dispatcher.Offer[string]{Events: []string{fmt.Sprint("b1 ", i)}, First: uint64(4 + i)}, out); n != 1 {
			t.Fatal("an event that replaces another was not taken")
		}
	}
	if n := out.discarded[receipt.Conflated]; n != 10 || f.Held() != 3 {
		t.Errorf("%d conflated, %d held", n, f.Held())
	}
	// A new thing has no room. It waits, and pauses the source.
	if n := f.Dispatch(dispatcher.Offer[string]{Events: []string{"a2"}, First: 14}, out); n != 0 || f.Demand() != 0 {
		t.Errorf("%d taken, demand %d", n, f.Demand())
	}
}

// A larger event in the place of a smaller one needs the difference in bytes.
func TestFullTakesNoLargerEvent(t *testing.T) {
	f := option.Must(New(func(e string) byte { return e[0] }, Config[string]{
		MaxBytes: 10, Size: func(e string) int { return len(e) }, KeyOverflow: Conflate, SubKey: func(e string) string { return e[:1] },
	}))
	out := &sinkOut{discarded: map[receipt.Reason]int{}}
	for i, tc := range []struct {
		event string
		taken int
	}{{"a2345", 1}, {"b2345", 1}, {"a2", 1}, {"b2345678", 1}, {"a23", 0}} {
		if n := f.Dispatch(dispatcher.Offer[string]{Events: []string{tc.event}, First: uint64(1 + i)}, out); n != tc.taken {
			t.Errorf("%q: %d taken", tc.event, n)
		}
	}
}

// The demand in bytes is an estimate from the mean size of the events held. What was asked
// for by it and is larger waits beyond the bound: never more than MaxBytes and the
// outstanding demand times the largest event.
func TestOvershootInBytesIsBounded(t *testing.T) {
	const maxBytes, large = 1 << 20, 64 << 10
	tiny := make([]int, 101) // a hundred tiny ones and a large one
	tiny[100] = large
	for _, sizes := range [][]int{{1, large}, {large, 1}, {1, 1, 1, 1, 1, 1, 1, 1, large}, tiny, {1}, {large}} {
		f := option.Must(New(func(int) int { return 0 }, Config[int]{
			MaxBytes: maxBytes, Size: func(v int) int { return sizes[v%len(sizes)] },
		}))
		var waits []int // with the stage
		next, bytes := 0, 0
		most := 0
		for range 10_000 {
			n := f.Demand()
			if n == 0 {
				break
			}
			most = max(most, n)
			for range n { // a source that serves all of its demand at once
				waits = append(waits, next)
				bytes += sizes[next%len(sizes)]
				next++
			}
			taken := f.Dispatch(dispatcher.Offer[int]{Events: waits, First: uint64(next - len(waits))}, nil)
			waits = waits[taken:]
			if limit := maxBytes + most*large; bytes > limit {
				t.Fatalf("sizes %v: %d bytes wait, beyond %d", sizes, bytes, limit)
			}
		}
		if f.Demand() > 0 || f.heldBytes > maxBytes {
			t.Errorf("sizes %v: %d bytes are held, demand %d", sizes, f.heldBytes, f.Demand())
		}
		t.Logf("%d sizes: %d bytes held, %d in all, demand at most %d", len(sizes), f.heldBytes, bytes, most)
	}
}
