// Package trace carries W3C trace contexts with events and makes spans of them.
//
// An event type that is to be traced implements [Carrier]: it returns the [Context] that it
// came with, from the header of an HTTP request or of a Kafka record. Events have no envelope,
// and an event type that is no carrier costs nothing.
//
// A [Tracer] makes spans. It is configured once, as stage.PipelineConfig.Tracer or
// pipeline.Config.Tracer, and reaches every handler of the pipeline with its context, see
// [WithTracer]. Package trace/otel implements it with OpenTelemetry, package trace/tracetest
// keeps the spans for a test. Without a tracer nothing is looked at.
//
// Sampling is decided where a trace begins: only events whose context is sampled have spans.
// For any other event the cost is one look at its flags, see [Carrier].
//
// While a function of the program handles a sampled event, alone, its context names the span
// of that attempt: [Start] makes a child span, and [FromContext] returns what an outgoing call
// carries on.
//
// This package uses the standard library only.
package trace
