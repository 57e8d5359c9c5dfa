package kafka

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/crash"
)

// poison is a record that could not be used, with the partition's value under which it is
// tracked. It is finished when OnPoison has returned.
type poison struct {
	record *kgo.Record
	part   *partition
	err    error
}

// dispose passes a poison record to OnPoison and finishes it, so that its partition can go
// on. It runs on the poller's goroutine, without mu: OnPoison may take its time.
func (p *Producer[T]) dispose(b poison) {
	p.meters.poison.Add(1)
	p.poisonAt = b
	p.logPoison(p.poisonLines.Line(time.Since(p.epoch), 1))
	p.offer(b)
	p.mu.Lock()
	p.stats.Poison++
	// It also unlocks.
	p.release(p.core.dispose(b.part, b.record.Offset))
}

// logPoison logs n poison records, of which poisonAt is the last.
func (p *Producer[T]) logPoison(n int) {
	if b := p.poisonAt; n > 0 {
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
