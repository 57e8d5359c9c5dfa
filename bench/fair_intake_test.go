package bench

import (
	"context"
	"testing"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// BenchmarkFairIntake is F4's second half: what a flood's event costs that is
// taken in only to be dropped, since its user's queue is full. The workers are
// busy with something else all the time. "dispatcher" is the dispatcher alone,
// "stage" with the queue in front of it, the push included, and the stage around
// it.
func BenchmarkFairIntake(b *testing.B) {
	key := func(e userEvent) int { return e.user }
	const held = 1024
	cfg := fair.Config[userEvent]{Overflow: fair.DropLongest, KeyMaxEvents: held, KeyOverflow: fair.DropOldest}
	b.Run("dispatcher", func(b *testing.B) {
		f := stage.Must(fair.New(key, cfg))
		if err := f.Subscribe(0, dispatcher.SubscribeConfig{}); err != nil {
			b.Fatal(err)
		}
		out := &dropOut{}
		events := make([]userEvent, fairBatch)
		seq := uint64(1)
		offer := func() {
			seq += uint64(f.Dispatch(dispatcher.Offer[userEvent]{Events: events, First: seq, Now: int64(seq)}, out))
		}
		for range held/fairBatch + 1 {
			offer()
		}
		out.dropped = 0
		b.ReportAllocs()
		b.ResetTimer()
		for n := 0; n < b.N; n += fairBatch {
			offer()
		}
		b.StopTimer()
		if out.dropped < b.N {
			b.Fatalf("%d dropped of %d", out.dropped, b.N)
		}
	})
	b.Run("stage", func(b *testing.B) {
		dropped := 0
		all := make(chan struct{})
		queue := stage.Must(producer.NewQueue(producer.QueueConfig[userEvent]{Stamp: func(e *userEvent, at time.Time) { e.at = at }}))
		source := stage.Must(stage.NewProducer(queue, stage.ProducerConfig[userEvent]{
			Dispatcher: stage.Must(fair.New(key, cfg)),
			Discarded: func(_ userEvent, reason receipt.Reason) {
				if reason != receipt.KeyFull {
					return
				}
				if dropped++; dropped == b.N {
					close(all)
				}
			},
		}))
		if err := source.Start(context.Background()); err != nil {
			b.Fatal(err)
		}
		push := func() {
			if err := queue.Push(context.Background(), userEvent{}); err != nil {
				b.Fatal(err)
			}
		}
		for range held {
			push()
		}
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			push()
		}
		<-all
		b.StopTimer()
		source.Stop(nil)
		<-source.Stopped()
	})
}

// dropOut counts what is dropped.
type dropOut struct{ dropped int }

func (o *dropOut) Give(int, int, int)                        {}
func (o *dropOut) GiveHeld(int, userEvent, uint64, uint64)   {}
func (o *dropOut) Discard(userEvent, uint64, receipt.Reason) { o.dropped++ }
