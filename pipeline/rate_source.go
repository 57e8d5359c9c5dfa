package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/internal/complain"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/stage"
)

// sourceRates is the rate that the sources of a pipeline share, with its clock and timer.
// Any goroutine may use it and its valves.
type sourceRates struct {
	epoch time.Time

	mu    sync.Mutex
	rates rates
	all   []*valve
	timer *time.Timer // nil until it is needed
	due   int64       // when the timer fires, or math.MaxInt64
}

// valve holds back the demand for one source, over all its lives.
type valve struct {
	*sourceRates
	valveState
	self *stage.Handle // of its stage, nil while it has none

	// open is set while demand may pass without the lock: there is no rate, and nothing is
	// held back or waits to be passed on. It is written with the lock held.
	open atomic.Bool
	// loose is out while open is set. It belongs to the goroutine of the source's stage.
	loose int
}

// passOn is the message by which a stage learns that demand for its source may pass.
type passOn struct{}

// newSourceRates makes that of a pipeline.
func newSourceRates(rate Rate) *sourceRates {
	return &sourceRates{epoch: time.Now(), rates: rates{limiter: newLimiter(rate), short: never}, due: math.MaxInt64}
}

// valve adds a source, which may have a rate of its own as well.
func (t *sourceRates) valve(rate Rate) *valve {
	v := &valve{sourceRates: t, valveState: valveState{limiter: newLimiter(rate), over: true}}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, v)
	t.rates.valves = append(t.rates.valves, &v.valveState)
	return v
}

func (t *sourceRates) now() int64 { return int64(time.Since(t.epoch)) }

// setRate changes the rate of all sources together. It takes effect at once.
func (t *sourceRates) setRate(rate Rate) { t.change(func(now int64) { t.rates.set(rate, now) }) }

// rate returns the rate of all sources together.
func (t *sourceRates) rate() Rate {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rates.rate
}

// SetRate changes the source's own rate, also for its later lives.
func (v *valve) SetRate(rate Rate) error {
	v.change(func(now int64) { v.set(rate, now) })
	return nil
}

// SetRate changes the rate of all sources together, from any goroutine. It takes effect
// at once. The error is an [*OptionError].
func (p *Pipeline) SetRate(rate Rate) error {
	if err := checkRate(pipelineOwner, "Rate", rate); err != nil {
		return err
	}
	p.sources.setRate(rate)
	return nil
}

// change changes the state, hands out what may pass then, and wakes the stages that it
// is for.
func (t *sourceRates) change(f func(now int64)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for _, v := range t.all {
		v.open.Store(false) // until its stage has looked, by flow
	}
	f(now)
	t.update(nil, now)
}

// update hands out what may pass at now, sets the timer, and wakes the stages of all
// valves but own that have got something. The caller holds the lock.
func (t *sourceRates) update(own *valve, now int64) {
	again := t.rates.share(now)
	for _, v := range t.all {
		if v.granted > 0 && v != own && v.self != nil {
			v.self.Send(passOn{}) // it never blocks
		}
	}
	if again == t.due {
		return
	}
	t.due = again
	wait := time.Duration(again - now)
	switch {
	case again == math.MaxInt64:
		t.timer.Stop() // there is one: due was another time
	case t.timer == nil:
		t.timer = time.AfterFunc(wait, t.fire)
	default:
		t.timer.Reset(wait)
	}
}

// fire is called when the timer's time has come.
func (t *sourceRates) fire() {
	t.change(func(int64) { t.due = math.MaxInt64 })
}

// begin begins a life of the source.
func (v *valve) begin(self *stage.Handle) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.self, v.over, v.loose = self, false, 0
}

// end ends a life of the source: it is asked for nothing more.
func (v *valve) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return
	}
	v.close()
	v.open.Store(false)
	v.self = nil
	v.update(nil, v.now())
}

// flow takes in that the source was asked for n more events and has emitted some, and
// returns the demand that is to be passed on.
func (v *valve) flow(n, emitted int) (pass int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return 0
	}
	v.out, v.loose = v.out+v.loose, 0
	now := v.now()
	v.rates.emitted(&v.valveState, emitted, now)
	v.addOwed(n)
	v.update(v, now)
	pass, v.granted = v.granted, 0
	if pass > 0 {
		v.rates.noteWaiting(now) // it is with the source now
	}
	if v.owed == 0 && v.rates.limiter.rate.PerSecond <= 0 && v.limiter.rate.PerSecond <= 0 {
		v.out, v.loose = 0, v.out
		v.open.Store(true)
	}
	return pass
}

// limitedSource is one life of a source behind a valve. It belongs to the stage's goroutine.
type limitedSource[T any] struct {
	*valve
	source  *stage.ProducerHandlers[T]
	emit    *stage.Emitter[T]
	counted uint64 // events that flow knows of
	name    string
	log     *slog.Logger
	ignored complain.Limit
}

// limitSource returns source behind a valve, with all that it can do. At a drain a
// source that has events goes on at its rate. What is no source is returned as it is, for
// its stage to refuse.
func limitSource[T any](v *valve, source stage.Producer[T], log *slog.Logger) stage.Producer[T] {
	if option.IsNil(source) {
		return source
	}
	t := &limitedSource[T]{valve: v, source: stage.ResolveProducer(source), log: log}
	table := *t.source
	table.Start = t.start
	if t.source.Demand == nil {
		return source
	}
	table.Demand = t.demand
	table.Wake = t.wake
	table.Info = t.info
	table.Emitter = t.emitter
	table.Drain = t.drain
	table.Terminate = t.terminate
	// These may emit. A source that has none of them keeps none.
	if f := t.source.Receipts; f != nil {
		table.Receipts = func(ctx context.Context, receipts []stage.Receipt) error { return t.after(ctx, f(ctx, receipts)) }
	}
	if f := t.source.Tick; f != nil {
		table.Tick = func(ctx context.Context) error { return t.after(ctx, f(ctx)) }
	}
	if f := t.source.Subscribe; f != nil {
		table.Subscribe = func(ctx context.Context, s stage.SubscriptionInfo) error {
			err := f(ctx, s)
			if err == nil {
				return t.after(ctx, nil)
			}
			return err // which refuses the subscription
		}
	}
	if f := t.source.Cancel; f != nil {
		table.Cancel = func(ctx context.Context, s stage.SubscriptionInfo, reason error) error {
			return t.after(ctx, f(ctx, s, reason))
		}
	}
	return &table
}

func (t *limitedSource[T]) emitter(emit *stage.Emitter[T]) {
	t.emit = emit
	if f := t.source.Emitter; f != nil {
		f(emit)
	}
}

func (t *limitedSource[T]) start(ctx context.Context, self *stage.Handle) error {
	t.name = self.Name()
	t.begin(self)
	if f := t.source.Start; f != nil {
		return t.after(ctx, f(ctx, self))
	}
	return nil
}

// after takes in what a handler of the source has done, and passes on the demand that may
// pass. With any error the source is asked for nothing more.
func (t *limitedSource[T]) after(ctx context.Context, err error) error {
	for {
		if err != nil {
			t.end()
			return err
		}
		n := t.pass(0)
		if n == 0 {
			return nil
		}
		err = t.source.Demand(ctx, n, t.emit)
	}
}

// pass takes in that the source was asked for n more events, and what it has emitted, and
// returns the demand that is to be passed on. While the valve is open that needs no lock.
func (t *limitedSource[T]) pass(n int) int {
	emitted := t.emit.Emitted()
	fresh := int(emitted - t.counted)
	t.counted = emitted
	if t.open.Load() {
		t.loose += n - min(fresh, t.loose)
		return n
	}
	return t.flow(n, fresh)
}

func (t *limitedSource[T]) demand(ctx context.Context, n int, emit *stage.Emitter[T]) error {
	t.emit = emit
	pass := t.pass(n)
	if pass == 0 {
		return nil
	}
	return t.after(ctx, t.source.Demand(ctx, pass, emit))
}

func (t *limitedSource[T]) wake(ctx context.Context, emit *stage.Emitter[T]) error {
	if f := t.source.Wake; f != nil {
		return t.after(ctx, f(ctx, emit))
	}
	return nil
}

func (t *limitedSource[T]) info(ctx context.Context, msg any) error {
	if _, ok := msg.(passOn); ok {
		return t.after(ctx, nil)
	}
	if f := t.source.Info; f != nil {
		return t.after(ctx, f(ctx, msg))
	}
	t.ignored.Log(t.log, slog.LevelWarn, "message ignored: the handler has no HandleInfo", "stage", t.name, "message", fmt.Sprintf("%T", msg))
	return nil
}

func (t *limitedSource[T]) drain(ctx context.Context) error {
	f := t.source.Drain
	if f == nil {
		t.end()
		return stage.ErrDone // as a stage does with a source that cannot run dry
	}
	return t.after(ctx, f(ctx))
}

func (t *limitedSource[T]) terminate(ctx context.Context, reason error) error {
	t.end()
	if f := t.source.Terminate; f != nil {
		return f(ctx, reason)
	}
	return nil
}
