package kafka

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// bare is a producer without a client, driven by hand.
func bare() *Producer[string] {
	p := stage.Must(NewProducer(Config[string]{Brokers: []string{"b"}, Topics: []string{topic}, Group: "g", Decode: decodeName}))
	p.polling, p.stopPoll = context.WithCancel(context.Background())
	p.hard, p.abort = context.WithCancel(context.Background())
	p.wake = func() {}
	return p
}

var part0 = map[string][]int32{topic: {0}}

// polled hands records with these offsets of partition 0 to p, and has it emit
// them, and returns how many it emitted.
func polled(p *Producer[string], offsets ...int64) int {
	batch := make([]decoded[string], len(offsets))
	for i, o := range offsets {
		batch[i] = decoded[string]{record: &kgo.Record{Topic: topic, Offset: o}, event: name(0, o)}
	}
	p.track(topicPartition{topic, 0}, 1000, batch)
	var emit stage.Emitter[string]
	if err := p.HandleWake(context.Background(), &emit); err != nil {
		panic(err)
	}
	return emit.Len()
}

func receipts(p *Producer[string], outcome receipt.Outcome, seqs ...uint64) {
	list := make([]stage.Receipt, len(seqs))
	for i, s := range seqs {
		list[i] = stage.Receipt{First: s, Count: 1, Outcome: outcome}
	}
	if err := p.HandleReceipts(context.Background(), list); err != nil {
		panic(err)
	}
}

func only(t *testing.T, p *Producer[string]) PartitionStats {
	t.Helper()
	s := p.Stats()
	if len(s.Partitions) != 1 {
		t.Fatalf("partitions are %+v", s.Partitions)
	}
	return s.Partitions[0]
}

func TestOutcomesThatFinish(t *testing.T) {
	p := bare()
	p.assigned(context.Background(), nil, part0)
	polled(p, 0, 1, 2, 3)
	receipts(p, receipt.Discarded, 1)
	receipts(p, receipt.Failed, 0)
	receipts(p, receipt.Done, 2)
	if s := only(t, p); s.Head != 3 || s.InFlight != 1 {
		t.Errorf("partition is %+v", s)
	}
	receipts(p, receipt.Abandoned, 3)
	if s := only(t, p); s.Head != 3 || s.InFlight != 0 || s.Unfinished != 1 {
		t.Errorf("after an abandoned one: %+v", s)
	}
	receipts(p, receipt.Done, 3, 3, 17, 1<<63) // known already, or unknown
	if s := only(t, p); s.Head != 3 {
		t.Errorf("after receipts of nothing: %+v", s)
	}
}

// Receipts for an assignment that has ended change nothing in the next one,
// though its offsets are the same.
func TestLateReceiptsOfAnEarlierAssignment(t *testing.T) {
	p := bare()
	p.assigned(context.Background(), nil, part0)
	if n := polled(p, 10, 11, 12); n != 3 {
		t.Fatalf("%d emitted", n)
	}
	p.commitSlot <- struct{}{} // no commit can run here
	p.cfg.CommitTimeout = time.Millisecond
	p.lost(context.Background(), nil, part0)
	p.assigned(context.Background(), nil, part0)
	polled(p, 10, 11, 12)
	receipts(p, receipt.Done, 0, 1, 2) // of the first
	if s := only(t, p); s.Head != 10 || s.InFlight != 3 || s.Epoch != 2 {
		t.Errorf("partition is %+v", s)
	}
	receipts(p, receipt.Done, 3, 4, 5)
	if s := only(t, p); s.Head != 13 || s.InFlight != 0 {
		t.Errorf("partition is %+v", s)
	}
	if left := p.Stats().LeftInFlight; left != 3 {
		t.Errorf("%d left in flight", left)
	}
}

// What is ready when a partition goes is not emitted, and its demand is still
// owed.
func TestReadyRecordsOfALostPartition(t *testing.T) {
	p := bare()
	p.owed = 5
	p.assigned(context.Background(), nil, map[string][]int32{topic: {0, 1}})
	one := func(part int32) []decoded[string] {
		return []decoded[string]{{record: &kgo.Record{Topic: topic, Partition: part}, event: name(part, 0)}}
	}
	p.track(topicPartition{topic, 0}, 1, one(0))
	p.track(topicPartition{topic, 1}, 1, one(1))
	p.forget(nil, part0)
	if n := polled(p); n != 1 {
		t.Errorf("%d emitted, want the one of the other partition", n)
	}
	if s := p.Stats(); s.Demand != 4 || s.Ready != 0 {
		t.Errorf("stats are %+v", s)
	}
	p.track(topicPartition{topic, 0}, 1, one(0)) // not ours any more
	if s := p.Stats(); s.Ready != 0 {
		t.Errorf("stats are %+v", s)
	}
}

// A broker that has lost its newest records serves others under their offsets.
func TestOffsetsThatGoBack(t *testing.T) {
	p := bare()
	p.assigned(context.Background(), nil, part0)
	polled(p, 10, 11, 12)
	if n := polled(p, 11, 12); n != 2 {
		t.Errorf("%d emitted", n)
	}
	receipts(p, receipt.Done, 0, 1, 2)
	if s := only(t, p); s.Head != 11 || s.InFlight != 2 {
		t.Errorf("partition is %+v", s)
	}
	receipts(p, receipt.Done, 3, 4)
	if s := only(t, p); s.Head != 13 || s.InFlight != 0 {
		t.Errorf("partition is %+v", s)
	}
}

func TestNothingIsTakenWhileDraining(t *testing.T) {
	p := bare()
	p.assigned(context.Background(), nil, part0)
	polled(p, 0)
	p.track(topicPartition{topic, 0}, 9, []decoded[string]{{record: &kgo.Record{Topic: topic, Offset: 1}}})
	if err := p.HandleDrain(context.Background()); !errors.Is(err, stage.ErrDone) {
		t.Errorf("HandleDrain answers %v", err)
	}
	if n := polled(p, 2, 3); n != 0 {
		t.Errorf("%d emitted", n)
	}
	receipts(p, receipt.Done, 0)
	if s := only(t, p); s.Head != 1 {
		t.Errorf("partition is %+v", s)
	}
}

func TestProducedAt(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		stamp, want time.Time
		skewed      bool
	}{
		{now, now, false},
		{now.Add(-time.Hour), now.Add(-time.Hour), false},
		{now.Add(time.Millisecond), now, true},
		{time.UnixMilli(0), now, true},
		{time.Time{}, now, true},
		{time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), now, true},
	} {
		at, skewed := ProducedAt(&kgo.Record{Timestamp: c.stamp}, now)
		if !at.Equal(c.want) || skewed != c.skewed {
			t.Errorf("%v is answered as %v, %v", c.stamp, at, skewed)
		}
	}
}

func TestLimitErrorSaysWhat(t *testing.T) {
	err := (&Limits{Headers: 1}).check(&kgo.Record{Headers: make([]kgo.RecordHeader, 2)})
	if got := fmt.Sprint(err); got != "kafka: record exceeds limit Headers: 2, at most 1 are allowed" {
		t.Error(got)
	}
}
