// Package pipelinetest pushes a test's events into a whole pipeline in place of its
// source, and waits for what becomes of each.
//
// Write the function that builds the pipeline so that it takes the source:
//
//	func build(p *pipeline.Pipeline, source stage.Producer[string]) { … }
//
// A test then passes a [Source]:
//
//	source := pipelinetest.NewSource[string]()
//	p := pipeline.New(pipeline.Config{})
//	build(p, source)
//	pipelinetest.Run(t, p)
//	outcome, err := source.Push("12").Wait(ctx)
//
// Each event has a [Receipt] with its outcome: done, failed for good, or discarded by a
// policy, as its source would be told. [Sink] is an end that records what it gets, and
// [Letters] a sink for dead letters.
//
// Events of [Source.Push] are not kept waiting in a batch for others; those of
// [Source.Batch] are batched by the steps' sizes and timeouts.
//
// Run the test in a bubble of testing/synctest: retries and timeouts of minutes then take
// no time, and synctest.Wait waits until the pipeline has nothing to do. The package
// starts no goroutine but that of [Run].
package pipelinetest
