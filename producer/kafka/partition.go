package kafka

// topicPartition names a partition.
type topicPartition struct {
	topic     string
	partition int32
}

// partition is one assignment of a partition to this member, or the part of
// one since it was last read again from its prefix. What belongs to an earlier
// one points to another value: that is how late receipts are known. It is
// guarded by Producer.mu.
type partition struct {
	topicPartition
	epoch   uint64 // counts the assignments of this member, for people
	tracker tracker
	// inFlight is how many records were emitted and have no receipt.
	inFlight int
	// committed is the head that was last committed, or where the first record
	// was.
	committed int64
	highWater int64 // the offset behind the newest record at the broker
	paused    bool  // the client does not fetch it
	// rewind says that an abandoned record is to be read again.
	rewind bool
	// leaving is set when nothing more of it may be emitted; idle is closed
	// when it has nothing in flight then.
	leaving bool
	idle    chan struct{}
}

// lag is how many offsets lie between the finished prefix and the newest
// record.
func (p *partition) lag() int64 {
	if !p.tracker.started {
		return 0
	}
	return max(0, p.highWater-p.tracker.head)
}

// leave begins the end of p and answers a channel that is closed when nothing
// of it is in flight.
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
