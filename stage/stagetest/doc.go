// Package stagetest calls a handler as its stage would, without a stage: in the test's
// own goroutine, one function at a time, in the order that the test chooses.
//
//	doubles, err := stagetest.NewProducerConsumer(ctx, handler)
//	result, err := doubles.Events(1, 2, 3)
//	// result.Emitted: each event with its inputs; result.Ended: inputs with a receipt;
//	// result.Held: inputs that wait for a later call
//
// [Producer], [ProducerConsumer] and [Consumer] call all functions that such a handler
// may have, by the rules of package stage: HandleStart comes first, the slice of events
// is wiped when the handler has returned, a panic is an error, nothing is called after
// the end. What stops a stage is an error here, with the same text: From with the index
// of no input, an input held twice, an emission while no handler runs.
//
// Inputs are numbered from 0 on in the order in which the test gives them, and so are the
// events that the handler emits. The test gives receipts for emitted events, and reads
// those of the inputs.
//
// A handler that works outside of its functions uses its [stage.Handle] or its
// [stage.Subscription] from another goroutine. Next waits for that and calls what
// follows from it. Where the handler uses time, run the test in a bubble of
// testing/synctest: the package starts no goroutine of its own.
//
// [Emitter] is an emitter alone, for functions that take one.
package stagetest
