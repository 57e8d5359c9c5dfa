package main

// keeps reports whether pushes that are left at the end of this process are delivered
// after it, by another member of the group or the next run.
func (c config) keeps() bool { return c.Source == "kafka" && c.Brokers != "" }

// bufferBytes is how many bytes of pushes this process holds at once.
func (c config) bufferBytes() int64 { return int64(c.BufferMiB) << 20 }

// retentionBytes is how many bytes the broker inside this process keeps of each
// partition.
func (c config) retentionBytes() int64 { return int64(c.RetentionMiB) << 20 / int64(c.Parts) }

// userBytes is how many bytes of one user's pushes this process holds at once.
func (c config) userBytes() int64 { return max(c.bufferBytes()/8, 2*maxData) }

// room bounds what the memory source holds.
func (c config) room() roomLimits {
	if c.Overflow == "drop" {
		// What the dispatcher holds comes on top: it makes room for itself.
		return roomLimits{pushes: c.Buffer + 100_000, bytes: c.bufferBytes() + 64<<20, userPushes: noLimit, userBytes: noLimit}
	}
	return roomLimits{pushes: c.Buffer, bytes: c.bufferBytes(), userPushes: c.UserBuffer, userBytes: c.userBytes()}
}

// meanSize is taken for the size of a push when it is decided how many are read ahead,
// since they are asked for by number.
const meanSize = 8 << 10

// readAhead is how many pushes are read from Kafka before they can be delivered.
func (c config) readAhead() int {
	return int(min(max(c.bufferBytes()/meanSize, 1000), 100_000))
}

// window is how many pushes of a partition may be unfinished, so that one that cannot be
// delivered holds up its own partition and not all.
func (c config) window() int {
	if c.Overflow == "drop" {
		return 10_000 // a flood is discarded
	}
	return max(c.readAhead()/c.Parts, 128)
}
