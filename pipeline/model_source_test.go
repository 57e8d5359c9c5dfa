package pipeline_test

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// modelSource emits numbers, some later than they are asked for, and knows the state of
// each. Its stage's goroutine uses it; what the run reads is guarded by the run's lock.
type modelSource struct {
	r        *modelRun
	node     *modelNode
	place    int // among the sources
	n, keys  int
	endless  bool
	rng      *rand.Rand
	emit     *stage.Emitter[item]
	self     *stage.Handle
	next     int
	owed     int
	draining bool
	redo     []int
	seqs     []int // the ids that were emitted

	taken map[int]time.Time // when each id was emitted the last time
	final map[int]receipt.Outcome
	open  map[int]int // emissions without a receipt
}

func (s *modelSource) HandleEmitter(emit *stage.Emitter[item]) { s.emit = emit }

func (s *modelSource) HandleStart(_ context.Context, self *stage.Handle) error {
	s.self = self
	return nil
}

func (s *modelSource) HandleDemand(_ context.Context, n int, _ *stage.Emitter[item]) error {
	s.owed += n
	return s.serve()
}

func (s *modelSource) HandleWake(context.Context, *stage.Emitter[item]) error { return s.serve() }

func (s *modelSource) HandleDrain(context.Context) error {
	s.draining = true
	s.r.ending()
	return stage.ErrDone
}

func (s *modelSource) serve() error {
	if s.draining {
		return nil
	}
	for n := min(s.owed, 1+s.rng.IntN(20)); n > 0; n-- {
		i := s.next
		switch {
		case len(s.redo) > 0:
			i, s.redo = s.redo[0]%modelIDs, s.redo[1:]
		case s.next < s.n:
			s.next++
		case s.endless:
			return nil
		default:
			s.r.ending()
			return stage.ErrDone
		}
		s.owed--
		id := s.place*modelIDs + i
		s.seqs = append(s.seqs, id)
		s.r.mu.Lock()
		s.taken[id] = time.Now()
		s.open[id]++
		s.r.mu.Unlock()
		s.r.moved()
		s.emit.Emit(item{ID: id, Key: s.place*100 + i%s.keys})
	}
	if s.owed > 0 {
		time.AfterFunc(time.Duration(s.rng.IntN(30))*time.Millisecond, s.self.Wake)
	}
	return nil
}

// HandleReceipts takes receipts, and emits again what was abandoned.
func (s *modelSource) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	s.r.moved()
	for _, rec := range receipts {
		for seq := range rec.Seqs() {
			id := s.seqs[seq]
			s.r.mu.Lock()
			if s.open[id]--; s.open[id] == 0 {
				delete(s.open, id)
			} else if s.open[id] < 0 {
				s.r.fault("event %d has two receipts", id)
			}
			s.r.mu.Unlock()
			if rec.Outcome == receipt.Abandoned {
				s.redo = append(s.redo, id)
				s.r.noteAbandoned(id)
				continue
			}
			s.r.finished(s, id, rec.Outcome)
		}
	}
	s.self.Wake()
	return nil
}

// modelIDs is more than a source's events.
const modelIDs = 100_000
