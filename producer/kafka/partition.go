package kafka

// topicPartition names a partition.
type topicPartition struct {
	topic     string
	partition int32
}

// partition is one assignment of a partition to this member, or the part of
// one since it was last read again from its prefix. Events of an earlier one point
// to another value, by which late receipts are recognised. Producer.mu guards it.
type partition struct {
	topicPartition
	epoch   uint64 // counts the assignments of this member, for snapshots
	tracker tracker
	// inFlight is the number of records that were emitted and have no receipt.
	inFlight int
	// committed is the head that was last committed, or the offset of the first
	// record.
	committed int64
	highWater int64 // the offset after the newest record at the broker
	paused    bool  // the client does not fetch it
	// rewind: an abandoned record must be read again.
	rewind bool
	// leaving is set when nothing more of it may be emitted; after that idle is
	// closed when it has nothing in flight.
	leaving bool
	idle    chan struct{}
}

// lag is the number of offsets between the finished prefix and the newest record.
func (p *partition) lag() int64 {
	if !p.tracker.started {
		return 0
	}
	return max(0, p.highWater-p.tracker.head)
}

// leave begins the end of p and returns a channel that is closed when nothing of
// it is in flight.
func (p *partition) leave() <-chan struct{} {
	p.leaving = true
	p.idle = make(chan struct{})
	if p.inFlight == 0 {
		close(p.idle)
	}
	return p.idle
}

// landed is called for each receipt.
func (p *partition) landed() {
	p.inFlight--
	if p.inFlight == 0 && p.idle != nil {
		close(p.idle)
	}
}
