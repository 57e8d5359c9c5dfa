// Package consumer holds the ends of pipelines: [ForEach] calls a function for
// each event, [NewBatch] gathers events, [NewSupervisor] runs a worker for each
// event. Each implements stage.Consumer and is passed to stage.NewConsumer. [All]
// reads a stage in the calling goroutine.
//
// # Demand
//
// A [Supervisor] asks for as many events as it has free slots, so it never runs
// more workers than MaxDemand. Freed slots are asked for in groups of MinDemand.
// A [Batch] asks for the batch that it gathers and the next one, and a loop over
// [All] for as many events as it has read. All of them refuse subscriptions with
// Manual.
//
// # Receipts
//
// The receipt for an event is the end of its worker, the return of the function
// that was given it, alone or in a batch, or the return of the loop's body. A
// batch function can fail some events and not the others ([EventErrors]). A worker
// whose work ends later than the worker does leaves the receipt to that work with
// [Defer].
//
// An event whose consumer is stopped before that has no receipt: its producer
// gives it to another consumer if the subscription has Redeliver set, and reports
// it as abandoned otherwise. What was handled before has its receipt, whatever
// ends the consumer.
//
// # Order
//
// ForEach, Batch and All keep the order of a subscription. A Supervisor starts
// workers in that order, and they end in any order: the order of a key is kept if
// the dispatcher never has two events of the key under way at once.
//
// # Failure
//
// A worker's failure concerns only its own event. An error, a panic, runtime.Goexit or a
// timeout ends the attempt. The worker is started again with the same event, after a
// pause, as its retry.Policy says; then the event has failed, and the supervisor goes on.
// A pause holds no goroutine and no slot: the others go on meanwhile, and the event comes
// before those that wait when its pause is over. With MaxRestarts set, a supervisor with
// more restarts in RestartWindow stops with [ErrTooManyRestarts].
//
// A function of ForEach or NewBatch that fails, by an error or a panic, is called again
// for the same event or batch, after a pause, as its retry.Policy says; then the event or
// the events of the batch have failed, and the stage goes on with the next. What arrives
// during a pause waits behind it, and the stage replies to all else. With Split a
// batch is halved instead, so that an event fails alone. With OnFailure StopStage the
// stage stops. No consumer repeats anything without a pause, unless Backoff is retry.NoPause.
// runtime.Goexit in these functions stops the stage with stage.ErrGoexit: they run on its
// goroutine.
//
// Every retry and every failed event is counted, recorded and logged.
//
// With a sink in DeadLetters an event that has failed for good gets its receipt when its
// letter is stored. See package deadletter.
//
// The body of a loop over [All] has no receipt that can fail. Its panic passes through
// to the caller, and leaves the event without a receipt.
//
// # Shutdown
//
// A drain waits for workers, for deferred receipts and for dead letters, and passes a
// batch on at once if nothing more can be added to it. A stop cancels the contexts, and
// waits for workers up to ShutdownTimeout, and for dead letters up to four fifths of it,
// or 4 s without it. Only a worker that has not returned by then, and a sink that does
// not heed its context, have a goroutine that outlives the stage, which ends with
// stage.ErrHung. No timer outlives it.
//
// # Concurrency
//
// Functions given to ForEach and NewBatch are called on the stage's goroutine, one
// call at a time. Workers and Failed run in goroutines of the supervisor, many at
// once. [Deferred.Finish] and [Supervisor.Snapshot] may be called from any goroutine
// and never block.
//
// # Cost
//
// A Supervisor uses goroutines again. An event costs it no allocation, unless
// Timeout is set or a worker fails.
package consumer
