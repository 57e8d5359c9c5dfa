package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/stage"
)

// poison is a record that could not be used, with the partition's value under which it is
// tracked. It is finished when OnPoison has returned and, if there is a sink of dead
// letters, its letter is stored.
type poison struct {
	record *kgo.Record
	part   *partition
	err    error
}

// dispose passes a poison record to OnPoison and to the dead letters, and finishes it, so
// that its partition can go on. It runs on the poller's goroutine, without mu: OnPoison may
// take its time. The letter is stored meanwhile, on its writer's goroutine.
func (p *Producer[T]) dispose(b poison) {
	p.meters.poison.Add(1)
	p.poller.poisonAt = b
	p.logPoison(p.poller.poisonLines.Line(time.Since(p.epoch), 1))
	defer p.settle(b) // also if OnPoison ends the goroutine
	p.offer(b)
}

// settle finishes a poison record, or has its letter stored first.
func (p *Producer[T]) settle(b poison) {
	p.mu.Lock()
	p.stats.Poison++
	if p.letters == nil {
		p.release(p.core.dispose(b.part, b.record.Offset)) // it also unlocks
		return
	}
	p.mu.Unlock()
	p.letters.Send(p.letter(b), func() {
		p.mu.Lock()
		p.release(p.core.dispose(b.part, b.record.Offset))
	})
}

// logPoison logs n poison records, of which poisonAt is the last.
func (p *Producer[T]) logPoison(n int) {
	if b := p.poller.poisonAt; n > 0 {
		p.cfg.Logger.Warn("kafka: records not usable", "group", p.cfg.Group, "records", n, "topic", b.record.Topic,
			"partition", b.record.Partition, "offset", b.record.Offset, "error", b.err)
	}
}

// offer calls OnPoison, a panic of which is logged.
func (p *Producer[T]) offer(b poison) {
	defer func() {
		if v := recover(); v != nil {
			err := crash.Of(v)
			p.cfg.Logger.Error("kafka: OnPoison panicked", "topic", b.record.Topic, "partition", b.record.Partition,
				"offset", b.record.Offset, "error", err)
		}
	}()
	if p.cfg.OnPoison != nil {
		p.cfg.OnPoison(b.record, b.err)
	}
}

// letter returns the letter of a poison record. Its bytes are the record's value.
func (p *Producer[T]) letter(b poison) deadletter.Letter {
	now := time.Now()
	l := deadletter.Letter{
		Stage: p.name, Key: string(b.record.Key), Error: b.err.Error(), Attempts: 1, First: now, Last: now,
		Source: PositionOf(b.record), Trace: TraceContext(b.record),
	}
	l.SetBytes(b.record.Value)
	if past := pastOf(b.record); past.Round > 0 {
		l.Past = &past
	}
	return l
}

// keepLetters starts the writer of dead letters, if there is a sink for them. Its goroutine
// is waited for in HandleTerminate.
func (p *Producer[T]) keepLetters(ctx context.Context, self *stage.Handle) error {
	p.name = self.Name()
	if p.cfg.DeadLetters == nil {
		return nil
	}
	w, err := deadletter.NewWriter(p.cfg.DeadLetters, deadletter.WriterConfig{
		Stage: p.name, Metrics: p.cfg.Metrics, Logger: p.cfg.Logger,
	})
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.letters = w // Snapshot reads it from other goroutines
	p.mu.Unlock()
	p.running.Go(func() { _ = w.Run(context.WithoutCancel(ctx)) }) // it logs its errors
	return nil
}

// endLetters writes the letters that wait, and ends their writer. Records whose letter is
// not stored by then are not finished: they are delivered again.
func (p *Producer[T]) endLetters(ctx context.Context) {
	if p.letters == nil {
		return
	}
	select {
	case <-p.polled: // it may have been about to send some
	case <-ctx.Done():
	}
	_ = p.letters.Close(ctx) // Run logs what is left
}
