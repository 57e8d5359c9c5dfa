package websocket

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/trace"
)

// tracedWrite is the hook of a delivery whose write has a span.
type tracedWrite struct {
	hook
	span trace.Span
}

// Report implements hook. The span ends when the frame was written, before the report, with
// which spans above it end.
func (w *tracedWrite) Report(at time.Time, err error) {
	if err != nil {
		at = time.Time{}
	}
	w.span.End(at, err)
	w.hook.Report(at, err)
}

// traceWrite returns the item of a delivery, with a span from now until its frame is written
// or never will be. The item is a copy, since others share it.
func traceWrite(it *item, m *pubsub.Message, node string, tracer trace.Tracer) *item {
	own := *it
	own.written = &tracedWrite{it.written, tracer.Start(m.TraceContext(), trace.SpanWrite, trace.SpanConfig{
		Kind: trace.Producer, Attrs: []trace.Attr{trace.String(trace.AttrNode, node)},
	})}
	return &own
}

// tracedBroadcast is the span of a broadcast at an endpoint, and the hook of all its frames: it
// ends when the last of them was written or never will be. Any goroutine may report.
type tracedBroadcast struct {
	endpoint       *Endpoint
	next           *tracedBroadcast // of another endpoint of the hub
	span           trace.Span
	open           atomic.Int64 // frames without a report, and one more during the dispatch
	frames, missed atomic.Int64
}

// traceBroadcast returns the item of a broadcast with the span as its hook, which the first
// receiver at an endpoint begins. It is called during the dispatch. The item is a copy, since
// those of other endpoints are without the span.
func traceBroadcast(it *item, m *pubsub.Message, e *Endpoint) (*item, *tracedBroadcast) {
	shared := encodingsOf(m)
	b := shared.span
	for b != nil && b.endpoint != e {
		b = b.next
	}
	if b == nil {
		b = &tracedBroadcast{endpoint: e, next: shared.span, span: e.cfg.Tracer.Start(m.TraceContext(), trace.SpanBroadcast, trace.SpanConfig{
			Kind: trace.Producer, Attrs: []trace.Attr{trace.String(trace.AttrNode, e.hub.Node())},
		})}
		b.open.Store(1)
		shared.span = b
		m.AfterDispatch(b.release)
	}
	b.open.Add(1)
	b.frames.Add(1)
	own := *it
	own.written = b
	return &own, b
}

// Report implements hook.
func (b *tracedBroadcast) Report(_ time.Time, err error) {
	if err != nil {
		b.missed.Add(1)
	}
	b.release()
}

// release ends the span with its last frame. It is a failure only if no client has it.
func (b *tracedBroadcast) release() {
	if b.open.Add(-1) > 0 {
		return
	}
	frames, missed := b.frames.Load(), b.missed.Load()
	b.span.Set(trace.Int(trace.AttrFrames, int(frames)), trace.Int(trace.AttrMissed, int(missed)))
	var err error
	if missed == frames {
		err = errAllMissed
	}
	b.span.End(time.Time{}, err)
}

// errAllMissed is the error of the span of a broadcast that was written to no client.
var errAllMissed = errors.New("written to no client")
