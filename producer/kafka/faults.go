package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// failed notes the errors of a poll and reports whether to pause. A closed client ends the
// producer, since the poller would get the same error without end. It runs on the poller's
// goroutine.
func (p *Producer[T]) failed(fetches kgo.Fetches) bool {
	any, closed, suspect := false, false, false
	fetches.EachError(func(topic string, partition int32, err error) {
		switch {
		case errors.Is(err, context.Canceled), isUnpackLimit(err):
			return // the latter is fetched again
		case errors.Is(err, kgo.ErrClientClosed):
			closed = true
			return
		}
		any = true
		if _, ok := errors.AsType[*kgo.ErrGroupSession](err); ok {
			return // noted by groupFailed, without waiting for a poll
		}
		if p.failedAt(topic, partition, err) {
			suspect = true
		}
	})
	if suspect {
		p.lookSoon()
	}
	switch {
	// At the end this is expected: the phase is closing by then.
	case closed:
		p.mu.Lock()
		if p.core.phase < closing {
			p.core.advance(failed)
			// core.advance has dropped the spans of these.
			p.events = nil
		}
		p.mu.Unlock()
		p.wake()
		return false
	case any:
		p.meters.errors.Add(1)
		p.mu.Lock()
		p.stats.Errors++
		p.mu.Unlock()
	}
	return any
}

// failedAt notes the error of a partition, and reports whether its broker is to be asked
// about it. The move of a partition to another broker is no trouble: of errors that pass, the
// watcher notes those that the broker repeats, and this only what lasts and the watcher does
// not see.
func (p *Producer[T]) failedAt(topic string, partition int32, err error) (suspect bool) {
	if topic == "" {
		partition = everywhere
	}
	key := topicPartition{topic, partition}
	retriable := topic != "" && kerr.IsRetriable(err)
	passing := retriable && p.poller.failing.passing(key)
	// The broker of a new topic does not know it at first, and that of one that was made again
	// never knows the old one.
	remade := topic != "" && errors.Is(err, kerr.UnknownTopicID)
	if remade && passing {
		return false
	}
	p.mu.Lock()
	if p.core.parts[key] != nil {
		suspect = true
		p.core.view(key).suspect = true
	}
	if remade {
		p.stale[topic] = true
		suspect = true
	}
	noted := p.troubles[place{key, doFetch}] != nil || p.troubles[place{key, doDescribe}] != nil
	p.mu.Unlock()
	if passing || retriable && noted {
		return suspect
	}
	p.note(place{key, doPoll}, err, true)
	return suspect
}

// report notes an error that concerns all partitions. count adds to the counts; it is
// called with mu held. doing is what failed, for the log.
func (p *Producer[T]) report(doing string, err error, count func(*counts)) {
	p.mu.Lock()
	count(&p.stats)
	p.mu.Unlock()
	p.note(place{topicPartition{"", everywhere}, doing}, err, doing != doCommit)
}

// note keeps a failure for Snapshot and Ready, and logs it: a new one at once, one that
// goes on every ten seconds. blocks says that nothing is read there meanwhile. It may be
// called from any goroutine, without mu.
func (p *Producer[T]) note(at place, err error, blocks bool) {
	text := err.Error()
	p.mu.Lock()
	due := p.troubles.note(at, text, blocks, time.Now())
	count := p.troubles[at].Count
	p.stats.LastError = at.text() + ": " + text
	p.mu.Unlock()
	if due {
		p.cfg.Logger.Warn("kafka: "+at.doing+" failed; it is retried", p.where(at, "error", err, "times", count)...)
	}
}

// over notes that what failed has succeeded, and logs that if the failure was logged.
func (p *Producer[T]) over(at place) {
	p.mu.Lock()
	was := p.troubles.end(at)
	p.mu.Unlock()
	if was != nil {
		p.cfg.Logger.Info("kafka: "+at.doing+" works again", p.where(at, "after", time.Since(was.Since), "failures", was.Count)...)
	}
}

// arrived ends the troubles of a partition of which records have come.
func (p *Producer[T]) arrived(key topicPartition) {
	for _, doing := range []string{doPoll, doFetch, doRead} {
		p.over(place{key, doing})
	}
}

// where returns the attributes of a line about a place.
func (p *Producer[T]) where(at place, more ...any) []any {
	attrs := []any{"group", p.cfg.Group}
	if at.topic != "" {
		attrs = append(attrs, "topic", at.topic)
	}
	if at.topic != "" && at.partition != everywhere {
		attrs = append(attrs, "partition", at.partition)
	}
	return append(attrs, more...)
}

// text is the place for an error.
func (at place) text() string {
	switch {
	case at.topic == "":
		return at.doing
	case at.partition == everywhere:
		return fmt.Sprintf("%s: topic %q", at.doing, at.topic)
	}
	return fmt.Sprintf("%s: topic %q, partition %d", at.doing, at.topic, at.partition)
}

// groupHook gets the errors for which the client leaves the group and joins it again.
type groupHook func(error)

// OnGroupManageError implements kgo.HookGroupManageError.
func (f groupHook) OnGroupManageError(err error) { f(err) }

// groupFailed notes that the group cannot be joined, or has removed this member.
func (p *Producer[T]) groupFailed(err error) {
	p.report(doJoin, err, func(s *counts) { s.Errors++ })
}
