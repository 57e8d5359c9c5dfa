package main

import (
	"errors"
	"net/http"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/trace"
)

// TraceContext implements trace.Carrier.
func (p push) TraceContext() trace.Context { return p.trace }

// openOTLP makes what sends spans and figures to the collectors of -otlp and -otlp-metrics.
func (a *app) openOTLP() error {
	collectors, err := a.cfg.OTLP.Open("pushpipeline", newOrigin(), a.log)
	a.flushers = append(a.flushers, collectors.Shutdown)
	if err != nil {
		return err
	}
	a.tracer = collectors.Tracer
	if collectors.Recorder != nil {
		a.recorder = metrics.Tee(a.recorder, collectors.Recorder)
	}
	return nil
}

// spanPush is the name of the span of a request.
const spanPush = "POST /push"

// beginSpan begins the span of a request with pushes, which carry it on. A request without a
// header is the first of a trace, if it is sampled. One whose header is not sampled has no
// span, and its pushes carry the header on as it is.
func (in *intake) beginSpan(r *http.Request, pushes []push) trace.Span {
	if in.tracer == nil {
		return trace.Nop(trace.Context{})
	}
	parent, err := trace.Parse(r.Header.Get(trace.ParentHeader))
	if err == nil {
		parent = parent.WithState(r.Header.Values(trace.StateHeader)...)
	}
	span := trace.Nop(parent)
	if parent.IsSampled() || !parent.IsValid() && in.sampleRoots {
		span = in.tracer.Start(parent, spanPush, trace.SpanConfig{
			Kind: trace.Server, Attrs: []trace.Attr{trace.Int("pushpipeline.pushes", len(pushes))},
		})
	}
	for i := range pushes {
		pushes[i].trace = span.Context()
	}
	return span
}

// endSpan ends the span of a request with its result.
func endSpan(s trace.Span, r result) {
	s.Set(trace.Int("http.response.status_code", r.status))
	var err error
	if r.status >= http.StatusInternalServerError {
		err = errors.New(r.fault)
	}
	s.End(time.Time{}, err)
}
