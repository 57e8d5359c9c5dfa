package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// source holds pushes until the pipeline asks for them.
type source interface {
	// handler is the producer of the pipeline's first stage.
	handler() stage.Producer[push]
	// enter takes in all of pushes, or none of them and returns an error. It does
	// not wait. done is called once for each push that was taken in, with nil
	// when a crash cannot lose it any more, otherwise with what went wrong. It is
	// called from any goroutine and must not block.
	enter(pushes []push, done func(error)) error
	// waiting returns the number of accepted pushes that have not reached the
	// pipeline.
	waiting() int
	// refuse takes in nothing more. It returns when everything that was taken in
	// has reached the pipeline, or ctx is done.
	refuse(ctx context.Context) error
	// close frees what the source holds, after the pipeline has ended.
	close()
}

var (
	// Whether to try again later: errFull soon, errClosing at another process.
	errFull    = errors.New("the queue is full")
	errClosing = errors.New("the pipeline is shutting down")
)

// sequencer numbers the pushes of each user and keeps that order until the
// pushes are where they wait.
type sequencer struct {
	origin string
	mu     sync.Mutex        // guards last; held until the pushes have entered
	last   map[string]uint64 // sequence number, by user
}

// newSequencer returns a sequencer whose numbers begin at 1 for every user.
func newSequencer(origin string) *sequencer {
	return &sequencer{origin: origin, last: make(map[string]uint64)}
}

// stamp numbers pushes. The caller holds the lock until they have entered. A
// push that brings a time along keeps it.
func (s *sequencer) stamp(pushes []push, now time.Time) {
	for i := range pushes {
		p := &pushes[i]
		s.last[p.User]++
		p.Seq, p.Origin = s.last[p.User], s.origin
		if p.At.IsZero() {
			p.At = now
		}
	}
}

// memorySource keeps pushes in this process, and loses them with it.
type memorySource struct {
	// The producer of the first stage, from which the pipeline takes by demand.
	queue    *producer.Queue[push]
	capacity int
	seq      *sequencer
	ledger   *ledger
}

// newMemorySource returns a source that holds at most capacity pushes.
func newMemorySource(capacity int, origin string, l *ledger) *memorySource {
	return &memorySource{
		queue:    stage.Must(producer.NewQueue(producer.QueueConfig[push]{Capacity: capacity})),
		capacity: capacity, seq: newSequencer(origin), ledger: l,
	}
}

// handler implements source.
func (m *memorySource) handler() stage.Producer[push] { return m.queue }

// enter implements source. The queue confirms at once, so done runs before it
// returns.
func (m *memorySource) enter(pushes []push, done func(error)) error {
	now := time.Now()
	m.seq.mu.Lock()
	defer m.seq.mu.Unlock()
	// No other code pushes into the queue, and the lock is held: the room that is
	// there now is still there when the last push enters.
	if m.capacity-m.queue.Snapshot().Waiting < len(pushes) {
		return errFull
	}
	m.seq.stamp(pushes, now)
	for _, p := range pushes {
		m.ledger.enqueued.Add(1)
		// The pipeline cannot take a push before it is counted: a count that is
		// too high for a moment is corrected, one that is too low would not add
		// up.
		if err := m.queue.TryPush(p); err != nil {
			m.ledger.enqueued.Add(-1)
			if errors.Is(err, producer.ErrClosed) {
				return errClosing
			}
			return err
		}
		// In memory there is nothing to wait for.
		done(nil)
	}
	return nil
}

// waiting implements source.
func (m *memorySource) waiting() int { return m.queue.Snapshot().Waiting }

// refuse leaves the queue to the pipeline's own drain.
func (m *memorySource) refuse(context.Context) error { return nil }

// close implements source. The memory is freed with the program.
func (m *memorySource) close() {}
