// Package gostreams connects go-streams (github.com/reugn/go-streams) with
// stages: [NewSource] makes a producer of any go-streams Source or Flow, and
// [NewSink] a consumer that writes to any go-streams Sink.
//
// go-streams moves elements of type any through channels, without demand,
// receipts or cancellation. A Source therefore receives an element only when
// there is demand for it, and the receipt of an event at a Sink means that the
// sink has taken it, not that it has written it. Single elements cost an
// allocation each, for the any; batches share it.
package gostreams
