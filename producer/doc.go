// Package producer holds the sources of events that need no service: [Queue]
// takes the events that other goroutines push, [Seq] runs an iterator, [Chan]
// receives from a channel, and [Ticker] emits the time at an interval. Each implements stage.Producer and is passed to
// stage.NewProducer. The durable source is package producer/kafka; package
// gostreams reads any go-streams source.
//
// # Demand
//
// No source emits more than its stage has asked for, and none reads ahead of
// that demand. A Queue holds pushed events up to its capacity. The price of never
// reading ahead is that the end of an iterator or channel is noticed with the
// next demand.
//
// # Order
//
// Events leave in the order in which they were yielded, received or pushed. A
// push that waits for room keeps its place in the line; with Key in the line of its
// key, and the keys take turns.
//
// # Blocking
//
// [Queue.Push] waits for room until its context is done;
// [Queue.TryPush] never waits. With Key, a key with KeyMaxEvents events that are not
// finished waits or is refused alone: back-pressure reaches the user who floods. The sources never block their stage: an iterator
// or channel is read in a goroutine of its own. Events that are ready are emitted
// without waiting for more.
//
// # Loss
//
// A Queue without room refuses an event, unless its Overflow says to drop one: then
// it counts the dropped event, records, logs and reports it. Refused pushes are
// counted, recorded and logged by reason. After a drain has begun a push
// returns ErrClosed, and the accepted events are emitted. Events that a source has
// accepted and not emitted when its stage is stopped are passed to Discarded.
//
// # Concurrency
//
// All methods of a Queue that are not handlers may be called from any goroutine.
// A Seq and a Chan have one goroutine each, from the first demand until the
// stage has stopped; only an iterator that does not return outlives it.
//
// # Errors
//
// The end of an iterator or channel, and a closed Queue, end the stage normally.
// An iterator's error or panic stops it, after the events before it. A refused
// option is an [*OptionError] of the constructor.
//
// # Cost
//
// An event costs no allocation. With Key or MaxBytes a queue keeps an entry for each
// event that has no receipt, and with Key one for each key that has such events.
package producer
