package consumer_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// TestConformance checks the cases of GenStage's own test suites about the ends of
// pipelines, one subtest for each case, named by its number.
func TestConformance(t *testing.T) {
	conformStream(t)
	conformSupervisor(t)
}

// conformStream holds GenStage's cases for streams, by their numbers.
func conformStream(t *testing.T) {
	ctx := context.Background()
	refusing := func(t *testing.T) *stage.ProducerStage[int] {
		return startSource(t, &counter{refuse: errOops})
	}
	dead := func(t *testing.T) *stage.ProducerStage[int] {
		src := startSource(t, &counter{})
		src.Stop(nil)
		<-src.Stopped()
		return src
	}
	t.Run("G102_take_ten", func(t *testing.T) {
		src := startSource(t, &counter{})
		got, err := take(10, consumer.All(ctx, src, stage.SubscribeConfig{}))
		if err != nil || !slices.Equal(got, ints(0, 10)) {
			t.Error(got, err)
		}
		if snap, err := src.Snapshot(ctx); err != nil || len(snap.Subscriptions) != 0 {
			t.Errorf("subscriptions are left: %+v %v", snap, err)
		}
	})
	t.Run("G103_take_more_than_max_demand", func(t *testing.T) {
		got, err := take(300, consumer.All(ctx, startSource(t, &counter{}), stage.SubscribeConfig{MaxDemand: 100}))
		if err != nil || !slices.Equal(got, ints(0, 300)) {
			t.Error(got, err)
		}
	})
	t.Run("G106_dead_producer_permanent", func(t *testing.T) {
		got, err := take(1, consumer.All(ctx, dead(t), stage.SubscribeConfig{}))
		ended, ok := errors.AsType[*stage.SubscriptionError](err)
		if !ok || ended.Producer != "source" || !errors.Is(err, stage.ErrStopped) || got != nil {
			t.Error(got, err)
		}
	})
	for _, name := range []string{"G107_refused_by_one_that_ends", "G108_refused_by_one_that_lives"} {
		t.Run(name, func(t *testing.T) {
			src := refusing(t)
			seen := 0
			for _, err := range consumer.All(ctx, src, stage.SubscribeConfig{}) {
				if name[:4] == "G107" {
					src.Stop(nil)
				}
				seen++
				if ended, ok := errors.AsType[*stage.SubscriptionError](err); !ok || !errors.Is(err, errOops) || ended.Producer != "source" {
					t.Error(err)
				}
			}
			if seen != 1 {
				t.Error("errors:", seen)
			}
		})
	}
	for name, source := range map[string]func(*testing.T) *stage.ProducerStage[int]{
		"G110_dead_producer_temporary":            dead,
		"G112_refused_temporary":                  refusing,
		"G111_refused_by_one_that_ends_temporary": func(t *testing.T) *stage.ProducerStage[int] { s := refusing(t); s.Stop(nil); return s },
	} {
		t.Run(name, func(t *testing.T) {
			got, err := take(1, consumer.All(ctx, source(t), stage.SubscribeConfig{Cancel: stage.Temporary}))
			if got != nil || err != nil {
				t.Error(got, err)
			}
		})
	}
	t.Run("G113_leaving_does_not_end_the_source", func(t *testing.T) {
		src := startSource(t, &counter{})
		got, err := take(10, consumer.All(ctx, src, stage.SubscribeConfig{Cancel: stage.Transient}))
		if err != nil || !slices.Equal(got, ints(0, 10)) {
			t.Error(got, err)
		}
		select {
		case <-src.Stopped():
			t.Error("the source has ended")
		default:
		}
	})
	t.Run("G114_reading_all_ends_the_source", func(t *testing.T) {
		for mode := range stage.Temporary + 1 {
			src := startSource(t, &counter{limit: 10})
			got, err := take(-1, consumer.All(ctx, src, stage.SubscribeConfig{Cancel: mode}))
			if err != nil || !slices.Equal(got, ints(0, 10)) {
				t.Error(got, err)
			}
			<-src.Stopped()
		}
	})
	t.Run("G115_wrong_options", func(t *testing.T) {
		for option, cfg := range map[string]stage.SubscribeConfig{
			"MaxDemand": {MaxDemand: -1}, "MinDemand": {MinDemand: 2000}, "Cancel": {Cancel: 3},
		} {
			got, err := take(1, consumer.All(ctx, startSource(t, &counter{}), cfg))
			if wrong, ok := errors.AsType[*stage.OptionError](err); !ok || wrong.Option != option || got != nil {
				t.Error(option, got, err)
			}
		}
	})
	t.Run("G118_on_cancel", func(t *testing.T) {
		cycle := func(yield func(int) bool) {
			for yield(1) && yield(2) && yield(3) {
			}
		}
		src := startSource(t, stage.Must(producer.NewSeq(cycle, producer.SeqConfig[int]{})))
		got, err := take(5, consumer.All(ctx, src, stage.SubscribeConfig{}))
		if err != nil || !slices.Equal(got, []int{1, 2, 3, 1, 2}) {
			t.Error(got, err)
		}
		if _, err := take(5, consumer.All(ctx, src, stage.SubscribeConfig{})); err != nil {
			t.Error("continue:", err)
		}
		src = startSource(t, stage.Must(producer.NewSeq(cycle, producer.SeqConfig[int]{OnCancel: producer.End})))
		if got, err := take(5, consumer.All(ctx, src, stage.SubscribeConfig{})); err != nil || !slices.Equal(got, []int{1, 2, 3, 1, 2}) {
			t.Error(got, err)
		}
		<-src.Stopped()
		if err := src.Err(); err != nil {
			t.Error(err)
		}
	})
	t.Run("failing_source", func(t *testing.T) {
		oops := func(yield func(int, error) bool) { _ = yield(1, nil) && yield(0, errOops) }
		for mode, want := range []error{errOops, errOops, nil} {
			src := startSource(t, stage.Must(producer.NewSeq2(oops, producer.SeqConfig[int]{})))
			got, err := take(-1, consumer.All(ctx, src, stage.SubscribeConfig{Cancel: stage.CancelMode(mode)}))
			if !slices.Equal(got, []int{1}) || !errors.Is(err, want) {
				t.Error(mode, got, err)
			}
		}
	})
}
