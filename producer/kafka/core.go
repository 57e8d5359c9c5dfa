package kafka

import "time"

// core decides what a producer does: which polled records are taken and emitted,
// what a receipt finishes, when partitions are paused, resumed and read again, and
// what may be committed.
//
// It is a pure state machine without lock, clock, client or goroutine. The producer
// holds Producer.mu during every call, and carries out the orders after it has
// released it.
type core struct {
	window   int // bounds the window of a partition
	phase    phase
	session  session
	steering bool // steer has something to do
	// byTime: a group without commits begins at a time, which only the client looks up.
	byTime bool
	// committedOnly: records of transactions that are open, or were aborted, are not polled.
	committedOnly bool
	// parts are the partitions that this member reads. A value that was replaced lives on
	// in flights until its events have their receipt.
	parts map[topicPartition]*partition
	// views are what their brokers say of them.
	views  map[topicPartition]*view
	paused map[topicPartition]struct{} // what the client does not fetch
	coming map[topicPartition]awaited  // what it has, and a poll is to take
	// reopened: the client may fetch paused partitions, since it has records of them.
	reopened bool
	narrowed bool                        // the client fetches one batch at a time
	single   map[topicPartition]bool     // partitions of which nothing else can come
	most     int                         // bytes of a queue from which on what comes is discarded; 0: any
	delay    time.Duration               // how old records must be; 0: any age
	now      time.Time                   // the time of pick, if there is a delay
	held     map[topicPartition]struct{} // what the program has paused, a part of paused
	queued   []*partition                // those with a queue, in turn; some may not be read any more
	epochs   uint64                      // assignments until now

	owed    int    // demand that has not been emitted yet
	ready   []span // polled and not emitted, the oldest first
	waiting int    // events of ready
	flights flights
	ending  int // leaving partitions with events in flight
	// disordered: an event was finished before an earlier one of its partition. inOrder is the
	// number of those that were not, while later ones of their partition were in flight.
	disordered bool
	inOrder    int

	records      int64 // polled and taken
	abandoned    int64 // receipts with that outcome
	withdrawn    int64 // as these
	leftInFlight int64 // events without a receipt when their partition went
}

// phase is how far the life of a producer has come. Only a running one takes
// records.
type phase uint8

const (
	running  phase = iota
	draining       // nothing more is taken; receipts and commits continue
	closing        // the producer ends its client
	failed         // the client was closed by something else
)

// session is whether the group accepts commits.
type session uint8

const (
	outside session = iota // the group is being joined, which refuses commits
	inside                 // from an assignment to the end of its session
)

// orders are what the producer does after a step, without the lock.
type orders struct {
	look    bool // the poller looks at the core again
	now     bool // and ends its poll for that, if it is waiting for records
	settled bool // nothing of the leaving partitions is in flight any more
	commit  bool // a commit is due before its time, since it makes room in a window
}

func newCore(window int) core {
	return core{
		window: window,
		parts:  make(map[topicPartition]*partition),
		views:  make(map[topicPartition]*view),
		paused: make(map[topicPartition]struct{}),
		held:   make(map[topicPartition]struct{}),
		coming: make(map[topicPartition]awaited),
		single: make(map[topicPartition]bool),
	}
}

// assign begins a session with the partitions that are new in it. Those that it had before
// go on as they were.
func (c *core) assign(keys []topicPartition) {
	c.session = inside
	for _, key := range keys {
		c.views[key] = newView()
		c.replace(key)
	}
}

// replace puts an empty partition in the place of the one that was there.
func (c *core) replace(key topicPartition) *partition {
	if old := c.parts[key]; old != nil {
		c.depart(old, gone)
	}
	c.epochs++
	delete(c.coming, key) // the client discards it
	delete(c.single, key)
	part := &partition{topicPartition: key, epoch: c.epochs, committed: unknown}
	c.parts[key] = part
	if _, paused := c.paused[key]; paused {
		c.steering = true
	}
	return part
}

// revoke begins the end of partitions, and reports whether events of them are in
// flight. The order settled follows when they have landed.
func (c *core) revoke(keys []topicPartition) (inFlight bool) {
	c.session = inside // a commit is possible here, even if a join was interrupted
	for _, key := range keys {
		if part := c.parts[key]; part != nil {
			c.depart(part, leaving)
		}
	}
	return c.ending > 0
}

// depart moves a partition to a later phase and keeps count of those that are waited
// for.
func (c *core) depart(part *partition, to partitionPhase) {
	if part.inFlight > 0 {
		if part.phase == leaving {
			c.ending--
		}
		if to == leaving {
			c.ending++
		}
	}
	part.phase = to
	part.queue = queue{} // it is read again, here or by another member
}

// forget ends partitions, and returns those that the client has to resume: it would
// remember that they were paused if they came back.
func (c *core) forget(keys []topicPartition) (resume []topicPartition) {
	for _, key := range keys {
		part := c.parts[key]
		if part == nil {
			continue
		}
		c.depart(part, gone)
		c.leftInFlight += int64(part.inFlight)
		delete(c.parts, key)
		delete(c.views, key)
		delete(c.coming, key)
		delete(c.single, key)
		if _, paused := c.paused[key]; paused && !c.isHeld(key) {
			delete(c.paused, key)
			resume = append(resume, key)
		}
	}
	return resume
}

// endSession ends the time in which commits are accepted. The partitions stay.
func (c *core) endSession() { c.session = outside }

// advance moves the producer to a later phase. What was polled and not emitted is
// left to the next member.
func (c *core) advance(to phase) {
	if to <= c.phase {
		return
	}
	c.phase = to
	// The producer drops its events with them.
	c.ready, c.waiting, c.queued = nil, 0, nil
	for _, part := range c.parts {
		part.queue = queue{}
	}
}

// head is a finished prefix that is to be committed: offset is the next one to read, and
// epoch the leader epoch of the record before it, -1 if unknown.
type head struct {
	part   *partition
	offset int64
	epoch  int32
	at     int64 // its position in the tracker
}

// uncommitted returns the finished prefixes that have grown since they were
// committed.
func (c *core) uncommitted() (heads []head) {
	if c.session == outside {
		return nil
	}
	for _, part := range c.parts {
		if part.committed != unknown && part.tracker.head > part.committed {
			heads = append(heads, head{part, part.tracker.head, part.tracker.headEpoch, int64(part.tracker.base)})
		}
	}
	return heads
}

// commit notes prefixes as committed, which may make room in windows. A partition may
// have been read again since they were determined; then its later value is not concerned.
func (c *core) commit(heads []head, refused map[topicPartition]bool) (do orders) {
	for _, h := range heads {
		if !refused[h.part.topicPartition] {
			h.part.committed, h.part.committedAt = h.offset, h.at
			do = do.and(c.after(h.part))
		}
	}
	return do
}
