package pipeline

import (
	"context"
	"slices"
	"sync"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/tracing"
	"github.com/penstock-go/penstock/stage"
)

// stepBase is what all handlers of steps have in common.
type stepBase[In, Out any] struct {
	cfg  StepConfig[In]
	at   stepPlace
	pool *pool[work[In, Out]]
	self *stage.Handle
	late lateness
	// place is that of the event, in the delivery of an end, that the program's function is
	// called for. It belongs to the stage's goroutine.
	place int

	// These belong to the stage's goroutine.
	call stepFunc[In, Out] // for events that run on it
	lane work[In, Out]     // the event that does
	keys []eventKey        // of a delivery
	// recent is the account that was asked for last, and passed counts the runs whose time
	// was not taken.
	recent *stepAccount[In]
	passed int

	traces stepTraces[In]
	open   tracing.Spans[*work[In, Out]] // spans of events in the pool, by their job

	ending

	mu       sync.Mutex // guards accounts; only the stage's goroutine changes them
	accounts []*stepAccount[In]
}

// stepAccount is the account of one subscription. The account is guarded by the pool's
// lock, and finished belongs to the goroutine that settles.
type stepAccount[In any] struct {
	account
	sub      *stage.Subscription[In]
	finished []stage.Finished
}

// eventKey is the key of an event, or the panic of the function that should return it.
type eventKey struct {
	key string
	err error
}

func newStepBase[In, Out any](cfg StepConfig[In], at stepPlace, make func() stepFunc[In, Out]) *stepBase[In, Out] {
	if at.wary {
		cfg.Key = wary1(cfg.Key)
	}
	make = keyed(cfg, chained(cfg.Use, make))
	s := &stepBase[In, Out]{cfg: cfg, at: at, call: make()}
	s.pool = newPool(stepPool(cfg, at, s.traced(make)))
	s.pool.cfg.sampled = s.sampled
	return s
}

// HandleDefaultDemand implements stage.DefaultDemandHandler.
func (s *stepBase[In, Out]) HandleDefaultDemand() (maxDemand, minDemand int) { return s.cfg.Window, 0 }

// HandleStart implements stage.StartHandler.
func (s *stepBase[In, Out]) HandleStart(ctx context.Context, self *stage.Handle) error {
	s.self = self
	s.traces.start(ctx)
	s.pool.start(ctx)
	return nil
}

// HandleTerminate implements stage.TerminateHandler. It waits for the workers up to the
// pipeline's StopTimeout.
func (s *stepBase[In, Out]) HandleTerminate(context.Context, error) error {
	s.late.stop()
	if s.self == nil {
		return nil // HandleStart was not reached
	}
	err := s.pool.close(s.at.stopTimeout)
	s.abandonSpans()
	if err != nil {
		return err
	}
	return s.stopped()
}

// HandleInspect implements stage.InspectHandler. Its value is a [WorkSnapshot].
func (s *stepBase[In, Out]) HandleInspect() any { return s.pool.snapshot() }

// account returns the account of a subscription, a new one at its first delivery.
// Accounts of subscriptions that have ended are dropped then.
func (s *stepBase[In, Out]) account(sub *stage.Subscription[In]) *stepAccount[In] {
	if s.recent == nil || s.recent.sub != sub {
		s.recent = s.accountOf(sub)
	}
	return s.recent
}

func (s *stepBase[In, Out]) accountOf(sub *stage.Subscription[In]) *stepAccount[In] {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.accounts {
		if a.sub == sub {
			return a
		}
	}
	s.accounts = slices.DeleteFunc(s.accounts, func(a *stepAccount[In]) bool { return a.sub.Err() != nil })
	a := &stepAccount[In]{sub: sub}
	a.asked = sub.Info().MaxDemand
	s.accounts = append(s.accounts, a)
	return a
}

// clock returns the time at which a run of n events begins on the stage's goroutine, and
// whether it is to be taken at all. Where many events come together, looking at the clock
// costs more than the others, and once in a while is enough: one run that takes long sets
// the flag of late anyway.
func (s *stepBase[In, Out]) clock(n int) (begun int64, timed bool) {
	const many, every = 64, 8
	if s.passed++; n >= many && s.passed < every {
		return 0, false
	}
	s.passed = 0
	return s.pool.clock(), true
}

// enqueue adds the events of a delivery to the pool, from the i-th on. hold is called for
// each of them.
func (s *stepBase[In, Out]) enqueue(d stage.Delivery[In], i int, from *stepAccount[In], hold func(i int) stage.Held) {
	if i == len(d.Events) {
		return
	}
	if s.cfg.Key != nil {
		s.readKeys(d.Events[i:])
	}
	spans := s.beginSpans(d.Events[i:], hold != nil)
	a := s.pool.begin()
	for n, event := range d.Events[i:] {
		var k eventKey
		if s.cfg.Key != nil {
			k = s.keys[n]
		}
		w := a.add(k.key, &from.account, 1)
		w.in, w.key, w.bad, w.from, w.position = event, k.key, k.err, from, d.First+uint64(i+n)
		if hold != nil {
			w.held = hold(i + n)
		}
		if spans != nil && spans[n] != nil {
			w.span = spans[n]
			s.open.Add(w, w.span)
		}
	}
	a.end()
	clear(s.keys)
}

// readKeys calls the program's Key for each event, before the pool is locked.
func (s *stepBase[In, Out]) readKeys(events []In) {
	s.keys = s.keys[:0]
	for _, event := range events {
		var k eventKey
		k.key, k.err = s.key(event)
		s.keys = append(s.keys, k)
	}
}

func (s *stepBase[In, Out]) key(event In) (key string, err error) {
	defer crash.Catch(&err)
	return s.cfg.Key(event), nil
}

// Pause begins no attempt until Resume. Attempts that are under way go on. Any goroutine may
// call it, as all controls.
func (s *stepBase[In, Out]) Pause() {
	s.pool.pause()
	s.late.leave()
}

// Resume ends a pause.
func (s *stepBase[In, Out]) Resume() { s.pool.resume() }

// Resize changes the number of workers.
func (s *stepBase[In, Out]) Resize(workers int) error {
	if err := checkWorkers(stepOwner(s.at.stage), workers); err != nil {
		return err
	}
	s.pool.resize(workers)
	s.late.leave()
	return nil
}

// SetRate changes the rate of the step. The zero value is no limit.
func (s *stepBase[In, Out]) SetRate(rate Rate) error {
	if err := checkRate(stepOwner(s.at.stage), "Rate", rate); err != nil {
		return err
	}
	s.pool.setRate(rate)
	s.late.leave()
	return nil
}

func (s *stepBase[In, Out]) snapshot() WorkSnapshot { return s.pool.snapshot() }
