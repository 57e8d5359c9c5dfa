package stage

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/internal/tracing"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/trace"
)

// inTraces is what an inlet needs for spans. It belongs to the stage's goroutine.
type inTraces[T any] struct {
	of     *tracing.Carriers[T] // nil: nothing is traced
	alone  bool                 // the handler takes one event after the other
	tracer trace.Tracer
	calls  []tracedCall // by place in the chunk that the handler has now; nil without a sampled event
}

// tracedCall is the span of an event in the handler's hands. It is nil if the event is not
// sampled.
type tracedCall struct {
	span trace.Span
	err  error // the event has failed alone
}

// beginTracing takes the tracer of the stage's context.
func (e *engine[In, Out]) beginTracing() {
	t := trace.TracerOf(e.ctx)
	if t == nil {
		return
	}
	if e.in != nil {
		_, alone := e.handler.(tracing.PerEvent)
		_, own := e.handler.(interface{ perEvent() })
		e.in.traces = inTraces[In]{tracer: t, of: tracing.NewCarriers[In](), alone: alone || own}
	}
	if e.out != nil {
		e.out.traces = outTraces[Out]{tracer: t, of: tracing.NewCarriers[Out](), always: e.in == nil}
	}
}

// limit shortens a chunk, so that a sampled event has a call of its own if the handler takes
// one event after the other.
func (t *inTraces[T]) limit(chunk []T) []T {
	if t.of == nil || !t.alone {
		return chunk
	}
	switch at := t.of.Next(chunk, 0); at {
	case -1:
		return chunk
	case 0:
		return chunk[:1]
	default:
		return chunk[:at]
	}
}

// start begins the span of an event at the stage of a name.
func (t *inTraces[T]) start(parent trace.Context, name string) trace.Span {
	return t.tracer.Start(parent, trace.SpanHandle+" "+name, trace.SpanConfig{
		Kind: trace.Consumer, Attrs: []trace.Attr{trace.String(trace.AttrStage, name)},
	})
}

// call passes a chunk to the handler, with spans for its sampled events.
func (e *engine[In, Out]) call(s *Subscription[In], chunk []In, in inputs[In]) error {
	if e.in.traces.of != nil {
		some := chunk
		if e.in.traces.alone {
			some = chunk[:min(1, len(chunk))] // limit has looked at the others
		}
		if at := e.in.traces.of.Next(some, 0); at >= 0 {
			return e.callTraced(s, chunk, in, at)
		}
	}
	if e.out != nil {
		return e.transform(e.ctx, s, chunk, in)
	}
	return e.do.consume(e.ctx, chunk)
}

// callTraced is call for a chunk whose first sampled event is at a place. If it has no other
// event the context of the handler names its span.
func (e *engine[In, Out]) callTraced(s *Subscription[In], chunk []In, in inputs[In], first int) (err error) {
	t := &e.in.traces
	calls := make([]tracedCall, len(chunk))
	for i := first; i >= 0; i = t.of.Next(chunk, i+1) {
		calls[i].span = t.start(t.of.Context(&chunk[i]), e.name)
	}
	ctx := e.ctx
	if len(chunk) == 1 {
		ctx = trace.NewContext(ctx, calls[0].span.Context())
	}
	t.calls = calls
	returned := false
	defer func() {
		t.calls = nil
		for _, c := range calls {
			switch {
			case c.span == nil:
			case !returned:
				tracing.End(c.span, receipt.Failed, "", errUnwound)
			case c.err == nil && err != ErrDone:
				c.err = err
				fallthrough
			default:
				outcome, reason := outcomeOf(c.err)
				tracing.End(c.span, outcome, reason, c.err)
			}
		}
	}()
	if e.out != nil {
		err = e.transform(ctx, s, chunk, in)
	} else {
		err = e.do.consume(ctx, chunk)
	}
	returned = true
	return err
}

// errUnwound is the error of a span whose handler has not returned.
var errUnwound = errors.New("the handler panicked, or ended its goroutine")

// noteFailures takes what a handler has said of single events, before it is forgotten.
func (t *inTraces[T]) noteFailures(failures []failure) {
	for _, f := range failures {
		if f.input >= 0 && f.input < len(t.calls) {
			t.calls[f.input].err = f.err
		}
	}
}

// openSpans are the spans of the events of a subscription that have no receipt, by position.
// Any goroutine may use it.
type openSpans struct {
	n     atomic.Int64 // their number: most subscriptions have none, and pass the lock over
	mu    sync.Mutex
	spans map[uint64]trace.Span // guarded by mu
	used  atomic.Bool           // there was one
}

// add adds the span of the event at a position.
func (o *openSpans) add(position uint64, s trace.Span) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.spans == nil {
		o.spans = make(map[uint64]trace.Span)
	}
	o.spans[position] = s
	o.n.Store(int64(len(o.spans)))
	o.used.Store(true)
}

// take removes the spans of count events from a position on, and passes them to end, without
// the lock: the tracer is the program's code.
func (o *openSpans) take(first uint64, count int, end func(trace.Span)) {
	for _, s := range o.remove(first, count) {
		end(s)
	}
}

// remove is take without end.
func (o *openSpans) remove(first uint64, count int) (gone []trace.Span) {
	o.mu.Lock()
	defer o.mu.Unlock()
	drop := func(position uint64) {
		if s := o.spans[position]; s != nil {
			delete(o.spans, position)
			gone = append(gone, s)
		}
	}
	if count < len(o.spans) {
		for position := first; position < first+uint64(count); position++ {
			drop(position)
		}
	} else {
		for position := range o.spans {
			if position-first < uint64(count) {
				drop(position)
			}
		}
	}
	o.n.Store(int64(len(o.spans)))
	return gone
}

// abandon ends all spans: no receipt comes any more.
func (o *openSpans) abandon() {
	if o.n.Load() == 0 {
		return
	}
	o.mu.Lock()
	open := o.spans
	o.spans = nil
	o.n.Store(0)
	o.mu.Unlock()
	for _, s := range open {
		tracing.Abandon(s)
	}
}

// traceDelivery begins the spans of a delivery's sampled events, which end with their receipts.
func (e *engine[In, Out]) traceDelivery(s *Subscription[In], events []In, first uint64) {
	t := &e.in.traces
	for i := t.of.Next(events, 0); i >= 0; i = t.of.Next(events, i+1) {
		s.spans.add(first+uint64(i), t.start(t.of.Context(&events[i]), e.name))
	}
}

// TraceContext returns the context of the span that a sampled event has, from its delivery to
// a [DeliveryHandler] until its receipt: its attempts are spans below it. It is zero for any
// other event, without a lock if there is no sampled event at the time.
func (s *Subscription[T]) TraceContext(position uint64) trace.Context {
	o := &s.spans
	if o.n.Load() == 0 {
		return trace.Context{}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if span := o.spans[position]; span != nil {
		return span.Context()
	}
	return trace.Context{}
}

// endSpans ends the spans of count events, from a position on, with their receipt.
func (s *Subscription[T]) endSpans(first uint64, count int, err error) {
	s.spans.take(first, count, func(span trace.Span) {
		outcome, reason := outcomeOf(err)
		tracing.End(span, outcome, reason, err)
	})
}

// maxTracedWaits bounds the sampled events of a stage that wait, and for whose wait there is a
// span. Of more than that the others have none.
const maxTracedWaits = 10_000

// outTraces is what an outlet needs for the spans of what waits in it. It belongs to the
// stage's goroutine.
type outTraces[T any] struct {
	tracer trace.Tracer
	of     *tracing.Carriers[T]  // nil: nothing is traced
	always bool                  // events that do not wait have a span too: it is the stage's only one
	pass   uint64                // counts the Dispatches of emissions
	waits  map[uint64]tracedWait // by sequence number
}

// tracedWait is a sampled event that was emitted.
type tracedWait struct {
	context trace.Context
	since   time.Time
	pass    uint64 // the emission that it came with
}

// emitted notes the sampled ones of the events that are about to be dispatched.
func (t *outTraces[T]) emitted(events []T, first uint64) {
	for i := t.of.Next(events, 0); i >= 0 && len(t.waits) < maxTracedWaits; i = t.of.Next(events, i+1) {
		if t.waits == nil {
			t.waits = make(map[uint64]tracedWait)
		}
		t.waits[first+uint64(i)] = tracedWait{t.of.Context(&events[i]), time.Now(), t.pass}
	}
}

// given ends the wait of n events from a number on.
func (t *outTraces[T]) given(stage string, seq uint64, n int) {
	for ; n > 0 && len(t.waits) > 0; n-- {
		t.end(stage, seq, receipt.Done, "")
		seq++
	}
}

// end ends the wait of an event, which was handed out or discarded.
func (t *outTraces[T]) end(stage string, seq uint64, outcome receipt.Outcome, reason receipt.Reason) {
	w, ok := t.waits[seq]
	if !ok {
		return
	}
	delete(t.waits, seq)
	if !t.always && w.pass == t.pass && outcome == receipt.Done {
		return // it did not wait
	}
	s := t.tracer.Start(w.context, trace.SpanDispatch+" "+stage, trace.SpanConfig{
		Kind: trace.Producer, At: w.since, Attrs: []trace.Attr{trace.String(trace.AttrStage, stage)},
	})
	tracing.End(s, outcome, reason, nil)
}
