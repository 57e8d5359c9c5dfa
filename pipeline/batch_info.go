package pipeline

import "context"

// BatchInfo describes the batch that a function of [EachBatch] or [MapBatch] is called
// with.
type BatchInfo struct {
	// Key is that of the events, "" without BatchConfig.Key.
	Key string
	// Size is the number of events of the whole batch. An attempt that follows a failure
	// may be for fewer.
	Size int
	// Trigger is why the batch was passed on.
	Trigger Trigger
	// Attempt is how often its events are tried now, from 1 on.
	Attempt int
}

type batchInfoKey struct{}

// BatchInfoOf returns the description of the batch for which ctx was passed to a function
// or a middleware; false in any other context.
func BatchInfoOf(ctx context.Context) (BatchInfo, bool) {
	info, ok := ctx.Value(batchInfoKey{}).(BatchInfo)
	return info, ok
}
