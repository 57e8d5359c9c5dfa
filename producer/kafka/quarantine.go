package kafka

import (
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// quarantine keeps the partitions whose fetches fail from being fetched for a while, which
// grows with each failure, so that they do not hold up those that share a broker with them.
// It is a pure state machine.
type quarantine struct {
	parts map[topicPartition]*sickness
}

// sickness is how a partition has failed.
type sickness struct {
	pause time.Duration
	until time.Time // when it is fetched again
	out   bool      // it is not fetched
	times int       // failures since it had records
}

// fail keeps a partition out until after a pause, and reports whether it was let in before.
func (q *quarantine) fail(key topicPartition, now time.Time) bool {
	s := q.parts[key]
	if s == nil {
		if q.parts == nil {
			q.parts = map[topicPartition]*sickness{}
		}
		s = &sickness{}
		q.parts[key] = s
	}
	was := s.out
	s.times++
	s.pause = min(max(2*s.pause, firstPause), maxPause)
	s.until, s.out = now.Add(s.pause/2+rand.N(s.pause/2)), true
	return !was
}

// lasting is the number of failures from which on a reason that may pass by itself is a trouble:
// a second or two after the first one.
const lasting = 6

// passing reports whether the failures of a partition may be over soon.
func (q *quarantine) passing(key topicPartition) bool {
	s := q.parts[key]
	return s == nil || s.times < lasting
}

// heal forgets a partition that has records.
func (q *quarantine) heal(key topicPartition) {
	if s := q.parts[key]; s != nil && !s.out {
		delete(q.parts, key)
	}
}

// due returns the partitions that are to be fetched again, and forgets those that were and
// have not failed since.
func (q *quarantine) due(now time.Time) (in []topicPartition) {
	for key, s := range q.parts {
		switch {
		case s.out && !now.Before(s.until):
			s.out = false
			in = append(in, key)
		case !s.out && now.Sub(s.until) > 4*maxPause:
			delete(q.parts, key)
		}
	}
	return in
}

// first returns when due has something next, zero for never.
func (q *quarantine) first() (at time.Time) {
	for _, s := range q.parts {
		if s.out && (at.IsZero() || s.until.Before(at)) {
			at = s.until
		}
	}
	return at
}

// without returns list without the partitions that are kept out.
func (q *quarantine) without(list []topicPartition) []topicPartition {
	if len(q.parts) == 0 {
		return list
	}
	kept := list[:0]
	for _, key := range list {
		if s := q.parts[key]; s == nil || !s.out {
			kept = append(kept, key)
		}
	}
	return kept
}

// isolate has the client not fetch the partitions that failed, and fetch those again whose
// time has come. ended: the poll has returned nothing.
func (p *Producer[T]) isolate(fetches kgo.Fetches, ended bool) {
	q := &p.poller.failing
	now := time.Now()
	var out, in []topicPartition
	if !ended {
		starved := false
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			key := topicPartition{f.Topic, f.Partition}
			switch {
			case isUnpackLimit(f.Err):
				starved = true
			case f.Err != nil && f.Topic != "" && f.Partition >= 0 && q.fail(key, now):
				out = append(out, key)
			case f.Err == nil && len(f.Records) > 0:
				q.heal(key)
			}
		})
		p.resize(fetches, starved)
	}
	if len(q.parts) > 0 {
		in = q.due(now)
	}
	if len(out) > 0 {
		p.client.PauseFetchPartitions(byTopic(out))
	}
	p.mu.Lock()
	kept := in[:0]
	for _, key := range in {
		if _, paused := p.core.paused[key]; !paused {
			kept = append(kept, key)
		}
	}
	p.mu.Unlock()
	if len(kept) > 0 {
		p.client.ResumeFetchPartitions(byTopic(kept))
	}
}
