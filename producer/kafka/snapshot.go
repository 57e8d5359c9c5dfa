package kafka

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/penstock-go/penstock/deadletter"
)

// Snapshot is a producer's counts and what it holds.
type Snapshot struct {
	// Records is the number of polled records, Poison that of unusable ones,
	// Abandoned that of receipts with that outcome.
	Records   int64 `json:"records"`
	Poison    int64 `json:"poison"`
	Abandoned int64 `json:"abandoned"`
	// Withdrawn is the number of records that were emitted and came back without having
	// been started, when their partition was revoked or the member drained.
	Withdrawn int64 `json:"withdrawn"`
	// LeftInFlight is the number of records that had no receipt when their
	// partition was revoked: another member delivers them again.
	LeftInFlight int64 `json:"left_in_flight"`
	// Commits and CommitErrors count requests, Errors polls that failed.
	Commits      int64 `json:"commits"`
	CommitErrors int64 `json:"commit_errors"`
	Errors       int64 `json:"errors"`
	// Unreadable is the number of batches that could not be read, Recreated how often a
	// topic was deleted and made again.
	Unreadable int64 `json:"unreadable"`
	Recreated  int64 `json:"recreated"`
	// NotReady is the error of Ready, "" if there is none.
	NotReady string `json:"not_ready,omitempty"`
	// Troubles are what goes wrong at the moment.
	Troubles []Trouble `json:"troubles,omitempty"`
	// LastError is the latest failure, "" if there has been none.
	LastError string `json:"last_error,omitempty"`
	// Demand is the number of events asked for and not emitted, Ready that of
	// those that have been polled.
	Demand int `json:"demand"`
	Ready  int `json:"ready"`
	// DeadLetters is what has become of the letters of poison records, nil if
	// Config.DeadLetters is not set.
	DeadLetters *deadletter.WriterSnapshot `json:"dead_letters,omitempty"`
	// Partitions are those assigned to this member, in order.
	Partitions []PartitionSnapshot `json:"partitions"`
}

// PartitionSnapshot describes an assigned partition.
type PartitionSnapshot struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// Head is the offset up to which all records are finished, Committed the one
	// that was last committed, 0 as long as nothing was polled.
	Head      int64 `json:"head"`
	Committed int64 `json:"committed"`
	// Unfinished is the number of records without a receipt, InFlight that of
	// those emitted, Window that of all from the first uncommitted one on.
	Unfinished int `json:"unfinished"`
	InFlight   int `json:"in_flight"`
	Window     int `json:"window"`
	// End is the offset after the newest record that can be read, as its broker has said in
	// the last two seconds or at the last poll, -1 as long as it has not. Lag is the distance
	// to it from Head, or from where the next record is if all that came before are finished.
	End int64 `json:"end"`
	Lag int64 `json:"lag"`
	// Stopped: a batch cannot be read, and Config.BadBatches is StopPartition.
	Stopped bool `json:"stopped,omitempty"`
	// Paused: the window is full, or the partition is held. Held: by Producer.Pause.
	Paused bool `json:"paused"`
	Held   bool `json:"held,omitempty"`
	// Epoch numbers the assignments of this member.
	Epoch uint64 `json:"epoch"`
}

// counts is the part of Snapshot that is kept, guarded by Producer.mu.
type counts struct {
	Snapshot
}

// Snapshot returns the counts. It blocks only while they are copied.
func (p *Producer[T]) Snapshot() Snapshot {
	s, letters := p.figures()
	if letters != nil {
		waiting := letters.Snapshot()
		s.DeadLetters = &waiting
	}
	return s
}

// figures returns the counts that mu guards, and the writer of dead letters.
func (p *Producer[T]) figures() (Snapshot, *deadletter.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, s := &p.core, p.stats.Snapshot
	s.Records, s.Abandoned, s.LeftInFlight = c.records, c.abandoned, c.leftInFlight
	s.Withdrawn = c.withdrawn
	s.Demand, s.Ready = c.owed, c.waiting
	if err := p.ready(time.Now()); err != nil {
		s.NotReady = err.Error()
	}
	s.Troubles = p.troubles.list()
	for _, part := range c.parts {
		s.Partitions = append(s.Partitions, PartitionSnapshot{
			Topic: part.topic, Partition: part.partition, Epoch: part.epoch,
			Head: part.tracker.head, Committed: max(0, part.committed),
			Unfinished: part.tracker.open, InFlight: part.inFlight, Window: part.window(),
			End: c.end(part), Lag: c.lag(part), Stopped: c.view(part.topicPartition).stopped,
			Paused: part.blocked || c.isPaused(part), Held: c.isHeld(part.topicPartition),
		})
	}
	slices.SortFunc(s.Partitions, func(a, b PartitionSnapshot) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return s, p.letters
}
