package trace

// The names of the spans that this module makes. Those of stages are followed by a space and
// the stage's name.
const (
	// SpanDispatch: from the event's emission by a stage until its dispatcher has handed it
	// out, or has discarded it.
	SpanDispatch = "dispatch"
	// SpanHandle: from the event's arrival at a stage until that is done with it: at the end
	// of a pipeline its receipt, elsewhere the end of its handling.
	SpanHandle = "handle"
	// SpanAttempt: one call of the program's function for the event.
	SpanAttempt = "attempt"
	// SpanBatch: one call of the program's function for a batch, or passing on a slice or a
	// summary of events.
	SpanBatch = "batch"
	// SpanRoute: one call of the program's function that chooses the flow of an event.
	SpanRoute = "route"
	// SpanDeliver: one attempt to have an event written to a client, on any node.
	SpanDeliver = "deliver"
	// SpanWrite: from the event's entry into a connection's queue until its frame was written.
	SpanWrite = "websocket write"
	// SpanBroadcast: from the first entry of a broadcast into a queue of a node until its last
	// frame there was written.
	SpanBroadcast = "websocket broadcast"
)

// The keys of the attributes of these spans.
const (
	AttrStage    = "penstock.stage"    // the name of the stage
	AttrAttempt  = "penstock.attempt"  // counted from 1
	AttrOutcome  = "penstock.outcome"  // done, failed, discarded, withdrawn, not_finished
	AttrReason   = "penstock.reason"   // why the event was discarded
	AttrEvents   = "penstock.events"   // of a batch
	AttrUnlinked = "penstock.unlinked" // sampled events of a batch for which there is no link
	AttrRoute    = "penstock.route"    // the flow that was chosen
	AttrFrames   = "penstock.frames"   // of a broadcast at a node: receivers
	AttrMissed   = "penstock.missed"   // of them those to which it was not written
	AttrNode     = "penstock.node"     // the name of the node
)

// MaxLinks bounds the links of a batch's span.
const MaxLinks = 32
