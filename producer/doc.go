// Package producer holds the sources of events that need no service: [Queue]
// takes what other goroutines push, [Seq] runs an iterator, [Chan] receives
// from a channel and [Stream] reads any go-streams source. Each implements
// stage.Producer and is given to stage.NewProducer. The durable source is
// package kafka below this one.
//
// # Demand
//
// No source emits more than its stage has asked for, and none reads ahead of
// that from its iterator or channel: a Queue holds pushed events within its
// capacity, and a Stream the rest of a batch that came as one element. So a source
// notices the end of an iterator or channel only with the next demand.
//
// # Order
//
// Events leave in the order in which they were yielded, received or pushed. A
// push that waits for room keeps its place in the line.
//
// # Blocking
//
// [Queue.Push] waits for room until its context is done;
// [Queue.TryPush] never waits. The sources never block their stage: an iterator
// or channel is read in a goroutine of its own. Events that are ready are emitted
// without waiting for more.
//
// # Loss
//
// A Queue without room refuses an event, unless its Overflow says to drop one: then
// it counts the dropped event and reports it. After a drain has begun a push
// returns ErrClosed, and the accepted events are emitted. Events that a source has
// accepted and not emitted when its stage is stopped are passed to Discarded.
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
// An iterator's error or panic and an element of the wrong type stop it, after the
// events before. A refused option is an [*OptionError] of the constructor.
//
// # Cost
//
// An event costs no allocation, except for the one with which go-streams puts it
// into an any; the events of a batch through a Stream share that one.
package producer
