package consumer_test

import (
	"context"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/stage"
)

// What a pool and a batch hold is in the snapshot of their stages.
func TestInspect(t *testing.T) {
	for name, tc := range map[string]struct {
		end    func(release <-chan struct{}) stage.Consumer[int]
		want   any
		demand int
	}{
		"supervisor": {func(release <-chan struct{}) stage.Consumer[int] {
			work := func(context.Context, int) error { <-release; return nil }
			return stage.Must(consumer.NewSupervisor(work, consumer.SupervisorConfig[int]{MaxDemand: 3}))
		}, consumer.SupervisorSnapshot{Busy: 3, Goroutines: 3}, 0},
		"batch": {func(<-chan struct{}) stage.Consumer[int] {
			return stage.Must(consumer.NewBatch(func(context.Context, []int) error { return nil }, batchConfig{Size: 5, Timeout: time.Hour}))
		}, consumer.BatchSnapshot{Events: 3, Size: 5, Subscriptions: 1, Batches: 1, Timeout: time.Hour}, 7},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				src := stage.Must(stage.NewProducer(&trickle{n: 3}, stage.ProducerConfig[int]{}))
				sink := stage.Must(stage.NewConsumer(tc.end(release), stage.ConsumerConfig{}))
				if _, err := sink.Subscribe(src, stage.SubscribeConfig{}); err != nil {
					t.Fatal(err)
				}
				line := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, src, sink))
				done := make(chan error, 1)
				go func() { done <- line.Run(context.Background()) }()
				synctest.Wait()
				if got := line.Snapshot(t.Context()).Stages[1].Handler; !reflect.DeepEqual(got, tc.want) {
					t.Errorf("got %+v, want %+v", got, tc.want)
				}
				if got := line.Snapshot(t.Context()).Edges; len(got) != 1 || got[0].Demand != tc.demand || got[0].InFlight != 3 {
					t.Errorf("edges %+v, want a demand of %d and 3 in flight", got, tc.demand)
				}
				close(release)
				line.Drain()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// trickle emits n numbers and does not end.
type trickle struct{ n int }

func (s *trickle) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	for ; n > 0 && s.n > 0; n-- {
		s.n--
		emit.Emit(s.n)
	}
	return nil
}
