package producer_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// acknowledging is a queue with receipts of its own.
type acknowledging struct {
	*producer.Queue[int]
	ends int
}

func (a *acknowledging) HandleReceipts(ctx context.Context, receipts []stage.Receipt) error {
	for _, r := range receipts {
		a.ends += r.Count
	}
	return a.Queue.HandleReceipts(ctx, receipts)
}

// renamed embeds a queue and has nothing of its own.
type renamed struct{ *producer.Queue[int] }

// A producer that embeds a queue gets the receipts of all events, whether or not the
// queue has a bound that needs them. One that has no HandleReceipts is as its queue.
func TestReceiptsOfAHandlerThatEmbedsAQueue(t *testing.T) {
	for name, cfg := range map[string]producer.QueueConfig[int]{
		"no bound": {},
		"key":      {Key: func(int) string { return "k" }, KeyMaxEvents: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				run := func(wrap func(*producer.Queue[int]) stage.Producer[int]) {
					t.Helper()
					queue := stage.Must(producer.NewQueue(cfg))
					source := stage.Must(stage.NewProducer(wrap(queue), stage.ProducerConfig[int]{}))
					sink := newCollector[int]()
					end := stage.Must(stage.NewConsumer(sink, stage.ConsumerConfig{}))
					stage.Must(end.Subscribe(source, stage.SubscribeConfig{}))
					done := make(chan error, 1)
					go func() { done <- stage.Run(t.Context(), source, end) }()
					for i := range 10 {
						if err := queue.Push(t.Context(), i); err != nil {
							t.Error(err)
						}
					}
					queue.Drain()
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
				var own acknowledging
				run(func(q *producer.Queue[int]) stage.Producer[int] { own.Queue = q; return &own })
				if own.ends != 10 {
					t.Errorf("receipts for %d of 10 events", own.ends)
				}
				run(func(q *producer.Queue[int]) stage.Producer[int] { return renamed{q} })
			})
		})
	}
}
