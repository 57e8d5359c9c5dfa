package stage

import (
	"math/rand/v2"
	"testing"

	"github.com/penstock-go/penstock/receipt"
)

// Inputs with one child each come in runs of any length, and their children end in runs
// that begin and end anywhere: each input has its receipt once, and nothing is kept.
func TestLineageEndsEachInputOnce(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		s := &Subscription[int]{}
		l := new(lineage[int])
		var open []uint64 // children, in order
		seq, position := uint64(rng.IntN(3)), uint64(0)
		inputOf := map[uint64]uint64{}
		finished := map[uint64]int{}
		take := func() {
			list := s.takePending()
			if list == nil {
				return
			}
			for _, r := range list.runs {
				for i := range r.n {
					finished[r.position+uint64(i)]++
				}
			}
		}
		end := func(i, n int) {
			first := open[i]
			k := 1
			for k < n && i+k < len(open) && open[i+k] == first+uint64(k) {
				k++
			}
			open = append(open[:i], open[i+k:]...)
			l.ended(first, k, receipt.Done, "")
			take()
			for c := first; c < first+uint64(k); c++ {
				if finished[inputOf[c]] != 1 {
					t.Fatalf("seed %d: the input of child %d has %d receipts", seed, c, finished[inputOf[c]])
				}
			}
		}
		for range 200 {
			if rng.IntN(2) == 0 {
				n := 1 + rng.IntN(2*maxEach>>rng.IntN(11))
				s.inputs += n
				l.addEach(seq, inputs[int]{sub: s, position: position, n: n})
				for range n {
					open = append(open, seq)
					inputOf[seq] = position
					seq++
					position++
				}
				if rng.IntN(4) == 0 {
					seq += 2 // of no input
				}
				continue
			}
			if len(open) > 0 {
				at := 0
				if rng.IntN(3) == 0 {
					at = rng.IntN(len(open))
				}
				end(at, 1+rng.IntN(2*maxEach>>rng.IntN(11)))
			}
		}
		for len(open) > 0 {
			end(rng.IntN(len(open)), maxEach)
		}
		if s.inputs != 0 || l.groups.Len() != 0 || len(l.late) != 0 || l.open != 0 || len(finished) != int(position) {
			t.Fatalf("seed %d: %d inputs open, %d groups, %d late children, %d of %d finished", seed, s.inputs, l.groups.Len(), len(l.late), len(finished), position)
		}
		for _, w := range l.words {
			for _, bits := range w {
				if bits != 0 {
					t.Fatalf("seed %d: words are not clear", seed)
				}
			}
		}
	}
}
