// Package pipeline builds a graph of steps as one typed expression: take events from a
// source, map, filter and batch them with a number of workers, retry what fails, and
// write the results. Each step is one stage of package stage, which gives it demand,
// receipts, an orderly end and figures; this package adds names, retries, rates,
// restarts and control while it runs.
//
//	p := pipeline.New(pipeline.Config{Name: "imports"})
//	lines := pipeline.FromSeq(p, strings.Lines(text), pipeline.SourceConfig[string]{Name: "lines"})
//	rows := pipeline.Map(lines, parse, pipeline.StepConfig[string]{Name: "parse", Workers: 4})
//	pipeline.Each(rows, store, pipeline.StepConfig[Row]{Name: "store"})
//	err := p.Run(ctx)
//
// Steps are functions that take a [Flow] and return the next one, since methods have no
// type parameters. A flow has one consumer; [Broadcast] gives it several, and [Merge]
// makes one flow of several.
//
// # Errors
//
// No step returns an error. What is wrong with a config or with the shape of the graph
// is collected, and [Pipeline.Err] and [Pipeline.Run] return all of it before anything
// has started: each an [*OptionError] whose owner names the step.
//
// # Failure
//
// An event that fails is retried, and then is counted, logged and stored as a dead letter
// if there is a sink. It does not stop the pipeline. A step that dies itself, by an error of its
// stage or a panic outside of the handling of an event, is made anew, up to a number of
// times in a period ([Restart]); then the pipeline ends with a [*RestartError]. The
// stages around it live on: the one above delivers again what had no receipt. An event
// may be handled twice after that. A step that dies in a drain is not made anew: Run returns
// its error, and what it had has no receipt. If the pipeline has a sink, an event over
// which steps have died again is a dead letter, and its source is told that it was
// abandoned. Without a sink it is delivered again until [Restart] ends the pipeline. The
// events that were in hand with it are delivered again one by one, so that they are handled;
// a step that is given deliveries, such as a pool, has all of them in hand.
//
// An event for which the function of [Route] or [Partition] panics, or has no flow, fails as
// one in a step does; where the function of [Fair] panics the event has the zero key. If they
// end the goroutine by runtime.Goexit the step above is made anew and the event then fails
// alone. Directly below a source other than [FromFunc], or a branch, which cannot be made
// anew, that ends the pipeline, with an error that names it.
//
// # Order
//
// Results leave a step in the order of its events, also with several Workers and when one
// of them is tried again, unless the step is Unordered. With a Key the order is that of
// each key. Batches have an order if there is one worker or a Key.
//
// # Concurrency
//
// Functions that build the graph do not block and are for one goroutine. Methods of
// [Pipeline], [Step] and [Branches] may be called from any goroutine, and return at once
// unless they say otherwise. The function of a step runs on up to Workers goroutines at
// once; Key, SizeOf, Cut and the functions of [Reduce] run on the goroutine of the stage,
// so that they should be quick.
//
// # Cost
//
// An event costs [Map], [Filter] and [Each] no allocation of their own. Quick events of a
// step with one worker run on the goroutine of its stage.
//
// # The end
//
// Run ends when the sources have ended and all their events are finished, when Drain is
// called or its context is done, and when a step has failed for good. It drains then:
// sources take nothing more, and what was accepted is finished.
package pipeline
