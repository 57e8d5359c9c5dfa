package kafka

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Trouble is something that goes wrong at the moment: it ends when what failed
// succeeds.
type Trouble struct {
	// Topic and Partition say where: Topic is "" for what concerns all of them, and
	// Partition -1 for a whole topic.
	Topic     string `json:"topic,omitempty"`
	Partition int32  `json:"partition"`
	// Doing is what fails, such as "fetching", and Error the latest reason.
	Doing string `json:"doing"`
	Error string `json:"error"`
	// Since is when it first failed, Count how often it has since.
	Since time.Time `json:"since"`
	Count int64     `json:"count"`
}

// What fails, as logged and as Trouble.Doing.
const (
	doReach    = "reaching a broker"    // everything
	doJoin     = "belonging to a group" // everything
	doDescribe = "looking at a topic"   // a topic, or a partition of it
	doPoll     = "polling"              // a partition, or all
	doFetch    = "fetching"             // a partition: found by asking its broker, without the client's retries
	doRead     = "reading a batch"      // a partition
	doCommit   = "committing"           // all; records are handled all the same
)

// place is where a trouble is, and what it is about.
type place struct {
	topicPartition
	doing string
}

// everywhere is the partition of what concerns a whole topic, or with no topic all.
const everywhere int32 = -1

// logEvery is how often a trouble that goes on is logged. A new one is logged at once, and
// so is another reason.
const logEvery = 10 * time.Second

// troubles are what goes wrong at the moment. It is a pure state machine; the producer
// holds Producer.mu during each call.
type troubles map[place]*trouble

type trouble struct {
	Trouble
	last   time.Time // when it was noted
	logged time.Time
	line   string // the error that was last logged
	blocks bool   // nothing of the place is read meanwhile
}

// note counts a failure, and reports whether it is logged.
func (t troubles) note(at place, reason string, blocks bool, now time.Time) (logged bool) {
	one := t[at]
	if one == nil {
		one = &trouble{Trouble: Trouble{Topic: at.topic, Partition: at.partition, Doing: at.doing, Since: now}}
		t[at] = one
	}
	one.Error, one.blocks = reason, blocks
	one.Count++
	one.last = now
	since := now.Sub(one.logged)
	// Another reason has a line of its own, but not several in a second: two may alternate.
	if one.Count > 1 && since < logEvery && (one.line == reason || since < time.Second) {
		return false
	}
	one.logged, one.line = now, reason
	return true
}

// end removes a trouble, and returns it if there was one.
func (t troubles) end(at place) *trouble {
	one := t[at]
	delete(t, at)
	return one
}

// forget removes everything about a partition.
func (t troubles) forget(key topicPartition) {
	for at := range t {
		if at.topicPartition == key {
			delete(t, at)
		}
	}
}

// list returns what goes wrong, in order.
func (t troubles) list() (all []Trouble) {
	for _, one := range t {
		all = append(all, one.Trouble)
	}
	slices.SortFunc(all, func(a, b Trouble) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), strings.Compare(a.Doing, b.Doing))
	})
	return all
}

// blocking returns the oldest trouble for which something is not read and that has lasted
// for a while, or nil.
func (t troubles) blocking(now time.Time) (oldest *trouble) {
	for _, one := range t {
		if !one.blocks || now.Sub(one.Since) < troubleGrace {
			continue
		}
		if oldest == nil || one.Since.Before(oldest.Since) {
			oldest = one
		}
	}
	return oldest
}

// troubleGrace is how long a trouble must last before a producer is not ready: the move of
// a partition to another broker is none.
const troubleGrace = 2 * time.Second
