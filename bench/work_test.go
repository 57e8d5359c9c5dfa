package bench

import (
	"testing"
)

// Every benchmark's work and every reference arrives complete, whether or not
// the number of events is one of whole batches. The runs check themselves.
func TestWorkIsComplete(t *testing.T) {
	for _, n := range []int{1, 7, 1000, 54_321} {
		for _, d := range demands {
			runW1(t, n, d)
			handOver(t, n, d)
			runW1b(t, n, d)
			handOverRecords(t, n, d)
			runW2(t, n, d)
			runW2Receipts(t, n, d)
			relay(t, w2Between, n, d)
			runW5(t, n, d)
			copyToAll(t, n, d)
		}
		runW4(t, n, 100)
	}
}

// Each partition gets its own events, and so does each of the reference's.
func TestW3SplitsByHash(t *testing.T) {
	for _, n := range []int{1, 7, 1000, 54_321} {
		var want [w3Parts]summer
		for v := range n {
			i, _ := partOf(v)
			want[i].count++
			want[i].total += v
		}
		for _, d := range demands {
			var ours, batch, theirs [w3Parts]summer
			runW3(t, n, d, &ours)
			runW3Batch(t, n, d, &batch)
			split(t, n, d, &theirs)
			if ours != want || batch != want || theirs != want {
				t.Fatalf("%d events at %+v: the stages split them as %v, in batches as %v, and the reference as %v, want %v", n, d, ours, batch, theirs, want)
			}
		}
	}
}

// 3,000 consumers get each event once between them, and asks are counted from
// the moment at which all are warm.
func TestW8IsComplete(t *testing.T) {
	const n = 100_000
	for _, consumers := range w8Consumers {
		began, ended := 0, 0
		asks := runW8(t, n, consumers, demands[0], func() { began++ }, func() { ended++ })
		if began != 1 || ended != 1 {
			t.Fatalf("measured from %d beginnings to %d ends, want one of each", began, ended)
		}
		// The demand that was open when it began may be served without an ask, but
		// no more than that.
		if least := (n - consumers*demands[0].max) / demands[0].max; asks < least {
			t.Fatalf("%d asks for %d events, want at least %d", asks, n, least)
		}
		if slices, want := channelsW8(t, n, consumers, demands[0], func() {}, func() {}), n/demands[0].batch(); slices != want {
			t.Fatalf("%d slices for %d events, want %d", slices, n, want)
		}
	}
}
