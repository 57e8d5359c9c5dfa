// Package receipt has the words for the end of an event: its [Outcome], and the
// [Reason] for which it was discarded. Every room that touches the end of an
// event uses them: dispatchers, stages, sources and sinks.
package receipt

// Outcome is how an event ended.
type Outcome uint8

const (
	// Done: the event was handled.
	Done Outcome = iota
	// Failed: handling the event failed for good. The event was not lost on
	// the way, and the consumer will not try it again.
	Failed
	// Discarded: a policy dropped the event; its Reason names the policy.
	Discarded
	// Returned: the consumer went away before it gave a receipt, and the event
	// is to be delivered again.
	Returned
	// Abandoned: the consumer went away before it gave a receipt, and no
	// subscription asked for the event to be delivered again.
	Abandoned
	// Requeued: the dispatcher has taken the event back.
	Requeued
	// Withdrawn: the source asked for the event back before a handler had started it.
	Withdrawn
)

// String returns the outcome's name in lower case.
func (o Outcome) String() string {
	names := [...]string{"done", "failed", "discarded", "returned", "abandoned", "requeued", "withdrawn"}
	if int(o) < len(names) {
		return names[o]
	}
	return "unknown"
}

// Worse reports whether o is a worse end than other, where one of several parts
// of an event decides for all of it: Abandoned before Failed before Discarded
// before Done. Returned, Requeued and Withdrawn count as Abandoned.
func (o Outcome) Worse(other Outcome) bool { return o.severity() > other.severity() }

func (o Outcome) severity() int {
	switch o {
	case Done:
		return 0
	case Discarded:
		return 1
	case Failed:
		return 2
	}
	return 3
}

// Reason names why an event was discarded. Reasons are few and fixed, since they
// are values of a metric's tag.
type Reason string

// The reasons for which dispatchers and stages discard.
const (
	// BufferFull: a stage's buffer was full and its policy discarded this event.
	BufferFull Reason = "buffer_full"
	// KeyFull: the queue of this event's key was full.
	KeyFull Reason = "key_full"
	// QueueFull: the whole queue was full, and its policy discarded this event.
	QueueFull Reason = "queue_full"
	// Expired: the event was older than its time to live.
	Expired Reason = "expired"
	// Conflated: a newer event with the same key and sub-key took its place.
	Conflated Reason = "conflated"
	// NoPartition: the hash function gave the event no partition.
	NoPartition Reason = "no_partition"
	// Unselected: no subscriber's selector wanted the event.
	Unselected Reason = "unselected"
	// Cancelled: the subscription for which the event was kept is gone.
	Cancelled Reason = "cancelled"
	// Parked: the event's key was still parked when a draining stage had served
	// all other keys.
	Parked Reason = "parked"
	// Duplicate: an event with the same key was handled before.
	Duplicate Reason = "duplicate"
	// Offline: the user that the event is for is not online.
	Offline Reason = "offline"
	// Stopped: the stage was stopped without draining.
	Stopped Reason = "stopped"
)
