package consumer

import (
	"context"
	"fmt"
	"runtime"
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
	epoch    time.Time

	processors int // that run goroutines

	mu       sync.Mutex
	jobs     ring.Ring[job[T]]
	idle     []*worker[T] // the one that became idle last is used first
	waking   int          // goroutines that were woken and have not taken a job yet
	slow     bool         // the last job that was timed took longer than slowJob
	accounts []*account[T]
	restarts ring.Ring[time.Duration] // when, within the window
	stopping bool
	running  int           // goroutines of the pool
	busy     int           // of them with a job
	quiet    chan struct{} // closed when stopping and no goroutine is left
}

// slowJob is how long a job takes that is long beside waking a goroutine.
const slowJob = 5 * time.Microsecond

// job is an event on its way through a worker.
type job[T any] struct {
	account  *account[T]
	position uint64
	event    T
	attempt  int
}

// halt is how a worker's goroutine stops the stage.
type halt struct{ err error }

// NewSupervisor answers a supervisor whose workers run work. The context that
// work gets is cancelled when the supervisor is stopped and, if Timeout is set,
// when the attempt has taken too long. A wrong option is reported when the
// stage is started.
func NewSupervisor[T any](work func(ctx context.Context, event T) error, cfg SupervisorConfig[T]) *Supervisor[T] {
	s := &Supervisor[T]{work: work, cfg: cfg.withDefaults(), quiet: make(chan struct{}), measured: cfg.Metrics != nil}
	s.invalid = s.cfg.validate()
	if work == nil {
		s.invalid = &stage.OptionError{Owner: "consumer.Supervisor", Option: "work", Value: nil, Allowed: "a function, not nil"}
	}
	s.timer = s.cfg.Metrics.Timer("pipeline.worker.process_time")
	return s
}

// HandleDefaultDemand implements stage.DefaultDemandHandler.
func (s *Supervisor[T]) HandleDefaultDemand() (maxDemand, minDemand int) {
	return s.cfg.MaxDemand, s.cfg.MinDemand
}

// HandleStart implements stage.StartHandler.
func (s *Supervisor[T]) HandleStart(ctx context.Context, self *stage.Handle) error {
	s.ctx, s.self, s.name, s.epoch = ctx, self, self.Name(), time.Now()
	s.processors = runtime.GOMAXPROCS(0)
	return s.invalid
}

// clock is the time since the start: it reads one clock where time.Now reads
// two.
func (s *Supervisor[T]) clock() time.Duration { return time.Since(s.epoch) }

// HandleEvents implements stage.Consumer; a Supervisor is given deliveries
// instead.
func (s *Supervisor[T]) HandleEvents(context.Context, []T) error { return errDeliveries }

// HandleDelivery implements stage.DeliveryHandler.
func (s *Supervisor[T]) HandleDelivery(_ context.Context, d stage.Delivery[T]) error {
	s.mu.Lock()
	a := s.accountOf(d.Subscription)
	for i, event := range d.Events {
		s.jobs.Push(job[T]{account: a, position: d.First + uint64(i), event: event})
	}
	s.wake()
	return nil
}

// HandleInfo implements stage.InfoHandler: it is how a worker's goroutine stops
// the stage.
func (s *Supervisor[T]) HandleInfo(_ context.Context, msg any) error {
	if h, ok := msg.(halt); ok {
		return h.err
	}
	return nil
}

// HandleTerminate implements stage.TerminateHandler. It waits for the workers, whose
// contexts are cancelled by then unless all was drained, up to ShutdownTimeout,
// behind which it answers stage.ErrHung.
func (s *Supervisor[T]) HandleTerminate(context.Context, error) error {
	s.mu.Lock()
	s.stopping = true
	s.jobs.Drop(s.jobs.Len())
	for _, w := range s.idle {
		close(w.wake)
	}
	s.idle = nil
	running := s.running
	s.mu.Unlock()
	if running == 0 {
		return nil
	}
	timer := time.NewTimer(s.cfg.ShutdownTimeout)
	defer timer.Stop()
	select {
	case <-s.quiet:
		return nil
	case <-timer.C:
	}
	s.mu.Lock()
	running = s.running
	s.mu.Unlock()
	return fmt.Errorf("%d workers did not return within %v: %w", running, s.cfg.ShutdownTimeout, stage.ErrHung)
}

// Stats are a supervisor's figures at one moment.
type Stats struct {
	// Busy is how many workers run, Waiting how many events wait for a
	// goroutine, Deferred how many receipts workers have taken into their own
	// hands and not given yet.
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
	deferred := 0
	for _, a := range s.accounts {
		deferred += len(a.deferred)
	}
	return Stats{Busy: s.busy, Waiting: s.jobs.Len(), Deferred: deferred, Goroutines: s.running}
}

// wake gives goroutines to waiting jobs, unlocks, and says whether it woke one.
// As long as jobs are short one is woken at a time, which wakes the next when it
// has taken its job, so that events which one worker gets through alone do not
// cost a wake-up each. Of slow jobs as many are given away at once as there are
// processors.
func (s *Supervisor[T]) wake() (woke bool) {
	limit := 1
	if s.slow {
		limit = s.processors
	}
	for s.waking < min(limit, s.jobs.Len()) && !s.stopping {
		s.waking++
		woke = true
		if n := len(s.idle); n > 0 {
			w := s.idle[n-1]
			s.idle = s.idle[:n-1]
			s.mu.Unlock()
			w.wake <- struct{}{}
		} else {
			s.running++
			s.mu.Unlock()
			go newWorker(s).run()
		}
		s.mu.Lock()
	}
	s.mu.Unlock()
	return woke
}

// mayRestart counts a restart and says whether it is not one too many. The
// caller holds the lock.
func (s *Supervisor[T]) mayRestart(now time.Duration) bool {
	if s.cfg.MaxRestarts == stage.Unlimited {
		return true
	}
	for s.restarts.Len() > 0 && now-*s.restarts.At(0) > s.cfg.RestartWindow {
		s.restarts.Drop(1)
	}
	s.restarts.Push(now)
	return s.restarts.Len() <= s.cfg.MaxRestarts
}
