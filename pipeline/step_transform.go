package pipeline

import (
	"context"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/stage"
)

// transformStep is the handler of Map, Filter and FlatMap. Quick events of a step with one
// worker run on the stage's goroutine; all others, and those that have failed, are jobs of
// its pool, whose results it emits when it is woken.
type transformStep[In, Out any] struct {
	*stepBase[In, Out]
	direct func(ctx context.Context, event In) (Out, error) // that of a Map without middleware
}

// newTransformStep returns the handler of a step with cfg, whose defaults are filled in.
func newTransformStep[In, Out any](cfg StepConfig[In], at stepPlace, make func() stepFunc[In, Out]) *transformStep[In, Out] {
	t := &transformStep[In, Out]{stepBase: newStepBase(cfg, at, make)}
	t.pool.cfg.ready = func() { t.self.Wake() }
	t.pool.cfg.fail = func(err error) {
		t.halt(err)
		t.self.Wake()
	}
	return t
}

// newMapStep returns the handler of Map.
func newMapStep[In, Out any](f func(context.Context, In) (Out, error), cfg StepConfig[In], at stepPlace) *transformStep[In, Out] {
	t := newTransformStep(cfg, at, always(mapFunc(f)))
	if len(cfg.Use) == 0 {
		t.direct = f
	}
	return t
}

// newFilterStep returns the handler of Filter.
func newFilterStep[T any](keep func(context.Context, T) (bool, error), cfg StepConfig[T], at stepPlace) *transformStep[T, T] {
	return newTransformStep(cfg, at, always(filterFunc(keep)))
}

// newFlatMapStep returns the handler of FlatMap.
func newFlatMapStep[In, Out any](f func(context.Context, In, func(Out)) error, cfg StepConfig[In], at stepPlace) *transformStep[In, Out] {
	return newTransformStep(cfg, at, flatMapFunc(f, at))
}

// HandleEvents implements stage.ProducerConsumer; the step is given deliveries instead.
func (t *transformStep[In, Out]) HandleEvents(context.Context, []In, *stage.Emitter[Out]) error {
	return errDeliveries
}

// HandleDelivery implements stage.TransformDeliveryHandler.
func (t *transformStep[In, Out]) HandleDelivery(ctx context.Context, d stage.Delivery[In], emit *stage.Emitter[Out]) error {
	a := t.account(d.Subscription)
	i := 0
	if t.pool.arrive(&a.account, len(d.Events)) {
		var err error
		before := t.traces.before(d)
		if i, err = t.inline(ctx, before, a, emit); err != nil {
			return t.holdRest(d, len(before.Events), err, emit)
		}
	}
	t.enqueue(d, i, a, emit.Hold)
	return t.stopped()
}

// inline runs the events of a delivery on the stage's goroutine, until one fails, they
// turn out to be slow, or all are done. It returns how many were taken.
func (t *transformStep[In, Out]) inline(ctx context.Context, d stage.Delivery[In], a *stepAccount[In], emit *stage.Emitter[Out]) (n int, err error) {
	t.late.enter()
	defer t.late.exit()
	events, half := d.Events, max(1, t.cfg.Window/2)
	for n < len(events) {
		first, end := n, min(n+half, len(events))
		begun, timed := t.clock(end - n)
		var failed error
		for {
			n, failed = t.inlineUntil(ctx, events[:end], n, emit)
			if failed == nil || !discarded(failed) {
				break
			}
			emit.Fail(n, failed)
			n++
			failed = nil
		}
		if ask := t.pool.earn(&a.account, n-first); ask > 0 {
			_ = a.sub.Ask(ask)
		}
		if failed == stage.ErrDone {
			for i := n; i < len(events); i++ {
				emit.Hold(i) // it was not handled, and is given back
			}
			return n, failed
		}
		if timed {
			t.pool.took(max(1, n-first), t.pool.clock()-begun)
		}
		if failed != nil {
			if ctx.Err() != nil {
				return n, failed
			}
			t.addFailed(d, n, a, failed, emit.Hold)
			return n + 1, nil
		}
		if n < end {
			return n, nil // it is late
		}
	}
	return n, nil
}

// inlineUntil runs events from place at on, until one returns an error or the flag of
// lateness is set, and returns the place of that. One deferred call covers many events.
func (t *transformStep[In, Out]) inlineUntil(ctx context.Context, events []In, at int, emit *stage.Emitter[Out]) (i int, err error) {
	if at == len(events) {
		return at, nil
	}
	if t.direct == nil {
		return t.inlineWork(ctx, events, at, emit)
	}
	i = at
	defer func() {
		if p := recover(); p != nil {
			err = crash.Of(p)
		}
	}()
	return t.inlineCalls(ctx, events, at, emit, &i)
}

// inlineCalls is the loop of inlineUntil, which keeps *place up to date. It has no deferred
// call, since with one the compiler keeps what a loop needs in memory.
func (t *transformStep[In, Out]) inlineCalls(ctx context.Context, events []In, at int, emit *stage.Emitter[Out], place *int) (i int, err error) {
	f, late := t.direct, &t.late.flag
	emit.FromEach(at)
	for k := at; k < len(events); k++ {
		*place = k
		if late.Load() {
			return k, nil
		}
		out, err := f(ctx, events[k])
		if err != nil {
			return k, err
		}
		emit.Emit(out)
	}
	return len(events), nil
}

// inlineWork is inlineUntil for other steps than a Map without middleware.
func (t *transformStep[In, Out]) inlineWork(ctx context.Context, events []In, at int, emit *stage.Emitter[Out]) (i int, err error) {
	i = at
	next := -1 // the input of the next event, by FromEach
	w := &t.lane
	defer func() {
		if p := recover(); p != nil {
			err = crash.Of(p)
		}
		w.wipe()
	}()
	for ; i < len(events); i++ {
		if t.late.flag.Load() {
			return i, nil
		}
		w.in = events[i]
		if err := t.call(ctx, w); err != nil {
			return i, err
		}
		if w.one {
			if i != next {
				emit.FromEach(i)
			}
			emit.Emit(w.out)
			next = i + 1
		} else if len(w.more) > 0 {
			emit.From(i)
			emit.EmitAll(w.more)
			next = -1
		}
	}
	return i, nil
}

// addFailed passes an event that has failed on the stage's goroutine to the pool.
func (t *transformStep[In, Out]) addFailed(d stage.Delivery[In], i int, a *stepAccount[In], err error, hold func(int) stage.Held) {
	t.pool.addFailed(&a.account, 1, err, func(w *work[In, Out]) {
		w.in, w.from, w.position, w.held = d.Events[i], a, d.First+uint64(i), hold(i)
	})
}

// HandleWake implements stage.WakeHandler: it emits the results that may leave, and asks
// for others.
func (t *transformStep[In, Out]) HandleWake(_ context.Context, emit *stage.Emitter[Out]) error {
	first := t.pool.take()
	var last *job[work[In, Out]]
	for j := first; j != nil; j = j.next {
		if j.err == stage.ErrDone {
			return j.err // the event and those after it are given back
		}
		t.emit(j, emit)
		last = j
	}
	if first != nil {
		t.pool.recycle(first, last)
	}
	for _, a := range t.accounts { // only this goroutine changes the list
		t.ask(a)
	}
	return t.stopped()
}

// emit emits the result of a job, and gives its input its receipt.
func (t *transformStep[In, Out]) emit(j *job[work[In, Out]], emit *stage.Emitter[Out]) {
	w := &j.data
	if w.span != nil {
		if span := t.open.Take(w); span != nil {
			endSpan(span, j.err)
		}
		w.span = nil
	}
	switch {
	case j.err != nil:
		emit.Finish(j.err, w.held)
	case w.one:
		emit.For(w.held)
		emit.Emit(w.out)
	case len(w.more) > 0:
		emit.For(w.held)
		emit.EmitAll(w.more)
	default:
		emit.Finish(nil, w.held)
	}
	w.wipe()
}

// ask asks for as many events as there is room for.
func (t *transformStep[In, Out]) ask(a *stepAccount[In]) {
	if n := t.pool.ask(&a.account); n > 0 {
		_ = a.sub.Ask(n) // a refusal would be a mistake of the stage
	}
}

// HandleBusy implements stage.BusyHandler.
func (t *transformStep[In, Out]) HandleBusy() bool { return t.pool.busy() }
