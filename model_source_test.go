package penstock_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// ledger is what a source knows of its events. Its stage's goroutine writes it.
type ledger struct {
	r      *modelRun
	ids    []int                     // by sequence number, where the source knows them
	ended  map[uint64]bool           // which of them have a receipt
	counts map[receipt.Outcome]int64 // of receipts
	gone   map[receipt.Reason]int64  // the reasons of those that were discarded
}

func newLedger(r *modelRun) ledger {
	return ledger{r: r, ended: map[uint64]bool{}, counts: map[receipt.Outcome]int64{}, gone: map[receipt.Reason]int64{}}
}

// note takes receipts, and returns which ids were abandoned.
func (l *ledger) note(receipts []stage.Receipt) (abandoned []int) {
	for _, rec := range receipts {
		l.counts[rec.Outcome] += int64(rec.Count)
		if rec.Outcome == receipt.Discarded {
			l.gone[rec.Reason] += int64(rec.Count)
		}
		for seq := range rec.Seqs() {
			if l.ended[seq] {
				l.r.fault("event %d has two receipts", seq)
			}
			l.ended[seq] = true
			if l.ids == nil {
				continue
			}
			id := l.ids[seq]
			switch rec.Outcome {
			case receipt.Abandoned:
				abandoned = append(abandoned, id)
			case receipt.Done:
				l.r.done(id)
			case receipt.Failed:
				if !l.r.hasFailed(id) {
					l.r.fault("event %d has failed, but nothing of it has", id)
				}
			}
			if rec.Outcome != receipt.Abandoned {
				l.r.final[id] = rec.Outcome
			}
		}
	}
	return abandoned
}

// logSource emits the numbers from a position on, some later than they are asked for. What
// is not finished when it ends is read again in its next life, from the first gap on.
type logSource struct {
	ledger
	emit *stage.Emitter[item]
	self *stage.Handle
	rng  *rand.Rand
	next int
	owed int
	redo []int // abandoned, to be read again in this life
}

func (s *logSource) HandleEmitter(emit *stage.Emitter[item]) { s.emit = emit }

func (s *logSource) HandleStart(_ context.Context, self *stage.Handle) error {
	s.self = self
	return nil
}

func (s *logSource) HandleDemand(_ context.Context, n int, _ *stage.Emitter[item]) error {
	s.owed += n
	return s.serve()
}

func (s *logSource) HandleWake(context.Context, *stage.Emitter[item]) error { return s.serve() }

func (s *logSource) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	abandoned := s.note(receipts)
	if s.r.plan.endless && s.r.plan.seed%2 == 0 && len(abandoned) > 0 {
		s.r.repeats = true
		s.redo = append(s.redo, abandoned...)
		s.self.Wake()
	}
	return nil
}

// serve emits a part of what is owed, and comes back for the rest.
func (s *logSource) serve() error {
	p := s.r.plan
	for n := min(s.owed, 1+s.rng.IntN(20)); n > 0; n-- {
		var id int
		switch {
		case len(s.redo) > 0:
			id, s.redo = s.redo[0], s.redo[1:]
		case s.next < p.n:
			id = s.next
			s.next++
		case p.endless:
			return nil
		default:
			return stage.ErrDone
		}
		s.owed--
		s.ids = append(s.ids, id)
		s.emit.Emit(item{id: id, key: id % p.keys})
	}
	if s.owed > 0 {
		time.AfterFunc(time.Duration(s.rng.IntN(30))*time.Millisecond, s.self.Wake)
	}
	return nil
}

// pushes is a queue whose receipts are counted.
type pushes struct {
	*producer.Queue[item]
	ledger
}

func (s *pushes) HandleReceipts(ctx context.Context, receipts []stage.Receipt) error {
	s.note(receipts)
	return s.Queue.HandleReceipts(ctx, receipts)
}

// push pushes all events from several goroutines, each in its order, and returns a function
// that waits for them.
func (s *pushes) push(rng *rand.Rand) (wait func()) {
	p, pushers := s.r.plan, 1+rng.IntN(4)
	var all sync.WaitGroup
	for i := range pushers {
		seed := rng.Uint64()
		all.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 0))
			for id := range p.n {
				// A key is one goroutine's, so that its order is known.
				if id%p.keys%pushers != i {
					continue
				}
				time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
				ctx, cancel := context.Background(), context.CancelFunc(func() {})
				if rng.IntN(10) == 0 {
					ctx, cancel = context.WithTimeout(ctx, time.Millisecond)
				}
				err := s.Push(ctx, item{id: id, key: id % p.keys})
				cancel()
				s.r.pushed(id, err)
			}
		})
	}
	return all.Wait
}
