// Package deadletter keeps events that have failed for good: a [Letter] is such an
// event with its error, and a [Sink] is where letters go. An event gets its receipt
// only when its letter is stored, so that it is in one of two places at every moment:
// at its source or in the sink.
package deadletter
