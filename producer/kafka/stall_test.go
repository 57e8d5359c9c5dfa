package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/stage"
)

// A batch larger than the window does not wait for records that are not polled before it
// has given receipts. Only the last records wait for others, as long as the batch does.
func TestBatchLargerThanTheWindow(t *testing.T) { virtually(t, 1, batchLargerThanTheWindow) }

func batchLargerThanTheWindow(t *testing.T, w *world) {
	w.produce(500, 0)
	batch := stage.Must(consumer.NewBatch(func(_ context.Context, events []string) error {
		w.done("batch", events...)
		return nil
	}, consumer.BatchConfig[string]{Size: 1000, Timeout: time.Hour}))
	cfg := w.config()
	cfg.Window = 60
	m := w.join(cfg, batch, stage.SubscribeConfig{})
	begun := time.Now()
	w.wait("what the windows hold", func() bool { return len(w.handled) > 500-60 })
	if d := time.Since(begun); d > time.Minute {
		t.Errorf("it took %v", d)
	}
	w.wait("the last records", func() bool { s := m.producer.Snapshot(); return s.Records == 500 && s.Ready == 0 })
	m.leave()
	w.waitAll()
	w.check()
}
