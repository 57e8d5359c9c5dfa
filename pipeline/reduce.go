package pipeline

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/penstock-go/penstock/internal/complain"
	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

// The defaults of ReduceConfig.
const (
	DefaultReduceEvery     = time.Second
	DefaultReduceMaxKeys   = 100_000
	DefaultReduceMaxEvents = 100_000
)

// ReduceConfig configures [Reduce]. The zero value is useful: one summary of all events
// each second.
type ReduceConfig[T any] struct {
	// Name is as in StepConfig.
	Name string
	// Key names what an event belongs to; each key has a state and a summary of its own.
	// An event for which it panics fails. Default: all events have the key "".
	Key func(event T) string
	// Every is the time between two summaries of a key, 1 ms or more. Default: 1 s.
	Every time.Duration
	// Totals keeps the state of a key after its summary, for running totals. By default
	// each summary begins with a new state: it is of the events since the last one.
	Totals bool
	// MaxKeys bounds the keys that have a state. When another one comes, the summaries are
	// emitted early; with Totals the key that has not changed for longest then loses its
	// state, which is counted and logged. Default: 100,000.
	MaxKeys int
	// MaxEvents bounds the events whose summary was not emitted. When it is reached, the
	// summaries are emitted early. Default: 100,000.
	MaxEvents int
	// Restart is as in StepConfig. A step that is made anew has no states, and is given the
	// events again whose summary has no receipt.
	Restart Restart
}

// Reduce adds a step with a state of type S for each key, which begins as the zero value.
// add changes the state by an event. Each period summary makes an event of every state that
// has changed, in the order in which they have changed first. It does so early when the
// step is full, when the source waits for receipts, and at the end of the events. Neither
// function may keep the pointer to the state.
//
// An event has its receipt when the summary that it is in has one. An event for which
// add returns an error or panics fails alone and at once, without a retry or a dead letter:
// check events in a [Map] before. add must leave the state unchanged then. All events of a
// summary fail if summary panics.
//
// Calls of either function never run at the same time. For more of them take the flows of
// [Partition] by the same key, with a Reduce for each.
func Reduce[T, S, Out any](from *Flow[T], cfg ReduceConfig[T], add func(state *S, event T) error, summary func(key string, state *S) Out) *Flow[Out] {
	return transform(from, cfg.spec(add, summary), func(n *node) (stage.ProducerConsumer[T, Out], error) {
		own, add, summary := cfg.withDefaults(), add, summary
		if n.wary.Load() {
			own.Key, add, summary = wary1(own.Key), wary2(add), wary2(summary)
		}
		return newReducer(n.name, own, n.log, n.p.cfg.Metrics, add, summary), nil
	})
}

// spec describes the step to the graph.
func (c ReduceConfig[T]) spec(add, summary any) spec {
	return spec{kind: "reduce", name: c.Name, restart: c.Restart, check: func(owner option.Owner) error {
		return option.First(
			owner.Needs("add", add, "a function"),
			owner.Needs("summary", summary, "a function"),
			owner.Check(c.Every == 0 || c.Every >= time.Millisecond, "Every", c.Every, "1 ms or more, or 0 for the default"),
			option.Within(owner, "MaxKeys", c.MaxKeys, 0, math.MaxInt32),
			option.Within(owner, "MaxEvents", c.MaxEvents, 0, math.MaxInt32),
			c.Restart.validate(owner),
		)
	}}
}

// withDefaults returns c with its zero fields filled in.
func (c ReduceConfig[T]) withDefaults() ReduceConfig[T] {
	option.Default(&c.Every, DefaultReduceEvery)
	option.Default(&c.MaxKeys, DefaultReduceMaxKeys)
	option.Default(&c.MaxEvents, DefaultReduceMaxEvents)
	if c.Key == nil {
		c.Key = func(T) string { return "" }
	}
	return c
}

// reducer is the handler of Reduce. It belongs to the stage's goroutine.
type reducer[T, S, Out any] struct {
	cfg     ReduceConfig[T]
	add     func(state *S, event T) error
	summary func(key string, state *S) Out
	states  *reduction[S, stage.Held]
	emit    *stage.Emitter[Out]

	name      string
	log       *slog.Logger
	forgotten metrics.Counter
	limit     complain.Limit
	traces    batchTraces[T]
}

func newReducer[T, S, Out any](
	name string, cfg ReduceConfig[T], log *slog.Logger, recorder metrics.Recorder, add func(*S, T) error, summary func(string, *S) Out,
) *reducer[T, S, Out] {
	option.Default(&recorder, metrics.Nop())
	return &reducer[T, S, Out]{
		name: name, cfg: cfg, add: add, summary: summary, log: log,
		states:    newReduction[S, stage.Held](cfg.MaxKeys, cfg.MaxEvents, cfg.Totals),
		forgotten: recorder.Counter("pipeline.keys_forgotten", metrics.Tag{Key: "stage", Value: name}),
	}
}

// HandleEmitter implements stage.EmitterHandler.
func (r *reducer[T, S, Out]) HandleEmitter(emit *stage.Emitter[Out]) { r.emit = emit }

// HandleTerminate implements stage.TerminateHandler.
func (r *reducer[T, S, Out]) HandleTerminate(context.Context, error) error {
	metrics.End(r.forgotten)
	r.traces.open.Abandon()
	return nil
}

// HandleStart implements stage.StartHandler.
func (r *reducer[T, S, Out]) HandleStart(ctx context.Context, self *stage.Handle) error {
	r.traces.start(ctx)
	self.Tick(r.cfg.Every)
	return nil
}

// HandleEvents implements stage.ProducerConsumer.
func (r *reducer[T, S, Out]) HandleEvents(_ context.Context, events []T, _ *stage.Emitter[Out]) error {
	for at := 0; at < len(events); {
		at = r.addFrom(events, at)
	}
	return nil
}

// addFrom adds the events from place at on, up to the first for which a function panics,
// and returns the place to go on from. One deferred call covers many events.
func (r *reducer[T, S, Out]) addFrom(events []T, at int) (next int) {
	var k *keyState[S, stage.Held] // of the event at next
	fresh := false
	next = at
	defer func() {
		if p := recover(); p != nil {
			r.fail(next, k, fresh, crash.Of(p))
			next++
		}
	}()
	for ; next < len(events); next++ {
		k, fresh = nil, false
		c := r.traces.sampled(&events[next])
		key := r.cfg.Key(events[next])
		known := r.states.keys[key]
		if r.states.full(known != nil) {
			r.flush()
			known = r.states.keys[key]
		}
		if fresh = known == nil; fresh {
			known = r.open(key)
		}
		k = known
		if err := r.add(&k.state, events[next]); err != nil {
			r.fail(next, k, fresh, err)
			continue
		}
		held := r.emit.Hold(next)
		r.states.added(k, held)
		if c.IsValid() {
			r.traces.open.Add(held, trace.Nop(c)) // the stage makes the span of the event
		}
	}
	return next
}

// fail makes the i-th event of the call fail alone. k is what is known of its key, if that
// was read; if it is fresh the key has had no other event.
func (r *reducer[T, S, Out]) fail(i int, k *keyState[S, stage.Held], fresh bool, err error) {
	r.emit.Fail(i, err)
	if fresh {
		r.states.forget(k)
	}
}

// open makes a key known. It counts and logs that another one has lost its total.
func (r *reducer[T, S, Out]) open(key string) *keyState[S, stage.Held] {
	k, forgot := r.states.open(key)
	if forgot {
		r.forgotten.Add(1)
		r.limit.Log(r.log, slog.LevelWarn, "a total was forgotten for another key: MaxKeys is reached", "step", r.name,
			"max_keys", r.cfg.MaxKeys, "forgotten", r.states.forgotten)
	}
	return k
}

// flush emits the summaries of all keys that have changed.
func (r *reducer[T, S, Out]) flush() {
	r.states.summarize(func(key string, state *S, events []stage.Held) {
		if !r.traces.open.Any() {
			_ = r.pass(key, state, events, trace.Context{})
			return
		}
		_ = r.traces.passOn(r.name, events, func(c trace.Context) error { return r.pass(key, state, events, c) })
	})
}

// pass emits the summary of a key. c is the context of its span, zero without one.
func (r *reducer[T, S, Out]) pass(key string, state *S, events []stage.Held, c trace.Context) error {
	out, err := r.summarize(key, state, c)
	if err != nil {
		r.emit.Finish(err, events...)
		return err
	}
	r.emit.For(events...)
	r.emit.Emit(out)
	return nil
}

// summarize calls the program's functions.
func (r *reducer[T, S, Out]) summarize(key string, state *S, c trace.Context) (out Out, err error) {
	defer crash.Catch(&err)
	out = r.summary(key, state)
	if c.IsValid() {
		trace.Set(&out, c)
	}
	return out, nil
}

// HandleTick implements stage.TickHandler.
func (r *reducer[T, S, Out]) HandleTick(context.Context) error {
	r.flush()
	return nil
}

// HandleFlush implements stage.FlushHandler: nothing more can come before the events that
// wait have their receipts.
func (r *reducer[T, S, Out]) HandleFlush(context.Context) error {
	r.flush()
	return nil
}

// ReduceSnapshot is what a step of Reduce has at one moment. It is the Handler of the
// snapshot of its stage.
type ReduceSnapshot struct {
	// Keys is how many keys have a state, and Changed how many of them have changed since
	// their last summary. Events wait for a summary.
	Keys    int `json:"keys"`
	Changed int `json:"changed"`
	Events  int `json:"events"`
	// Forgotten is how many totals were dropped since the start, to make room for others.
	Forgotten int64 `json:"forgotten"`
}

// HandleInspect implements stage.InspectHandler.
func (r *reducer[T, S, Out]) HandleInspect() any {
	s := r.states
	return ReduceSnapshot{Keys: len(s.keys), Changed: len(s.changed), Events: s.events, Forgotten: s.forgotten}
}
