package kafka

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/crash"
)

// portion is the records of one partition that the poller decodes, while rebalances may happen.
type portion[T any] struct {
	part    *partition // nil: there is no job
	records []*kgo.Record
	at      int // the next one to decode; control records are not
	begun   time.Time
	events  []T   // of those before it that are no poison
	bad     []bad // the others
	poison  []poison
}

// bad is a record that could not be decoded, by its place in the job.
type bad struct {
	at  int
	err error
}

// maxJob bounds a job, so that its events come soon.
const maxJob = 1024

// A job takes about this long: shorter ones become larger, longer ones smaller.
const (
	shortJob = time.Millisecond
	longJob  = 5 * time.Millisecond
)

func (j *portion[T]) begin(part *partition, records []*kgo.Record) {
	j.part, j.records, j.at = part, records, 0
}

// decode decodes a job, without mu. It stops early if a rebalance or the end has been
// signalled, or if Decode has become so slow that a job of this size would take long.
func (p *Producer[T]) decode() {
	j := &p.poller.job
	j.begun = time.Now()
	for p.decoding() {
		p.decodeOn()
	}
	switch d := time.Since(j.begun); {
	case d < shortJob && j.at == p.poller.size:
		p.poller.size = min(2*p.poller.size, maxJob)
	case d > longJob:
		p.poller.size = max(p.poller.size/2, 1)
	}
}

// decoding reports whether the job goes on. The clock is read after the first, second,
// fourth and eighth record, and then after every sixteenth, since that takes as long as a
// quick Decode.
func (p *Producer[T]) decoding() bool {
	j := &p.poller.job
	switch at := j.at; {
	case at >= len(j.records) || p.halt.Load():
		return false
	case at == 0 || at%16 != 0 && at&(at-1) != 0:
		return true
	}
	return time.Since(j.begun) <= longJob
}

// decodeOn decodes until the end of the job or until Decode does not return, for a panic or
// runtime.Goexit, which make the record poison. After Goexit this goroutine ends, and its
// successor finishes the job.
func (p *Producer[T]) decodeOn() {
	j := &p.poller.job
	returned := false
	defer func() {
		if returned {
			return
		}
		err := error(crash.ErrGoexit)
		if v := recover(); v != nil {
			err = crash.Of(v)
		}
		j.bad = append(j.bad, bad{j.at, err})
		j.at++
	}()
	for p.decoding() {
		r := j.records[j.at]
		if r.Attrs.IsControl() {
			j.at++
			continue
		}
		err := p.poller.unreadable(r)
		if err == nil {
			err = p.cfg.Limits.check(r)
		}
		var event T
		if err == nil {
			event, err = p.cfg.Decode(r)
		}
		if err != nil {
			j.bad = append(j.bad, bad{j.at, err})
		} else {
			j.events = append(j.events, event)
		}
		j.at++
	}
	returned = true
}

// finish tracks what was decoded of a job, gives the rest back, and sets the poison aside.
func (p *Producer[T]) finish() {
	j := &p.poller.job
	if j.part != nil {
		p.track(j)
	}
	for len(j.poison) > 0 {
		b := j.poison[0]
		j.poison = j.poison[1:] // before OnPoison, which may end the goroutine
		p.dispose(b)
	}
}

// track has the core take the decoded records. If the partition is not read any more they
// are dropped: they are read again, here or by another member. Events are appended to
// p.events in the order of core.ready.
func (p *Producer[T]) track(j *portion[T]) {
	p.mu.Lock()
	taken := 0
	var do orders
	if part := j.part; part.phase == reading && p.core.phase == running {
		rest := j.bad
		for i := 0; i < j.at; i++ {
			r := j.records[i]
			if r.Attrs.IsControl() {
				part = p.core.pass(part, r.Offset, r.LeaderEpoch)
				do = do.and(p.core.after(part))
				continue
			}
			taken++
			poisonous := len(rest) > 0 && rest[0].at == i
			// take may replace the partition, if the broker has lost records.
			part = p.core.take(part, r.Offset, r.LeaderEpoch, poisonous)
			if poisonous {
				j.poison = append(j.poison, poison{r, part, rest[0].err})
				rest = rest[1:]
				continue
			}
			// The good records that follow without a gap are taken at once.
			good := j.at
			if len(rest) > 0 {
				good = rest[0].at
			}
			more := following(j.records[i:good], good-i)
			p.core.takeMore(part, more)
			taken += more
			i += more
		}
		p.events = append(p.events, j.events...)
		p.core.giveBack(part, j.records[j.at:])
	}
	p.release(do)
	emit := len(j.events) > 0 && taken > 0
	clear(j.events)
	clear(j.bad)
	j.part, j.records, j.at, j.events, j.bad = nil, nil, 0, j.events[:0], j.bad[:0]
	if taken > 0 {
		p.meters.records.Add(int64(taken))
	}
	if emit {
		p.wake()
	}
}
