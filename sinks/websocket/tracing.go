package websocket

import (
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
