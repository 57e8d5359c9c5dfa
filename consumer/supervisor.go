package consumer

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

// Supervisor runs a worker for each event, at most as many at once as its
// subscriptions have asked for. The goroutines of workers that have ended are
// used again for others. What a worker does to its goroutine (a panic, Goexit,
// never returning) stays with that worker.
type Supervisor[T any] struct {
	work    func(ctx context.Context, event T) error
	cfg     SupervisorConfig[T]
	self    *stage.Handle
	ctx     context.Context
	timer   metrics.Timer
	tracer  trace.Tracer // nil: there are no spans
	meters  meters
	epoch   time.Time     // the start
	quiet   chan struct{} // closed when the pool stops and nothing of it runs any more
	orders  orders[T]     // of the stage's goroutine
	free    sync.Pool     // of *orders[T], for other goroutines than the pool's
	ticker  *time.Timer   // calls tick
	wakeup  *time.Timer   // calls alarm
	lookout lookout
	letters *letters[T] // nil: there is no sink

	// mu guards the fields below, and the task of each worker. No user function
	// is called and nothing is sent with it held.
	mu     sync.Mutex
	pool   pool[T]
	halted error      // what stops the stage
	idle   *worker[T] // a stack, linked by next: the goroutine that parked last is woken first
}

// halt is how a worker's goroutine stops the stage: HandleInfo returns err.
type halt struct{ err error }

// NewSupervisor returns a supervisor whose workers run work. The context that
// work gets is cancelled when the supervisor is stopped and, if Timeout is set,
// when the attempt has taken too long. An error is an [*OptionError].
func NewSupervisor[T any](work func(ctx context.Context, event T) error, cfg SupervisorConfig[T]) (*Supervisor[T], error) {
	s := &Supervisor[T]{work: work, cfg: cfg.withDefaults(), quiet: make(chan struct{})}
	if err := option.First(
		option.Owner("consumer.Supervisor").Needs("work", work, "a function"),
		s.cfg.validate(),
	); err != nil {
		return nil, err
	}
	s.letters = newLetters(s.cfg.DeadLetters, s.cfg.Encode)
	s.timer = s.cfg.Metrics.Timer("pipeline.worker.process_time")
	s.meters = newMeters(s.cfg.Metrics)
	return s, nil
}

// HandleDefaultDemand implements stage.DefaultDemandHandler.
func (s *Supervisor[T]) HandleDefaultDemand() (maxDemand, minDemand int) {
	return s.cfg.MaxDemand, s.cfg.MinDemand
}

// HandleSubscribeConfig implements stage.SubscribeConfigHandler: Manual is refused.
func (s *Supervisor[T]) HandleSubscribeConfig(cfg stage.SubscribeConfig) error {
	return refuseManual("consumer.Supervisor", cfg)
}

// HandleStart implements stage.StartHandler.
func (s *Supervisor[T]) HandleStart(ctx context.Context, self *stage.Handle) error {
	s.ctx, s.self, s.epoch, s.tracer = ctx, self, time.Now(), trace.TracerOf(ctx)
	s.pool.rules = rules{
		stage: self.Name(), restart: s.cfg.Restart,
		maxRestarts: s.cfg.MaxRestarts, window: s.cfg.RestartWindow,
		maxDeferred: s.cfg.MaxDeferred, processors: runtime.GOMAXPROCS(0),
	}
	s.ticker = time.AfterFunc(patience, s.tick)
	// A tick that has fired already does no harm: it looks at the pool like any other.
	s.ticker.Stop() // until it is ordered
	s.wakeup = time.AfterFunc(patience, s.alarm)
	s.wakeup.Stop()
	s.lookOut()
	return s.letters.start(ctx, self, s.cfg.Metrics, s.cfg.Logger)
}

// clock returns the time since the start, from any goroutine. It reads one clock where
// time.Now reads two.
func (s *Supervisor[T]) clock() time.Duration { return time.Since(s.epoch) }

// HandleEvents implements stage.Consumer; a Supervisor is given deliveries
// instead.
func (s *Supervisor[T]) HandleEvents(context.Context, []T) error { return errDeliveries }

// HandleDelivery implements stage.DeliveryHandler.
func (s *Supervisor[T]) HandleDelivery(_ context.Context, d stage.Delivery[T]) error {
	o := &s.orders
	o.reset()
	s.mu.Lock()
	a := s.account(d.Subscription)
	// The producer may want receipts only since this delivery.
	if !a.tracked && d.Subscription.Tracked() {
		a.track()
	}
	s.pool.deliver(a, d.First, d.Events, o)
	woken := s.popIdle(o.wake)
	s.mu.Unlock()
	s.carryOut(o, woken)
	return nil
}

// account returns the account of sub, a new one at its first delivery. Accounts of
// subscriptions that have ended are dropped then. The caller holds the lock.
func (s *Supervisor[T]) account(sub *stage.Subscription[T]) *account[T] {
	p := &s.pool
	for _, a := range p.accounts {
		if a.sub == sub {
			return a
		}
	}
	p.accounts = slices.DeleteFunc(p.accounts, func(a *account[T]) bool { return a.sub.Err() != nil })
	info := sub.Info()
	a := &account[T]{
		sub: sub, slots: info.MaxDemand, group: max(1, info.MinDemand),
		measured: s.cfg.measured,
		deferred: make(map[uint64]struct{}),
	}
	a.finish = func(position uint64, err error) { s.finishDeferred(a, position, err) }
	p.accounts = append(p.accounts, a)
	return a
}

// HandleInfo implements stage.InfoHandler: it is how a worker's goroutine stops
// the stage.
func (s *Supervisor[T]) HandleInfo(_ context.Context, msg any) error {
	if h, ok := msg.(halt); ok {
		return h.err
	}
	return nil
}

// HandleTerminate implements stage.TerminateHandler. It waits for the workers,
// whose contexts are cancelled by then unless all was drained, up to
// ShutdownTimeout, after which it returns stage.ErrHung. Whatever ended the
// stage, the receipts for all that has finished until then are handed over.
func (s *Supervisor[T]) HandleTerminate(context.Context, error) error {
	if s.self == nil {
		return nil // a wrapper has failed before it came to HandleStart
	}
	o := &s.orders
	o.reset()
	s.mu.Lock()
	s.pool.stop(o)
	woken := s.popIdle(o.wake)
	s.mu.Unlock()
	s.carryOut(o, woken)

	timer := time.NewTimer(s.cfg.ShutdownTimeout)
	defer timer.Stop()
	hung := s.endLetters()
	select {
	case <-s.quiet:
	case <-timer.C:
	}
	s.ticker.Stop() // what was ordered before has been carried out
	s.wakeup.Stop()
	s.lookAway()
	o.reset()
	s.mu.Lock()
	s.pool.close(o)
	left, halted := s.pool.stats(), s.halted
	again, forGood := s.pool.again.Rest(), s.pool.forGood.Rest()
	s.mu.Unlock()
	s.carryOut(o, nil)
	again.Log(s.cfg.Logger, "worker", s.self.Name())
	forGood.Log(s.cfg.Logger, "worker", s.self.Name())
	if n := left.Goroutines + left.Stuck; n > 0 {
		return fmt.Errorf("%d workers did not return within %v: %w", n, s.cfg.ShutdownTimeout, stage.ErrHung)
	}
	if hung != nil {
		return hung
	}
	// The stage may have ended before it came to the message.
	return halted
}

// SupervisorSnapshot holds a supervisor's figures at one moment.
type SupervisorSnapshot struct {
	// Busy is how many workers run, Waiting how many events wait for a
	// goroutine, Pausing how many wait for their next attempt, Deferred how many
	// receipts were deferred and not given yet.
	Busy     int `json:"busy"`
	Waiting  int `json:"waiting"`
	Pausing  int `json:"pausing"`
	Deferred int `json:"deferred"`
	// Goroutines is how many goroutines the pool keeps.
	Goroutines int `json:"goroutines"`
	// Stuck is how many goroutines have lost their event to Timeout and have not
	// returned since. They are not among Goroutines.
	Stuck int `json:"stuck"`
	// Restarts is how many attempts have followed a failed one, and Failed how
	// many events have failed for good, since the start.
	Restarts int64 `json:"restarts"`
	Failed   int64 `json:"failed"`
	// Ages are for how long attempts have run that have not returned, the longest first, at
	// most 64. A look once a second finds them: an attempt is in it from the first look at it
	// on, at most a second after its begin, and counts from then. Those that are Stuck are not
	// among them.
	Ages []time.Duration `json:"ages_ns,omitempty"`
	// DeadLetters is what has become of the letters of the events that have failed, nil
	// without a sink. Those that wait are among Deferred.
	DeadLetters *deadletter.WriterSnapshot `json:"dead_letters,omitempty"`
}

// Snapshot returns the supervisor's figures, from any goroutine.
func (s *Supervisor[T]) Snapshot() SupervisorSnapshot {
	letters := s.letters.snapshot()
	s.mu.Lock()
	stats := s.pool.stats()
	if len(s.pool.tasks) > 0 { // otherwise it may not have begun
		stats.Ages = s.pool.ages(s.clock())
	}
	s.mu.Unlock()
	stats.Ages = longest(stats.Ages)
	stats.DeadLetters = letters
	return stats
}

// popIdle takes n idle workers, linked by next. There must be as many: the pool's count of
// idle goroutines is the length of the stack. The caller holds the lock.
func (s *Supervisor[T]) popIdle(n int) *worker[T] {
	if n == 0 {
		return nil
	}
	first := s.idle
	last := first
	for range n - 1 {
		last = last.next
	}
	s.idle, last.next = last.next, nil
	return first
}

// carryOut does what a step of the pool has ordered, without the lock, in the order of the
// fields. idle are the workers that the step wakes. Receipts are handed over first, since
// the end of the stage must not overtake them.
func (s *Supervisor[T]) carryOut(o *orders[T], idle *worker[T]) {
	if o.halt != nil {
		s.mu.Lock()
		s.halted = o.halt
		s.mu.Unlock()
		s.self.Send(halt{o.halt})
	}
	for i := range o.settle {
		o.settle[i].give()
	}
	for w := idle; w != nil; {
		next := w.next // the worker may park again as soon as it is woken
		w.wake <- struct{}{}
		w = next
	}
	for range o.start {
		go newWorker(s).run(event{what: woken})
	}
	if o.remind {
		s.ticker.Reset(patience)
	}
	if o.alarm {
		s.mu.Lock()
		s.setAlarm()
		s.mu.Unlock()
	}
	if o.quiet {
		close(s.quiet)
	}
	if o.yield {
		// The scheduler keeps the goroutine that was woken last for the processor
		// that has woken it, and lets others take it only after a pause, even if
		// they are idle: without this the stage would wait for the whole of the
		// next job.
		runtime.Gosched()
	}
}
