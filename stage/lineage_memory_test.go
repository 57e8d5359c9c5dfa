package stage

import (
	"testing"

	"github.com/penstock-go/penstock/receipt"
)

// A child that never ends takes the room of one, not of those emitted along with it.
func TestLineageKeepsWhatIsOpen(t *testing.T) {
	const n, every = 1 << 20, 5000
	l := new(lineage[int])
	for seq := range uint64(n) {
		l.addEach(seq, inputs[int]{position: seq, n: 1})
	}
	open := 0
	for seq := range uint64(n) {
		if seq%every == 0 {
			open++
			continue
		}
		l.ended(seq, 1, receipt.Done, "")
	}
	if kept := l.groups.Len() + len(l.late); kept > spare+3*open {
		t.Fatalf("%d groups and %d late children are kept for %d open ones", l.groups.Len(), len(l.late), open)
	}
	for seq := uint64(0); seq < n; seq += every {
		l.ended(seq, 1, receipt.Done, "")
	}
	if l.groups.Len() != 0 || len(l.late) != 0 || l.open != 0 {
		t.Fatalf("%d groups and %d late children are kept of %d open groups", l.groups.Len(), len(l.late), l.open)
	}
}

// Receipts for a run of events reach the open groups that later ones have overtaken,
// also if the run begins with events that were emitted for no input.
func TestLineageEndsOvertakenGroupsAfterEventsWithoutInput(t *testing.T) {
	const n = maxEach * 2 * spare
	s := &Subscription[int]{inputs: n}
	l := new(lineage[int])
	for i := range uint64(n) {
		l.addEach(10+i, inputs[int]{sub: s, position: i, n: 1}) // 0 to 9 have no input
	}
	l.ended(12, n-2, receipt.Done, "")
	if len(l.late) != 2 {
		t.Fatalf("%d groups were overtaken, want 2", len(l.late))
	}
	l.ended(0, 12, receipt.Done, "")
	if s.inputs != 0 || len(l.late) != 0 {
		t.Fatalf("%d inputs are not finished", s.inputs)
	}
}
