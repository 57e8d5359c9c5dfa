package pipeline_test

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// torrent is a source that emits 0, 1, 2 and so on whenever it is asked, up to limit, and
// keeps account of the receipts.
type torrent struct {
	limit int // 0 for none

	mu       sync.Mutex
	next     int
	outcomes []receipt.Outcome // by event
	receipts int
}

func (s *torrent) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limit > 0 {
		n = min(n, s.limit-s.next)
	}
	slots := emit.Slots(n)
	for i := range slots {
		slots[i] = s.next
		s.next++
	}
	if s.limit > 0 && s.next == s.limit {
		return stage.ErrDone
	}
	return nil
}

func (s *torrent) HandleDrain(context.Context) error { return stage.ErrDone }

func (s *torrent) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range receipts {
		for seq := range r.Seqs() {
			for uint64(len(s.outcomes)) <= seq {
				s.outcomes = append(s.outcomes, 0)
			}
			s.outcomes[seq] = r.Outcome + 1
			s.receipts++
		}
	}
	return nil
}

// emitted returns how many events the source has emitted.
func (s *torrent) emitted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// count returns how many events have a receipt of this outcome.
func (s *torrent) count(o receipt.Outcome) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, got := range s.outcomes {
		if got == o+1 {
			n++
		}
	}
	return n
}

// finished fails the test unless each emitted event has one receipt, and it is Done.
func (s *torrent) finished(t *testing.T) {
	t.Helper()
	done := s.count(receipt.Done)
	if n := s.emitted(); done != n || s.receipts != n {
		t.Errorf("%d events emitted, %d receipts, %d of them Done", n, s.receipts, done)
	}
}

// cpu returns the processor time that the process has used.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// keyOf returns the key of an event, one of keys.
func keyOf(v, keys int) int { return v % keys }

// order notes what was handled, and fails the test if the events of a key are out of order
// or handled twice.
type order struct {
	keys int

	mu      sync.Mutex
	last    map[int]int
	handled int
	wrong   int
	moments map[int]time.Time // of the last event of each key
}

func newOrder(keys int) *order {
	return &order{keys: keys, last: make(map[int]int), moments: make(map[int]time.Time)}
}

func (o *order) note(v int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := keyOf(v, o.keys)
	if last, ok := o.last[k]; ok && v != last+o.keys || !ok && v != k {
		o.wrong++
	}
	o.last[k] = v
	o.moments[k] = time.Now()
	o.handled++
}

// check fails the test unless n events were handled, each once and in the order of its key.
func (o *order) check(t *testing.T, n int) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.handled != n || o.wrong > 0 {
		t.Errorf("%d events handled of %d, %d out of order", o.handled, n, o.wrong)
	}
}
