package kafka

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/stage"
)

var errStoreFull = errors.New("the store is full")

// store has room for so many rows, and takes the rows of a batch one by one.
type store struct {
	w      *world
	room   int
	rows   int
	member string
}

func (s *store) write(_ context.Context, rows []string) error {
	for _, row := range rows {
		if s.rows == s.room {
			return errStoreFull
		}
		s.rows++
		s.w.done(s.member, row)
	}
	return nil
}

// TestStoreThatFails has a parsing stage and a batch between Kafka and a store that
// takes 200 rows and fails then: no more than these are committed, and the next
// member writes the others.
func TestStoreThatFails(t *testing.T) {
	for _, redeliver := range []bool{false, true} {
		for _, size := range []int{100, 70, 1} {
			t.Run(fmt.Sprintf("redeliver=%v/batches of %d", redeliver, size), func(t *testing.T) {
				virtually(t, 1, func(t *testing.T, w *world) { storeThatFails(t, w, size, redeliver) })
			})
		}
	}
}

func storeThatFails(t *testing.T, w *world, size int, redeliver bool) {
	w.produce(1000, 0)
	cfg := w.config()
	cfg.CommitInterval = 10 * time.Millisecond
	join := func(s *store) *member {
		return w.joinWith(cfg, func(m *member) []stage.Stage {
			parse := stage.MapFunc[string, string](func(_ context.Context, e string) (string, error) { return e, nil })
			batch := stage.Must(consumer.NewBatch(s.write, consumer.BatchConfig[string]{
				Size: size, Timeout: 20 * time.Millisecond, OnFailure: consumer.StopStage,
			}))
			source := stage.Must(stage.NewProducer(m.producer, stage.ProducerConfig[string]{Name: "source"}))
			middle := stage.Must(stage.NewProducerConsumer(parse, stage.ProducerConsumerConfig[string]{Name: "parse"}))
			end := stage.Must(stage.NewConsumer(batch, stage.ConsumerConfig{Name: "store"}))
			sub := stage.SubscribeConfig{Redeliver: redeliver}
			subscribe(t, middle, source, sub)
			subscribe(t, end, middle, sub)
			return []stage.Stage{source, middle, end}
		})
	}
	s := &store{w: w, room: 200, member: "first"}
	first := join(s)
	if err := first.ended(); !errors.Is(err, errStoreFull) {
		t.Errorf("the member ended with %v", err)
	}
	first.end("failed")
	if c := w.committed()["0"]; s.rows != 200 || c != int64(200/size*size) {
		t.Errorf("%d rows are written and %d offsets committed", s.rows, c)
	}
	second := join(&store{w: w, room: 10_000, member: "second"})
	w.waitAll()
	second.leave()
	if repeated := w.check(); repeated != 200%size {
		t.Errorf("%d rows were written twice", repeated)
	}
	if c := w.committed()["0"]; c != 1000 {
		t.Errorf("%d offsets are committed at the end", c)
	}
}
