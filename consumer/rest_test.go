package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// During a pause of an hour the stage serves a snapshot and a Do at once, and a drain that
// is out of time ends it.
func TestPausesHoldNoStage(t *testing.T) {
	long := retry.Policy{Backoff: time.Hour, Jitter: retry.NoJitter}
	fail := func(v int) error {
		if v == 1 {
			return errOops
		}
		return nil
	}
	for name, c := range map[string]func() stage.Consumer[int]{
		"batch": func() stage.Consumer[int] {
			return stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error { return fail(events[0]) },
				batchConfig{Size: 1, Retry: long, Logger: textLog(new(nowhere)), Failed: func([]int, error) { t.Error("failed") }}))
		},
		"for each": func() stage.Consumer[int] {
			return stage.Must(consumer.NewForEach(func(_ context.Context, v int) error { return fail(v) },
				consumer.ForEachConfig[int]{Retry: long, Logger: textLog(new(nowhere)), Failed: func(int, error) { t.Error("failed") }}))
		},
		"supervisor": func() stage.Consumer[int] {
			return stage.Must(consumer.NewSupervisor(func(_ context.Context, v int) error { return fail(v) },
				config{MaxDemand: 1, Retry: long, Logger: textLog(new(nowhere)), Failed: func(int, error) { t.Error("failed") }}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				counts := &tracked{counter{limit: 50}}
				src := stage.Must(stage.NewProducer(counts, stage.ProducerConfig[int]{}))
				sink := stage.Must(stage.NewConsumer(c(), stage.ConsumerConfig{}))
				stage.Must(sink.Subscribe(src, stage.SubscribeConfig{MaxDemand: map[bool]int{true: 1, false: 5}[name == "supervisor"]}))
				line := stage.Must(stage.NewPipeline(stage.PipelineConfig{DrainTimeout: time.Minute}, src, sink))
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- line.Run(ctx) }()
				synctest.Wait()
				for _, s := range line.Snapshot(t.Context()).Stages {
					if s.Busy {
						t.Errorf("%s does not reply", s.Name)
					}
				}
				did := make(chan struct{})
				sink.Do(func() { close(did) })
				<-did
				if d := time.Since(begun); d != 0 {
					t.Errorf("took %v", d)
				}
				if n := len(counts.asked()); n > 3 {
					t.Errorf("asked %d times although the first events are not handled", n)
				}
				cancel()
				err := <-done
				if d := time.Since(begun); !errors.Is(err, stage.ErrDrainTimeout) || d != time.Minute {
					t.Errorf("after %v: %v", d, err)
				}
				got := counts.outcomes(t)
				if one, ok := got[1]; got[0] != receipt.Done || ok && one != receipt.Abandoned {
					t.Errorf("outcomes %v", got)
				}
			})
		})
	}
}

// The snapshot of a batch says that it waits for its next attempt, and what is behind it.
func TestInspectAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, &counter{}, stage.Must(consumer.NewBatch(func(context.Context, []int) error { return errOops },
			batchConfig{Size: 5, Timeout: time.Hour, Retry: exact, Logger: textLog(new(nowhere))})), stage.SubscribeConfig{})
		synctest.Wait()
		snap, err := r.sink.Snapshot(t.Context())
		want := consumer.BatchSnapshot{Events: 5, Size: 5, Subscriptions: 1, Batches: 1, Pausing: true, Late: 5, Timeout: time.Hour}
		want.Retried = 1
		if snap.Handler != want || err != nil {
			t.Errorf("%+v, want %+v", snap.Handler, want)
		}
	})
}

// Batches and events that fail at random, with all options at random: the order is kept,
// every event has one receipt, no more is asked for than allowed, and nothing waits for
// good.
func TestPausesLoseNothing(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for round := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, round))
		synctest.Test(t, func(t *testing.T) { loseNothing(t, rnd) })
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
}

func loseNothing(t *testing.T, rnd *rand.Rand) {
	sources, size := 1+rnd.IntN(2), 1+rnd.IntN(20)
	policy := retry.Policy{
		MaxAttempts: []int{1, 3, retry.Unlimited}[rnd.IntN(3)],
		Backoff:     []time.Duration{retry.NoPause, time.Millisecond, time.Minute}[rnd.IntN(3)],
	}
	var handled []int
	f := func(_ context.Context, events []int) error {
		switch rnd.IntN(12) {
		case 0, 1, 2:
			return errOops
		case 3:
			return retry.Later(errOops, time.Second)
		case 4:
			return retry.After(errOops, time.Hour)
		case 5:
			if policy.MaxAttempts != retry.Unlimited {
				return retry.Never(errOops)
			}
		}
		handled = append(handled, events...)
		return nil
	}
	var failed []int
	log := textLog(new(bytes.Buffer))
	var c stage.Consumer[int]
	if rnd.IntN(2) == 0 {
		c = stage.Must(consumer.NewBatch(f, batchConfig{
			Size: size, Timeout: []time.Duration{time.Millisecond, time.Hour, consumer.NoTimeout}[rnd.IntN(3)], Retry: policy,
			Split: rnd.IntN(2) == 0, Logger: log, Failed: func(events []int, _ error) { failed = append(failed, events...) },
		}))
	} else {
		c = stage.Must(consumer.NewForEach(func(ctx context.Context, v int) error { return f(ctx, []int{v}) },
			consumer.ForEachConfig[int]{Retry: policy, Logger: log, Failed: func(v int, _ error) { failed = append(failed, v) }}))
	}
	sink := stage.Must(stage.NewConsumer(c, stage.ConsumerConfig{}))
	stages := []stage.Stage{sink}
	var all []*tracked
	for i := range sources {
		n := rnd.IntN(200)
		src := &tracked{counter{limit: i*1000 + n + 1, next: i * 1000}}
		all = append(all, src)
		s := stage.Must(stage.NewProducer(src, stage.ProducerConfig[int]{}))
		most := 1 + rnd.IntN(40)
		stage.Must(sink.Subscribe(s, stage.SubscribeConfig{MaxDemand: most, MinDemand: rnd.IntN(most), Cancel: stage.Temporary}))
		stages = append(stages, s)
	}
	if err := stage.Run(t.Context(), stages...); err != nil {
		t.Fatal(err)
	}
	for i, src := range all {
		got := src.outcomes(t)
		if len(got) != src.limit-i*1000 {
			t.Errorf("%d receipts, want %d", len(got), src.limit-i*1000)
		}
		last := -1 // the receipts are numbered from 0 for each source
		for _, v := range handled {
			if v/1000 != i {
				continue
			}
			if v <= last || got[v%1000] != receipt.Done {
				t.Fatalf("event %d after %d: %v", v, last, got[v%1000])
			}
			last = v
		}
		for _, v := range failed {
			if v/1000 == i && got[v%1000] != receipt.Failed {
				t.Fatalf("event %d is %v", v, got[v%1000])
			}
		}
	}
	if n, want := len(handled)+len(failed), 0; n == want {
		t.Error("nothing was handled")
	}
}

// Events that have arrived during a pause have waited for others by then: their batch is
// passed on when the rest of Timeout is over, and at once after a flush.
func TestBatchAfterAPause(t *testing.T) {
	for _, flush := range []bool{false, true} {
		t.Run(fmt.Sprint(flush), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				var at []time.Duration
				var got batches
				q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{}))
				r := start(t, q, stage.Must(consumer.NewBatch(func(ctx context.Context, events []int) error {
					if at = append(at, time.Since(begun)); len(at) == 1 {
						return errOops
					}
					return got.take(ctx, events)
				}, batchConfig{Size: 2, Timeout: 10 * time.Second, Logger: textLog(new(nowhere)),
					Retry: retry.Policy{Backoff: 8 * time.Second, Jitter: retry.NoJitter}})), stage.SubscribeConfig{})
				q.TryPush(1)
				q.TryPush(2)
				<-time.After(5 * time.Second)
				q.TryPush(3)
				synctest.Wait()
				if flush {
					q.Drain()
				}
				<-time.After(time.Minute)
				r.stop()
				want := []time.Duration{0, 8 * time.Second, map[bool]time.Duration{false: 15 * time.Second, true: 8 * time.Second}[flush]}
				if !slices.Equal(at, want) || got.String() != "[[1 2] [3]]" {
					t.Error(at, got.String())
				}
			})
		})
	}
}
