package pipeline

// Trigger is the reason why a batch was passed on.
type Trigger uint8

const (
	// TriggerSize: the batch has Size events.
	TriggerSize Trigger = iota
	// TriggerBytes: the batch has Bytes bytes, or the next event did not fit.
	TriggerBytes
	// TriggerCut: Cut has reported that the batch is complete.
	TriggerCut
	// TriggerTimeout: its first event has waited for Timeout.
	TriggerTimeout
	// TriggerKeys: there were more than MaxKeys open batches, and it was the oldest.
	TriggerKeys
	// TriggerWindow: no more events may come before some are passed on.
	TriggerWindow
	// TriggerFlush: nothing more could arrive for it.
	TriggerFlush
)

// String returns the trigger's name: size, bytes, cut, timeout, keys, window or flush.
func (t Trigger) String() string {
	return [...]string{"size", "bytes", "cut", "timeout", "keys", "window", "flush"}[t]
}
