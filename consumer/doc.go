// Package consumer holds the ends of pipelines: [ForEach] calls a function for
// each event, [NewBatch] gathers events, [NewSupervisor] runs a worker for each
// event. Each implements stage.Consumer and is passed to stage.NewConsumer. [All]
// reads a stage in the calling goroutine.
//
// # Demand
//
// A [Supervisor] asks for as many events as it has free slots, and a freed slot
// is asked for again in lots of MinDemand; so never more workers run than
// MaxDemand. A [Batch] asks for the batch that it gathers and the next one, a
// loop over [All] for the events that it has read.
//
// # Receipts
//
// The receipt for an event is the end of its worker, the return of the function
// that got its batch, or the return of the loop's body. A
// worker can defer the receipt with [Defer] if what it started ends later than the
// worker does. An event whose consumer is stopped before that has no receipt: its
// producer gives it to another consumer if the subscription has Redeliver, and
// reports it as abandoned if not.
//
// # Order
//
// ForEach, Batch and All keep the order of a subscription. A Supervisor
// starts workers in that order and they end in any order: the order of a key is
// kept if the dispatcher never has two events of it under way at once.
//
// # Failure
//
// A worker's failure is only its own: an error, a panic, runtime.Goexit or a
// timeout ends that worker, whose event is tried again or has failed, by the
// config; a supervisor with too many restarts in a short time
// stops with [ErrTooManyRestarts]. A batch that fails stops its stage with a
// *[BatchError], or fails alone.
//
// # Shutdown
//
// A drain waits for workers and for deferred receipts, and passes a batch on at
// once that nothing can be added to. A stop cancels the contexts, and waits for
// workers up to ShutdownTimeout and for a sink up to CompletionTimeout; what has
// not returned then is the only thing that outlives the stage. No timer and no
// other goroutine does.
//
// # Concurrency
//
// Functions given to ForEach and NewBatch are called on the stage's goroutine,
// one call at a time; workers and Failed run in goroutines of the supervisor's,
// many at once. [Deferred.Finish] and [Supervisor.Stats] may be called from
// anywhere and never block.
//
// # Cost
//
// A Supervisor uses goroutines again, and an event costs it no allocation unless
// Timeout is set or a worker fails.
package consumer
