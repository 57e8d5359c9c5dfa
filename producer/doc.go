// Package producer holds the sources of events that need no service: [Queue]
// takes what other goroutines push, [Seq] pulls an iterator, [Chan] receives
// from a channel and [Stream] reads any go-streams source. Each implements
// stage.Producer and is given to stage.NewProducer. The durable source is
// package kafka below this one.
//
// # Demand
//
// No source emits more than its stage has asked for, and none reads ahead from
// what is behind it, but for the events that a Queue holds within its capacity.
//
// # Blocking
//
// [Queue.Push] waits for room for as long as its context allows;
// [Queue.TryPush] never waits. The sources themselves never block their stage:
// an iterator or channel is read in a goroutine of its own.
//
// # Loss
//
// A Queue refuses what it has no room for unless it was told to drop, and then
// counts what it drops and reports it. After a drain has begun a push answers
// ErrClosed.
package producer
