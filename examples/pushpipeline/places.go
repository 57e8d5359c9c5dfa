package main

import (
	"sync"
	"time"

	"github.com/penstock-go/penstock/producer/kafka"
)

// places are the offsets up to which this process has written and read each
// partition. Any goroutine may use it.
type places struct {
	mu sync.Mutex // guards all fields
	// The next offset, by partition.
	written, seen map[int32]int64
	finished      map[int32]int64 // up to where all is finished, as of the last look
	last          map[int32]place // what was read last
	most          place           // how far behind the last one a push may be; see crowded
}

// place is where a push was read.
type place struct {
	partition int32
	offset    int64
	bytes     int64 // of all that was read of the partition by then
}

// newPlaces returns places of a process that has written and read nothing. Of a partition
// window pushes and bytes may be unfinished.
func newPlaces(window int, bytes int64) *places {
	return &places{
		written: make(map[int32]int64), seen: make(map[int32]int64), finished: make(map[int32]int64),
		last: make(map[int32]place),
		most: place{offset: int64(window) * 3 / 4, bytes: bytes * 3 / 4},
	}
}

// pass notes a record of size bytes, the next one of its partition, and returns its
// place. After a rebalance that can be an earlier one again.
func (p *places) pass(partition int32, offset int64, size int) place {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := place{partition, offset, p.last[partition].bytes + int64(size)}
	p.last[partition] = at
	return at
}

// crowded reports whether so much was read of a partition after a push that the partition
// will soon be read no further before the push has ended: at three quarters of what may
// be unfinished.
func (p *places) crowded(at place) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.last[at.partition]
	return last.offset-at.offset > p.most.offset || last.bytes-at.bytes > p.most.bytes
}

// wrote notes a record that the broker has confirmed.
func (p *places) wrote(partition int32, offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written[partition] = max(p.written[partition], offset+1)
}

// read notes a record that was read, here or by another member, and reports whether it was for the first time.
func (p *places) read(partition int32, offset int64) (first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if offset < p.seen[partition] {
		return false
	}
	p.seen[partition] = offset + 1
	return true
}

// finish notes that a partition is finished up to an offset.
func (p *places) finish(partition int32, offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finished[partition] = max(p.finished[partition], offset)
}

// unread returns the number of records of the given partitions, those of this member
// of the group, that were written and that the producer has not taken in: by this process
// as of now, by others as of the last poll. What was decoded only does not count as taken
// in: if the program ends now, it never reaches the pipeline. A process that has no
// partition, or has lost its partitions, counts all that it has written and that is not
// known to be finished: what it had read and not begun comes again.
func (p *places) unread(assigned []kafka.PartitionSnapshot) (n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(assigned) == 0 {
		for partition, written := range p.written {
			n += max(0, written-p.finished[partition])
		}
	}
	for _, part := range assigned {
		p.finished[part.Partition] = max(p.finished[part.Partition], part.Head)
		// The first that was not taken in, if no offset between is without a record.
		next := max(part.Committed+int64(part.Window), part.Head+int64(part.Unfinished))
		n += max(0, p.written[part.Partition]-next, part.Head+part.Lag-next)
	}
	return n
}

// logLimit lets one line a second through. One goroutine owns it.
type logLimit struct {
	last    time.Time
	skipped int
}

// allow reports whether to log now, and how many lines were left out before.
func (l *logLimit) allow(now time.Time) (skipped int, ok bool) {
	if now.Sub(l.last) < time.Second {
		l.skipped++
		return 0, false
	}
	skipped, l.last, l.skipped = l.skipped, now, 0
	return skipped, true
}
