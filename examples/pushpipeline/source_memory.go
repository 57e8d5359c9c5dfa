package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// memorySource keeps pushes in this process, and loses them with it.
type memorySource struct {
	// The producer of the first stage, from which the pipeline takes by demand.
	queue *producer.Queue[push]
	// A push has its place from here until its end, so that neither the queue nor the
	// dispatcher is ever full.
	room   *room
	seq    *sequencer
	ledger *ledger
}

// newMemorySource returns a source that holds at most what limits allow. discarded is
// called for the pushes that are left when the pipeline is stopped.
func newMemorySource(limits roomLimits, origin string, l *ledger, discarded func(push, receipt.Reason), log *slog.Logger) *memorySource {
	return &memorySource{
		queue: stage.Must(producer.NewQueue(producer.QueueConfig[push]{
			Capacity: limits.pushes, Discarded: discarded, Metrics: l.recorder, Logger: log,
		})),
		room: newRoom(limits), seq: newSequencer(origin), ledger: l,
	}
}

// prepare implements source.
func (m *memorySource) prepare(context.Context) error { return nil }

// ready implements source.
func (m *memorySource) ready() error { return nil }

// handler implements source.
func (m *memorySource) handler() stage.Producer[push] { return m.queue }

// capacity implements source.
func (m *memorySource) capacity() int { return m.room.limits.pushes }

// enter implements source. The queue confirms at once, so done runs before it
// returns.
func (m *memorySource) enter(pushes []push, done func(error)) error {
	now := time.Now()
	// Held until all have entered, so that no other batch comes between.
	m.seq.mu.Lock()
	defer m.seq.mu.Unlock()
	if err := m.room.take(pushes); err != nil {
		return err
	}
	m.seq.stamp(pushes, now)
	for i, p := range pushes {
		// The queue holds no more than the room has, so that it is not full.
		if err := m.queue.TryPush(p); err != nil {
			for _, left := range pushes[i:] {
				m.room.free(left)
			}
			if errors.Is(err, producer.ErrClosed) {
				return errClosing
			}
			return err
		}
		// In memory there is nothing to wait for.
		m.ledger.accepted.Add(1)
		done(nil)
	}
	return nil
}

// ended implements source.
func (m *memorySource) ended(p push) { m.room.free(p) }

// crowded implements source: the bounds of a user and of a producer leave room to others.
func (m *memorySource) crowded(push) bool { return false }

// account implements source.
func (m *memorySource) account(int64) (enqueued int64, waiting int) {
	s := m.queue.Snapshot()
	return s.Pushed, s.Waiting
}

// backlog implements source.
func (m *memorySource) backlog() int { return 0 }

// refuse leaves the queue to the pipeline's own drain.
func (m *memorySource) refuse(context.Context) error { return nil }

// close implements source. The memory is freed with the program.
func (m *memorySource) close() {}
