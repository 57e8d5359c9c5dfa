package kafka

import "time"

// topicPartition names a partition.
type topicPartition struct {
	topic     string
	partition int32
}

// partition is one assignment of a partition to this member, or the part of one
// since it was last read again from its prefix. Events of an earlier one point to
// another value, by which late receipts are recognised. It belongs to the core.
type partition struct {
	topicPartition
	phase   partitionPhase
	epoch   uint64 // counts the assignments of this member, for snapshots
	tracker tracker
	// inFlight is the number of records that were emitted and have no receipt.
	inFlight int
	// committed is the head that was last committed, or the offset of the first
	// record; unknown before.
	committed int64
	// committedAt is the position in tracker of the committed offset. It is below 0 if
	// records before the first one of this value are finished and not committed.
	committedAt int64
	polled      int64 // the offset after the last polled record, 0 before
	highWater   int64 // the offset after the newest record at the broker
	// queue has the records that were polled and not decoded: with demand, they wait for
	// room in the window.
	queue queue
	// blocked: the window was full, and has not come down to low yet.
	blocked bool
	// early: the first record of the queue is due at dueAt, and not before.
	early bool
	dueAt time.Time
	dueOf int64 // the offset of that record
}

// unknown is the committed offset of a partition of which nothing was polled.
const unknown = -1

// partitionPhase is how far the life of an assignment has come. Only a partition
// that is being read is polled and emitted.
type partitionPhase uint8

const (
	// reading: records are polled and emitted.
	reading partitionPhase = iota
	// rewinding: an event was abandoned. When nothing is in flight any more, the
	// partition is read again from its finished prefix, under another value.
	rewinding
	// leaving: the group takes the partition away. Receipts still count, and the
	// finished prefix is committed at the end.
	leaving
	// gone: the partition belongs to another member, or another value has taken
	// the place of this one. Receipts have no effect.
	gone
)

// window is the number of records from the first one that is not committed to the last
// one polled: what another member would have again after a crash.
func (p *partition) window() int { return int(int64(p.tracker.next) - p.committedAt) }

// uncommitted is the number of finished records that a commit would include now.
func (p *partition) uncommitted() int { return int(int64(p.tracker.base) - p.committedAt) }
