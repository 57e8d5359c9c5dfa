package producer_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// A consumer gets a tick each interval; while it is busy the ticks become one.
func TestTicker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var got []time.Duration
		ticker := stage.Must(producer.NewTicker(producer.TickerConfig{}))
		source := stage.Must(stage.NewProducer(ticker, stage.ProducerConfig[time.Time]{}))
		end := stage.Must(stage.NewConsumer(stage.ConsumerFunc[time.Time](func(_ context.Context, events []time.Time) error {
			for _, at := range events {
				got = append(got, at.Sub(start))
			}
			if len(got) == 2 {
				time.Sleep(3500 * time.Millisecond)
			}
			return nil
		}), stage.ConsumerConfig{}))
		stage.Must(end.Subscribe(source, stage.SubscribeConfig{MaxDemand: 1}))
		p := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, source, end))
		done := make(chan error, 1)
		go func() { done <- p.Run(context.Background()) }()
		time.Sleep(7100 * time.Millisecond)
		s, err := source.Snapshot(t.Context())
		if want := (producer.TickerSnapshot{Ticks: 7, Merged: 2}); err != nil || s.Handler != want {
			t.Errorf("%+v, %v", s.Handler, err)
		}
		p.Drain()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := []time.Duration{1, 2, 5, 6, 7}
		for i := range want {
			want[i] *= time.Second
		}
		if !slices.Equal(got, want) {
			t.Errorf("ticks after %v, want %v", got, want)
		}
	})
}
