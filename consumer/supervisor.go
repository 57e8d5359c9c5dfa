package consumer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/stage"
)

// Supervisor runs a worker for each event, at most as many at once as its
// subscriptions have asked for. The goroutines of workers that have ended are
// used again for others; what a worker does to its goroutine (panic, Goexit,
// never returning) stays with that worker.
type Supervisor[T any] struct {
	work    func(ctx context.Context, event T) error
	cfg     SupervisorConfig[T]
	invalid error
	self    *stage.Handle
	ctx     context.Context
	name    string
	timer   metrics.Timer

	measured bool // the timer is a real one

	mu       sync.Mutex
	jobs     ring.Ring[job[T]]
	idle     []*worker[T] // the one that became idle last is used first
	waking   bool         // one was woken and has not taken a job yet
	accounts []*account[T]
	restarts []time.Time
	stopping bool
	running  int // goroutines
	busy     int // of them with a job
	deferred int
	quiet    chan struct{} // closed when stopping and no goroutine is left
}

// job is an event on its way through a worker.
type job[T any] struct {
	account  *account[T]
	position uint64
	event    T
	attempt  int
}

// account is what is due to one subscription.
type account[T any] struct {
	sub      *stage.Subscription[T]
	lot      int
	measured bool // how long its workers take
	finished []stage.Finished
	spare    []stage.Finished
	freed    int  // slots that were not asked for again yet
	settling bool // somebody is handing over

	finishDeferred func(position uint64, err error)
}

// NewSupervisor answers a supervisor whose workers run work. The context that
// work gets is cancelled when the supervisor is stopped and, if Timeout is set,
// when the attempt has taken too long. A wrong option is reported when the
// stage is started.
func NewSupervisor[T any](work func(ctx context.Context, event T) error, cfg SupervisorConfig[T]) *Supervisor[T] {
	s := &Supervisor[T]{work: work, cfg: cfg.withDefaults(), quiet: make(chan struct{}), measured: cfg.Metrics != nil}
	s.invalid = s.cfg.validate()
	if work == nil {
		s.invalid = &stage.OptionError{Stage: "supervisor", Option: "work", Value: nil, Allowed: "a function, not nil"}
	}
	s.timer = s.cfg.Metrics.Timer("pipeline.worker.process_time")
	return s
}

// DefaultDemand implements stage.DemandDefaulter.
func (s *Supervisor[T]) DefaultDemand() (maxDemand, minDemand int) {
	return s.cfg.MaxDemand, s.cfg.MinDemand
}

// HandleStart implements stage.Starter.
func (s *Supervisor[T]) HandleStart(ctx context.Context, self *stage.Handle) error {
	s.ctx, s.self, s.name = ctx, self, self.Name()
	return s.invalid
}

// HandleEvents implements stage.Consumer; a Supervisor is given deliveries
// instead.
func (s *Supervisor[T]) HandleEvents(context.Context, []T) error {
	return fmt.Errorf("supervisor %q takes deliveries", s.name)
}

// HandleDelivery implements stage.DeferredConsumer.
func (s *Supervisor[T]) HandleDelivery(_ context.Context, d stage.Delivery[T]) error {
	s.mu.Lock()
	a := s.accountOf(d.Subscription)
	for i, event := range d.Events {
		s.jobs.Push(job[T]{account: a, position: d.First + uint64(i), event: event})
	}
	s.wakeOne()
	return nil
}

// HandleInfo implements stage.Informed: it is how a worker's goroutine stops
// the stage.
func (s *Supervisor[T]) HandleInfo(_ context.Context, msg any) error {
	if err, ok := msg.(error); ok {
		return err
	}
	return nil
}

// HandleTerminate implements stage.Terminator. It waits for the workers, whose
// contexts are cancelled by then unless all was drained, up to ShutdownTimeout.
func (s *Supervisor[T]) HandleTerminate(context.Context, error) {
	s.mu.Lock()
	s.stopping = true
	s.jobs.Drop(s.jobs.Len())
	for _, w := range s.idle {
		close(w.wake)
	}
	s.idle = nil
	if s.running == 0 {
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	timer := time.NewTimer(s.cfg.ShutdownTimeout)
	defer timer.Stop()
	select {
	case <-s.quiet:
	case <-timer.C:
		s.cfg.Logger.Error("workers did not return", "stage", s.name, "after", s.cfg.ShutdownTimeout)
	}
}

// Stats are a supervisor's figures at one moment.
type Stats struct {
	// Busy is how many workers run, Waiting how many events wait for a
	// goroutine, Deferred how many receipts are outstanding though their
	// workers have ended.
	Busy     int `json:"busy"`
	Waiting  int `json:"waiting"`
	Deferred int `json:"deferred"`
	// Goroutines is how many goroutines the pool keeps.
	Goroutines int `json:"goroutines"`
}

// Stats answers the supervisor's figures, from any goroutine.
func (s *Supervisor[T]) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Busy: s.busy, Waiting: s.jobs.Len(), Deferred: s.deferred, Goroutines: s.running}
}

func (s *Supervisor[T]) accountOf(sub *stage.Subscription[T]) *account[T] {
	for _, a := range s.accounts {
		if a.sub == sub {
			return a
		}
	}
	s.accounts = slices.DeleteFunc(s.accounts, func(a *account[T]) bool { return a.sub.Err() != nil })
	a := &account[T]{sub: sub, lot: max(1, sub.Info().MinDemand), measured: s.measured || sub.Tracked()}
	s.accounts = append(s.accounts, a)
	return a
}

// wakeOne gives a goroutine to the first waiting job, and unlocks. Only one is
// woken at a time; it wakes the next when it has taken its job, so that events
// which one worker gets through alone do not cost a wake-up each.
func (s *Supervisor[T]) wakeOne() {
	if s.jobs.Len() == 0 || s.waking || s.stopping {
		s.mu.Unlock()
		return
	}
	s.waking = true
	if n := len(s.idle); n > 0 {
		w := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		w.wake <- struct{}{}
		return
	}
	s.running++
	s.mu.Unlock()
	newWorker(s).start()
}

// finish books the end of a job: its slot is free, and its receipt is due
// unless it was deferred. The caller holds the lock.
func (s *Supervisor[T]) finish(j *job[T], f stage.Finished, deferred bool) {
	a := j.account
	a.freed++
	if deferred {
		s.deferred++
		return
	}
	a.finished = append(a.finished, f)
}

// settle hands over what is due to a's subscription. The caller holds the lock,
// which is given up meanwhile; whoever comes while somebody is handing over
// leaves it to him.
func (s *Supervisor[T]) settle(a *account[T]) {
	const lot = 64 // receipts that may wait while there are jobs to be done
	for !a.settling {
		ask := 0
		if a.freed >= a.lot && s.deferred < s.cfg.MaxDeferred {
			ask = a.freed
		}
		if ask == 0 && len(a.finished) == 0 {
			return
		}
		if s.jobs.Len() > 0 && len(a.finished) < lot && ask < lot {
			return // some worker comes by again
		}
		a.freed -= ask
		list := a.finished
		a.finished, a.spare = a.spare[:0], nil
		a.settling = true
		s.mu.Unlock()
		a.sub.Settle(ask, list...)
		clear(list)
		s.mu.Lock()
		a.spare = list[:0]
		a.settling = false
	}
}

// mayRestart counts a restart and says whether it is one too many. The caller
// holds the lock.
func (s *Supervisor[T]) mayRestart(now time.Time) bool {
	keep := s.restarts[:0]
	for _, at := range s.restarts {
		if now.Sub(at) <= s.cfg.RestartWindow {
			keep = append(keep, at)
		}
	}
	s.restarts = append(keep, now)
	if s.cfg.MaxRestarts == stage.Unlimited {
		s.restarts = s.restarts[:0]
		return true
	}
	return len(s.restarts) <= s.cfg.MaxRestarts
}
