// Package trace carries W3C trace contexts with events and makes spans of them.
//
// It uses the standard library only. Package trace/otel makes the spans with
// OpenTelemetry, package trace/tracetest keeps them for a test.
package trace
