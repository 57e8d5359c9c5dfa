package kafka

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/receipt"
)

// script drives a core by short words, so that a row of the table reads as a story.
// Partitions are numbers; offsets and event numbers are written from-to.
type script struct {
	core
	heads []head // determined by "heads", noted by "committed"
	out   []string
}

func at(partition int32) topicPartition { return topicPartition{topic, partition} }

// run carries out one word and notes what came of it.
func (s *script) run(word string) {
	verb, rest, _ := strings.Cut(word, " ")
	var p int32
	var from, to int64
	switch verb {
	case "poll":
		_, _ = fmt.Sscanf(rest, "%d:%d-%d", &p, &from, &to)
		if part := s.open(at(p), 1000); part != nil {
			for o := from; o <= to; o++ {
				part = s.take(part, o, 0, false)
			}
		} else {
			s.note("not taken")
		}
	case "poison":
		_, _ = fmt.Sscanf(rest, "%d:%d", &p, &from)
		s.order(s.dispose(s.take(s.open(at(p), 1000), from, 0, true), from))
	case "emit":
		var list []string
		s.order(s.emit(func(n int, emitted bool) { list = append(list, fmt.Sprintf("%d=%v", n, emitted)) }))
		s.note(strings.Join(list, " "))
	case "done", "failed", "discarded", "abandoned":
		_, _ = fmt.Sscanf(rest, "%d-%d", &from, &to)
		o := map[string]receipt.Outcome{"done": receipt.Done, "failed": receipt.Failed, "discarded": receipt.Discarded, "abandoned": receipt.Abandoned}[verb]
		s.order(s.receive(uint64(from), int(to-from)+1, o))
	case "assign", "revoke", "forget":
		var keys []topicPartition
		for _, f := range strings.Fields(rest) {
			_, _ = fmt.Sscan(f, &p)
			keys = append(keys, at(p))
		}
		switch verb {
		case "assign":
			s.assign(keys)
		case "revoke":
			if s.revoke(keys) {
				s.note("waits")
			}
		case "forget":
			for _, key := range s.forget(keys) {
				s.note(fmt.Sprintf("resume %d", key.partition))
			}
		}
	case "steer":
		t := s.steer()
		for _, h := range t.rewind {
			s.note(fmt.Sprintf("rewind %d:%d", h.part.partition, h.offset))
		}
		for _, key := range t.resume {
			s.note(fmt.Sprintf("resume %d", key.partition))
		}
	case "queue":
		_, _ = fmt.Sscanf(rest, "%d:%d-%d", &p, &from, &to)
		if part := s.open(at(p), 1000); part != nil {
			s.enqueue(part, queueOf(p, from, to))
		} else {
			s.note("not queued")
		}
	case "pick":
		_, _ = fmt.Sscan(rest, &from)
		part, records := s.pick(int(from))
		for i, r := range records {
			if i == 0 {
				s.note(fmt.Sprintf("%d:%d-%d", part.partition, r.Offset, records[len(records)-1].Offset))
			}
			part = s.take(part, r.Offset, 0, false)
		}
	case "hold", "hold again":
		s.reopened = rest == "again"
		for _, key := range s.stop() {
			s.note(fmt.Sprintf("pause %d", key.partition))
		}
	case "heads":
		s.heads = s.uncommitted()
		slices.SortFunc(s.heads, func(a, b head) int { return int(a.part.partition - b.part.partition) })
		for _, h := range s.heads {
			s.note(fmt.Sprintf("commit %d:%d", h.part.partition, h.offset))
		}
	case "committed":
		s.order(s.commit(s.heads, nil))
	case "refused":
		s.commit(s.heads, map[topicPartition]bool{at(0): true})
	case "away":
		s.endSession()
	case "demand":
		_, _ = fmt.Sscan(rest, &from)
		s.order(s.demand(int(from)))
	case "owed":
		n, steering := s.core.poll()
		s.note(fmt.Sprintf("%d %v", n, steering))
	case "drain":
		s.advance(draining)
	case "state":
		_, _ = fmt.Sscan(rest, &p)
		part := s.parts[at(p)]
		s.note(fmt.Sprintf("head %d open %d flying %d epoch %d", part.tracker.head, part.tracker.open, part.inFlight, part.epoch))
	default:
		panic(word)
	}
}

// queueOf returns a queue of records with the offsets from-to, as one poll brings them.
func queueOf(partition int32, from, to int64) (q queue) {
	var records []*kgo.Record
	for o := from; o <= to; o++ {
		records = append(records, &kgo.Record{Topic: topic, Partition: partition, Offset: o})
	}
	q.add(records)
	return q
}

func (s *script) note(text string) {
	if text != "" {
		s.out = append(s.out, text)
	}
}

func (s *script) order(do orders) {
	if do.now {
		s.note("now")
	}
	if do.settled {
		s.note("settled")
	}
}

func TestCore(t *testing.T) {
	for name, c := range map[string]struct {
		words []string
		want  []string
	}{
		"outcomes that finish a record": {
			[]string{"assign 0", "poll 0:0-3", "emit", "discarded 1-1", "failed 0-0", "done 2-2", "state 0", "abandoned 3-3", "state 0"},
			[]string{"4=true", "head 3 open 1 flying 1 epoch 1", "now", "head 3 open 1 flying 0 epoch 1"},
		},
		"receipts that are known already, or of no event": {
			[]string{"assign 0", "poll 0:0-3", "emit", "done 0-1", "done 0-2", "abandoned 1-1", "done 4-9", "state 0"},
			[]string{"4=true", "head 3 open 1 flying 1 epoch 1"},
		},
		"late receipts of an earlier assignment": {
			[]string{"assign 0", "poll 0:10-12", "emit", "forget 0", "assign 0", "poll 0:10-12", "emit", "done 0-2", "state 0", "done 3-5", "state 0"},
			[]string{"3=true", "3=true", "head 10 open 3 flying 3 epoch 2", "head 13 open 0 flying 0 epoch 2"},
		},
		"a late abandoned one rewinds nothing": {
			[]string{"assign 0", "poll 0:0-0", "emit", "forget 0", "assign 0", "abandoned 0-0", "steer", "state 0"},
			[]string{"1=true", "head 0 open 0 flying 0 epoch 2"},
		},
		"what is ready when a partition goes is owed again": {
			[]string{"demand 5", "assign 0 1", "poll 0:0-0", "poll 1:0-0", "owed", "forget 0", "emit", "owed", "poll 0:0-0"},
			[]string{"3 false", "1=false 1=true", "4 false", "not taken"},
		},
		"offsets that go back are other records": {
			[]string{"assign 0", "poll 0:10-12", "emit", "poll 0:11-12", "emit", "done 0-2", "state 0", "done 3-4", "heads"},
			[]string{"3=true", "2=true", "head 11 open 2 flying 2 epoch 2", "commit 0:13"},
		},
		"nothing is taken while draining, receipts count": {
			[]string{"demand 9", "assign 0", "poll 0:0-0", "emit", "poll 0:1-1", "drain", "emit", "poll 0:2-3", "owed", "done 0-0", "heads"},
			[]string{"1=true", "not taken", "0 false", "commit 0:1"},
		},
		"a full window pauses its partition until half is committed": {
			[]string{"demand 99", "assign 0 1", "queue 0:0-14", "queue 1:0-8", "pick 99", "pick 99", "pick 99", "emit", "hold", "done 0-4", "steer", "heads", "committed", "steer", "steer", "pick 2", "pick 99", "pick 99", "hold"},
			[]string{"0:0-9", "1:0-8", "10=true 9=true", "pause 0", "commit 0:5", "now", "resume 0", "0:10-11", "0:12-14"},
		},
		"a full window without further records pauses nothing": {
			[]string{"demand 99", "assign 0", "queue 0:0-9", "pick 99", "hold"},
			[]string{"0:0-9"},
		},
		"what comes for a paused partition is queued, and it is paused again": {
			[]string{"demand 99", "assign 0", "queue 0:0-10", "pick 99", "hold", "queue 0:11-12", "hold", "hold again", "emit", "done 0-9", "heads", "committed", "steer", "pick 99", "pick 99"},
			[]string{"0:0-9", "pause 0", "pause 0", "10=true", "commit 0:10", "now", "resume 0", "0:10-10", "0:11-12"},
		},
		"partitions take turns": {
			[]string{"demand 6", "assign 0 1", "queue 0:0-3", "queue 1:0-3", "pick 2", "pick 2", "pick 2", "pick 2"},
			[]string{"0:0-1", "1:0-1", "0:2-3"},
		},
		"what is queued goes with its assignment": {
			[]string{"demand 99", "assign 0 1 2", "queue 0:0-3", "queue 1:0-3", "queue 2:0-3", "revoke 0", "forget 1", "assign 1", "pick 99", "pick 99", "forget 0", "queue 0:4-5"},
			[]string{"2:0-3", "not queued"},
		},
		"what is queued behind a loss of the broker stays": {
			[]string{"demand 99", "assign 0", "queue 0:5-6", "pick 99", "queue 0:3-3", "queue 0:4-5", "pick 99", "pick 99", "emit", "done 0-2", "heads"},
			[]string{"0:5-6", "0:3-3", "0:4-5", "2=false 3=true", "commit 0:6"},
		},
		"poison counts in the window": {
			[]string{"demand 99", "assign 0", "queue 0:0-8", "pick 99", "emit", "poison 0:9", "queue 0:10-10", "pick 99", "hold", "done 0-8", "steer", "heads", "committed", "steer"},
			[]string{"0:0-8", "9=true", "pause 0", "commit 0:10", "now", "resume 0"},
		},
		"a paused partition that is forgotten is resumed": {
			[]string{"demand 99", "assign 0", "queue 0:0-10", "pick 99", "hold", "forget 0"},
			[]string{"0:0-9", "pause 0", "resume 0"},
		},
		"an abandoned record is read again when nothing is in flight": {
			[]string{"demand 9", "assign 0", "poll 0:0-4", "emit", "poll 0:5-5", "done 0-1", "abandoned 2-2", "emit", "poll 0:6-6", "steer", "done 3-4", "steer", "state 0", "poll 0:2-4", "emit", "owed"},
			[]string{"5=true", "1=false", "not taken", "now", "rewind 0:2", "head 2 open 0 flying 0 epoch 2", "3=true", "1 false"},
		},
		"a partition is not read again while events of it are in flight": {
			[]string{"assign 0 1", "poll 0:0-1", "emit", "abandoned 0-0", "poll 1:0-9", "steer", "done 1-1", "steer"},
			[]string{"2=true", "now", "rewind 0:0"},
		},
		"the finished prefix is committed although the rest is read again": {
			[]string{"assign 0", "poll 0:0-2", "emit", "done 0-0", "abandoned 1-2", "steer", "heads", "committed", "heads", "poll 0:1-2", "emit", "done 3-3", "heads"},
			[]string{"3=true", "now", "rewind 0:1", "commit 0:1", "2=true", "commit 0:2"},
		},
		"a paused partition that is read again is resumed": {
			[]string{"demand 99", "assign 0", "queue 0:0-10", "pick 99", "emit", "hold", "abandoned 0-9", "steer"},
			[]string{"0:0-9", "10=true", "pause 0", "now", "rewind 0:0", "resume 0"},
		},
		"a revoked partition waits for what is in flight": {
			[]string{"assign 0 1", "poll 0:0-1", "poll 1:0-0", "emit", "poll 0:2-2", "revoke 0 1", "emit", "poll 0:3-3", "done 2-2", "done 0-0", "done 1-1", "heads"},
			[]string{"2=true 1=true", "waits", "1=false", "not taken", "settled", "commit 0:2", "commit 1:1"},
		},
		"a revoked partition without events in flight waits for none": {
			[]string{"assign 0", "poll 0:0-0", "emit", "done 0-0", "revoke 0", "heads", "committed", "away", "forget 0", "heads"},
			[]string{"1=true", "commit 0:1"},
		},
		"poison of a revoked partition is no receipt": {
			[]string{"assign 0 1", "poll 0:0-0", "poll 1:0-0", "emit", "poll 1:1-1", "revoke 0", "done 1-1", "done 0-0"},
			[]string{"1=true 1=true", "waits", "settled"},
		},
		"an abandoned record of a revoked partition is not read again": {
			[]string{"assign 0", "poll 0:0-1", "emit", "revoke 0", "done 0-0", "abandoned 1-1", "steer", "heads"},
			[]string{"2=true", "waits", "settled", "commit 0:1"},
		},
		"a partition whose time is up is waited for no longer": {
			[]string{"assign 0 1", "poll 0:0-0", "poll 1:0-0", "emit", "revoke 0", "forget 0", "revoke 1", "done 0-0", "done 1-1"},
			[]string{"1=true 1=true", "waits", "waits", "settled"},
		},
		"outside of a session nothing is committed": {
			[]string{"assign 0", "poll 0:0-1", "emit", "done 0-1", "away", "heads", "assign", "heads", "refused", "heads", "committed", "heads"},
			[]string{"2=true", "commit 0:2", "commit 0:2"},
		},
		"no more is taken than there is demand for": {
			[]string{"demand 5", "owed", "assign 0", "queue 0:0-8", "pick 99", "owed", "emit", "pick 99", "demand 2", "pick 99", "owed"},
			[]string{"5 false", "0:0-4", "0 false", "5=true", "0:5-6", "0 false"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &script{core: newCore(10)}
			for _, w := range c.words {
				s.run(w)
			}
			if !slices.Equal(s.out, c.want) {
				t.Errorf("got  %q\nwant %q", s.out, c.want)
			}
		})
	}
}

// In steady state a record costs the core no allocation.
func TestCoreAllocatesNothing(t *testing.T) {
	c := newCore(10_000)
	c.assign([]topicPartition{at(0), at(1)})
	offset, number := int64(0), uint64(0)
	round := func() {
		for p := range int32(2) {
			part := c.open(at(p), 0)
			for i := range int64(500) {
				c.take(part, offset+i, 0, false)
			}
		}
		c.demand(1000)
		c.emit(func(int, bool) {})
		c.receive(number+500, 500, receipt.Done)
		c.receive(number, 500, receipt.Failed)
		offset += 500
		number += 1000
	}
	for range 10 {
		round()
	}
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations for 1,000 records", n)
	}
	if part := c.parts[at(0)]; part.tracker.head != offset || c.flights.open != 0 {
		t.Errorf("head %d of %d, %d in flight", part.tracker.head, offset, c.flights.open)
	}
}

// Behind a dispatcher that reads ahead there is demand with every few events.
func TestDemandForWhatIsOwedWakesNoPoller(t *testing.T) {
	c := newCore(10)
	for i, step := range []struct {
		do   func() orders
		look bool
	}{
		{func() orders { return c.demand(3) }, true},
		{func() orders { return c.demand(2) }, false},
		{func() orders {
			c.assign([]topicPartition{at(0)})
			c.take(c.parts[at(0)], 0, 0, false)
			return c.demand(1)
		}, false},
		{func() orders { c.waiting = c.owed; return c.demand(1) }, true},
	} {
		if do := step.do(); do.look != step.look {
			t.Errorf("step %d: look %v", i, do.look)
		}
	}
}
