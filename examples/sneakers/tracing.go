package main

import (
	"crypto/rand"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/trace"
)

// openOTLP makes what sends spans and figures to the collectors of -otlp and -otlp-metrics.
func (a *app) openOTLP() (err error) {
	node := a.cfg.Node
	if node == "" {
		node = rand.Text()
	}
	if a.sender, err = a.cfg.OTLP.Open("sneakers", node, a.log); err != nil {
		return err
	}
	a.tracer = a.sender.Tracer
	if a.sender.Recorder != nil {
		a.recorder = metrics.Tee(a.recorder, a.sender.Recorder)
	}
	return nil
}

// TraceContext implements trace.Carrier.
func (p alert) TraceContext() trace.Context { return p.trace }

// enqueue puts an alert into the queue, which counts and logs it if there is no room. Its trace
// begins here: below this span are those of the stages and of the write to the shopper's socket.
func (a *app) enqueue(p alert) {
	if a.tracer == nil {
		_ = a.alerts.TryPush(p)
		return
	}
	span := a.tracer.Start(trace.Context{}, "alert", trace.SpanConfig{
		Kind: trace.Producer, Attrs: []trace.Attr{trace.String("sneakers.alert", p.Kind)},
	})
	p.trace = span.Context()
	span.End(time.Time{}, a.alerts.TryPush(p))
}
