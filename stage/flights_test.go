package stage

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/penstock-go/penstock/dispatcher"
)

// TestFlightsAgainstModel finishes deliveries in random order, some of them
// much later than all around them, and compares with a map.
func TestFlightsAgainstModel(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		f := flights[int]{keeps: true}
		model := map[uint64]int{}
		var open []uint64
		next := uint64(0)
		for range 2000 {
			if len(open) == 0 || random.IntN(100) < 51 {
				f.pushOne(next+7, 0, int(next)*3)
				model[next] = int(next) * 3
				open = append(open, next)
				next++
				continue
			}
			at := len(open) - 1 - random.IntN(min(len(open), 5)) // the oldest stay
			position := open[at]
			open = append(open[:at], open[at+1:]...)
			d, ok := f.finish(position)
			if !ok || d.event != model[position] || d.seq != position+7 {
				t.Fatalf("seed %d: position %d: %+v %v", seed, position, d, ok)
			}
			delete(model, position)
			if _, ok := f.finish(position); ok {
				t.Fatalf("seed %d: position %d was finished twice", seed, position)
			}
		}
		if f.open != len(model) {
			t.Fatalf("seed %d: %d open, want %d", seed, f.open, len(model))
		}
		last := -1
		for _, d := range f.removeAll() {
			if d.event <= last || model[uint64(d.event/3)] != d.event {
				t.Fatalf("seed %d: %+v after %d", seed, d, last)
			}
			last = d.event
			delete(model, uint64(d.event/3))
		}
		if len(model) != 0 || f.open != 0 {
			t.Fatalf("seed %d: %d were lost", seed, len(model))
		}
	}
}

// TestFlightsLandAll lands runs of any length from the front, of deliveries with and without
// tickets, in a queue that goes around its end.
func TestFlightsLandAll(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 2))
		f := flights[int]{keeps: true, scrub: seed%2 == 0}
		var model, got []dispatcher.Done
		seq := uint64(0)
		for range 500 {
			seq += uint64(random.IntN(2))
			if n := 1 + random.IntN(5); random.IntN(2) == 0 {
				f.push(seq, 0, n, make([]int, n))
				for range n {
					model = append(model, dispatcher.Done{Seq: seq})
					seq++
				}
			} else {
				ticket := uint64(1 + random.IntN(1000))
				f.pushOne(seq, ticket, 0)
				model = append(model, dispatcher.Done{Seq: seq, Ticket: ticket})
				seq++
			}
			n := random.IntN(min(f.open, 9) + 1)
			got = f.landAll(n, got[:0])
			if !slices.Equal(got, model[:n]) {
				t.Fatalf("seed %d: %v, want %v", seed, got, model[:n])
			}
			model = model[n:]
			if f.open != len(model) || f.events.Len() != len(model) || f.next-f.base != uint64(len(model)) {
				t.Fatalf("seed %d: %d open, %d events, want %d", seed, f.open, f.events.Len(), len(model))
			}
		}
		for i, d := range f.removeAll() {
			if d.seq != model[i].Seq || d.ticket != model[i].Ticket {
				t.Fatalf("seed %d: %+v, want %v", seed, d, model[i])
			}
		}
	}
}

// TestFlightsBehindASlowOne keeps one delivery open while a million others come
// and go.
func TestFlightsBehindASlowOne(t *testing.T) {
	f := flights[int]{keeps: true}
	f.pushOne(0, 0, -1)
	for i := range 1_000_000 {
		f.pushOne(uint64(i)+1, 0, i)
		if _, ok := f.finish(uint64(i) + 1); !ok {
			t.Fatal(i)
		}
		if f.events.Len() > spare+2 {
			t.Fatalf("%d entries are kept for one that is open", f.events.Len())
		}
	}
	if d, ok := f.finish(0); !ok || d.event != -1 || f.open != 0 {
		t.Fatalf("%+v %v", d, ok)
	}
}

// TestRunOfReceiptsBeforeFinishedOnes gives one receipt for the older half of the
// deliveries, which are not consecutive events, after the newer half was finished.
func TestRunOfReceiptsBeforeFinishedOnes(t *testing.T) {
	const half = 500
	o := newOutlet("S", ProducerConfig[int]{}, true, Unlimited)
	s := &Subscription[int]{}
	o.track(s)
	for i := range uint64(4) {
		s.flights.push(1000*i, 0, half/2, nil)
	}
	o.settleRuns(s, []finishedRun{{position: half, n: half}})
	o.settleRuns(s, []finishedRun{{position: 0, n: half}})
	times := map[uint64]int{}
	for _, r := range o.receipts {
		for seq := range r.Seqs() {
			times[seq]++
		}
	}
	for seq, n := range times {
		if n != 1 {
			t.Fatalf("event %d has %d receipts", seq, n)
		}
	}
	if len(times) != 2*half || s.flights.open != 0 {
		t.Fatalf("%d of %d events have a receipt, %d are open", len(times), 2*half, s.flights.open)
	}
}
