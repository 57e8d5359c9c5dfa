// Package producer holds the sources of events that need no service: [Queue]
// takes what other goroutines push, [Seq] runs an iterator, [Chan] receives
// from a channel and [Stream] reads any go-streams source. Each implements
// stage.Producer and is given to stage.NewProducer. The durable source is
// package kafka below this one.
//
// # Demand
//
// No source emits more than its stage has asked for, and none reads ahead of
// that from what is behind it: a Queue holds what was pushed within its
// capacity, and a Stream what is left of a batch that came as one element. The
// price of never reading ahead is that the end of an iterator or channel is
// noticed with the next demand.
//
// # Order
//
// Events leave in the order in which they were yielded, received or pushed. A
// push that waits for room keeps its place in the line.
//
// # Blocking
//
// [Queue.Push] waits for room for as long as its context allows;
// [Queue.TryPush] never waits. The sources never block their stage: an iterator
// or channel is read in a goroutine of its own. What is ready is emitted without
// waiting for more.
//
// # Loss
//
// A Queue refuses what it has no room for unless it was told to drop, and then
// counts what it drops and reports it. After a drain has begun a push answers
// ErrClosed, and what was taken in is emitted. What a source has taken in and
// not emitted when its stage is stopped is reported to Discarded.
//
// # Concurrency
//
// All methods of a Queue that are not handlers may be called from any goroutine.
// Seq, Chan and Stream have one goroutine each, from the first demand until the
// stage has stopped; only an iterator that does not return outlives it.
//
// # Errors
//
// The end of an iterator or channel, and a closed Queue, end the stage normally.
// An iterator's error or panic and an element of the wrong type stop it, behind
// the events before. A refused option is an [*OptionError] of the constructor.
//
// # Cost
//
// An event costs no allocation, except for what go-streams needs to put it into
// an any; batches through a Stream share that.
package producer
