package pipeline_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// modelSource is the account of a source: which events it has, and what became of each. It
// outlives the handlers of a source that is made anew. What the run reads is guarded by the
// run's lock.
type modelSource struct {
	r       *modelRun
	node    *modelNode
	place   int // among the sources
	n, keys int
	endless bool
	anew    bool // it is one of FromFunc
	rng     *rand.Rand
	next    int
	redo    []int
	lives   int // handlers that were made
	emitted int // by all of them
	life    int // events that the handler now has emitted

	taken map[int]time.Time // when each id was emitted the last time
	final map[int]receipt.Outcome
	open  map[int]int // emissions without a receipt
}

// modelFeed is a handler of a source: it emits numbers, some later than they are asked for.
// Its stage's goroutine uses it.
type modelFeed struct {
	*modelSource
	emit     *stage.Emitter[item]
	self     *stage.Handle
	owed     int
	draining bool
	seqs     []int // the ids that were emitted
}

// feed makes a handler. What the one before had emitted and not finished is emitted again,
// as a source does that goes on from where it has stored its progress.
func (s *modelSource) feed() *modelFeed {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.lives++
	s.life = 0
	if s.lives > 1 {
		s.redo = s.redo[:0]
		for id := range s.taken {
			if _, ended := s.final[id]; !ended {
				s.redo = append(s.redo, id)
				s.r.late[id] = true
			}
		}
		slices.Sort(s.redo)
		clear(s.open)
	}
	return &modelFeed{modelSource: s}
}

func (s *modelFeed) HandleEmitter(emit *stage.Emitter[item]) { s.emit = emit }

func (s *modelFeed) HandleStart(_ context.Context, self *stage.Handle) error {
	s.self = self
	return nil
}

func (s *modelFeed) HandleDemand(_ context.Context, n int, _ *stage.Emitter[item]) error {
	s.owed += n
	return s.serve()
}

func (s *modelFeed) HandleWake(context.Context, *stage.Emitter[item]) error { return s.serve() }

func (s *modelFeed) HandleDrain(context.Context) error {
	s.draining = true
	s.r.ending()
	return stage.ErrDone
}

func (s *modelFeed) serve() error {
	if s.draining {
		return nil
	}
	if s.anew {
		if err := s.r.crashes(s.node); err != nil {
			return err
		}
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
		s.emitted++
		s.life++
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
func (s *modelFeed) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
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
			s.r.finished(s.modelSource, id, rec.Outcome)
		}
	}
	s.self.Wake()
	return nil
}

// modelIDs is more than a source's events.
const modelIDs = 100_000
