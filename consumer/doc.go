// Package consumer holds the ends of pipelines: [ForEach] calls a function for
// each event, [NewBatch] gathers events, [NewSupervisor] runs a worker for each
// event, [NewStream] writes to any go-streams sink. Each implements
// stage.Consumer and is given to stage.NewConsumer.
//
// # Demand
//
// A [Supervisor] asks for as many events as it has free slots; a [Batch] for as
// many as it can gather.
//
// # Receipts
//
// The receipt for an event is the end of its worker, or of the function that
// handled its batch. A worker can take the receipt into its own hands with
// [Defer] when what it started ends later than the worker does.
//
// # Failure
//
// A worker's failure is only its own: an error, a panic, runtime.Goexit or a
// timeout ends that worker, which is started again or given up as the config
// says.
package consumer
