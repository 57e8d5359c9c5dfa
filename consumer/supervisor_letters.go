package consumer

import (
	"time"

	"github.com/penstock-go/penstock/stage"
)

// bury hands over the letter of the task's event, which has failed for good, if there is a
// sink. The event gets its receipt when the letter is stored, as if that was deferred.
func (w *worker[T]) bury(failed *WorkerError) {
	s, t := w.s, w.task
	if s.letters == nil || t.deferred {
		return
	}
	s.mu.Lock()
	a, receipt := s.pool.bury(t)
	s.mu.Unlock()
	s.letters.send(t.event, failed.Err, failed.Attempt, s.epoch.Add(t.first), func() { s.unbury(a, receipt) })
}

// unbury gives the receipt of an event whose letter is stored. It runs on the goroutine of
// the letters' writer.
func (s *Supervisor[T]) unbury(a *account[T], receipt stage.Finished) {
	o := s.freeOrders()
	s.mu.Lock()
	s.pool.unbury(a, receipt, o)
	s.mu.Unlock()
	s.handOver(o)
}

// endLetters waits until the letters are stored and the workers have ended, up to four
// fifths of ShutdownTimeout, and ends the letters' writer. What is not stored by then has
// no receipt. The error is one of a sink that does not heed its context.
func (s *Supervisor[T]) endLetters() error {
	if s.letters == nil {
		return nil
	}
	timer := time.NewTimer(s.cfg.ShutdownTimeout / 5 * 4)
	defer timer.Stop()
	select {
	case <-s.quiet:
	case <-timer.C:
	}
	err := s.letters.close(0)
	o := s.freeOrders()
	s.mu.Lock()
	s.pool.exhume(o)
	s.mu.Unlock()
	s.handOver(o)
	return err
}

// bury leaves the receipt of a task's event to the writer of its letter, and returns the
// receipt.
func (p *pool[T]) bury(t *task[T]) (*account[T], stage.Finished) {
	t.deferred = true
	t.account.deferred[t.position] = struct{}{}
	p.buried++
	return t.account, stage.Finished{Position: t.position, Err: t.failure, Cost: t.cost}
}

// unbury takes the receipt of an event whose letter is stored.
func (p *pool[T]) unbury(a *account[T], f stage.Finished, o *orders[T]) {
	p.settleDeferred(a, f, o)
	p.buried--
	p.hush(o)
}

// exhume waits for no letter any more.
func (p *pool[T]) exhume(o *orders[T]) {
	p.exhumed = true
	p.hush(o)
}
