package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// eventErrors fails the events whose number ends in 3, and drops those with a 5.
func eventErrors(events []int) consumer.EventErrors {
	failed := consumer.EventErrors{}
	for i, v := range events {
		switch v % 10 {
		case 3:
			failed[i] = errOops
		case 5:
			failed[i] = fmt.Errorf("too old: %w", stage.Discard(receipt.Expired))
		case 7:
			failed[i] = nil // it was handled
		}
	}
	return failed
}

func wantedOutcome(v int) receipt.Outcome {
	switch v % 10 {
	case 3:
		return receipt.Failed
	case 5:
		return receipt.Discarded
	}
	return receipt.Done
}

// Each event of a batch gets its own receipt, and the stage goes on with either
// OnFailure.
func TestBatchFailsEventsAlone(t *testing.T) {
	for _, on := range []consumer.OnFailure{consumer.StopStage, consumer.FailEvents} {
		for name, wrap := range map[string]func(error) error{
			"plain": func(err error) error { return err }, "wrapped": func(err error) error { return fmt.Errorf("insert: %w", err) },
		} {
			t.Run(fmt.Sprint(on, name), func(t *testing.T) {
				const n = 100
				var failed []int
				src := &tracked{counter{limit: n}}
				batch := stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error { return wrap(eventErrors(events)) },
					batchConfig{Size: 7, OnFailure: on, Failed: func(events []int, err error) {
						b, ok := errors.AsType[*consumer.BatchError](err)
						if !ok || b.Size != 1 || b.Stage != "sink" || len(events) != 1 || !errors.Is(err, errOops) {
							t.Error(events, err)
						}
						failed = append(failed, events...)
					}}))
				if err := run(t, src, batch, stage.SubscribeConfig{}); err != nil {
					t.Fatal(err)
				}
				got := src.outcomes(t)
				for v := range n {
					if o, ok := got[v]; !ok || o != wantedOutcome(v) {
						t.Errorf("event %d: %v %v, want %v", v, o, ok, wantedOutcome(v))
					}
				}
				if len(failed) != n/10 || !slices.IsSorted(failed) || failed[0] != 3 {
					t.Error(failed)
				}
				if s := batch.HandleInspect().(consumer.BatchSnapshot); s.Failed != n/10 {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}

// The errors find their events in batches that several sources share, for random
// sizes and demands.
func TestBatchFailsEventsOfTwoSources(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 50 {
		size := 1 + rnd.IntN(30)
		sources := []*tracked{{counter{limit: 1 + rnd.IntN(500)}}, {counter{limit: 1 + rnd.IntN(500)}}}
		batch := stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error { return eventErrors(events) },
			batchConfig{Size: size, Timeout: consumer.NoTimeout}))
		sink := stage.Must(stage.NewConsumer(batch, stage.ConsumerConfig{}))
		stages := []stage.Stage{sink}
		for _, src := range sources {
			s := stage.Must(stage.NewProducer(src, stage.ProducerConfig[int]{}))
			if _, err := sink.Subscribe(s, stage.SubscribeConfig{MaxDemand: 1 + rnd.IntN(20)}); err != nil {
				t.Fatal(err)
			}
			stages = append(stages, s)
		}
		if err := stage.Run(t.Context(), stages...); err != nil {
			t.Fatal(err)
		}
		for _, src := range sources {
			got := src.outcomes(t)
			for v := range src.limit {
				if o, ok := got[v]; !ok || o != wantedOutcome(v) {
					t.Fatalf("seed %d, batches of %d: event %d: %v %v, want %v", seed, size, v, o, ok, wantedOutcome(v))
				}
			}
		}
	}
}

// What is not clearly about single events is a failure of the batch.
func TestBatchFailsAsAWhole(t *testing.T) {
	for name, err := range map[string]error{
		"below":            consumer.EventErrors{-1: errOops},
		"beyond":           consumer.EventErrors{0: errOops, 2: errOops},
		"joined":           errors.Join(consumer.EventErrors{0: errOops}, errOops),
		"joined with drop": errors.Join(consumer.EventErrors{0: stage.Discard(receipt.Expired)}, errOops),
	} {
		t.Run(name, func(t *testing.T) {
			for on, want := range map[consumer.OnFailure]receipt.Outcome{consumer.FailEvents: receipt.Failed, consumer.StopStage: receipt.Abandoned} {
				src := &tracked{counter{limit: 2}}
				var got error
				batch := stage.Must(consumer.NewBatch(func(context.Context, []int) error { return err }, batchConfig{
					Size: 2, Retry: retry.Policy{Backoff: retry.NoPause}, OnFailure: on, Failed: func(_ []int, err error) { got = err },
				}))
				end := run(t, src, batch, stage.SubscribeConfig{})
				if b, ok := errors.AsType[*consumer.BatchError](got); !ok || b.Size != 2 || !errors.Is(got, errOops) || (end != nil) != (on == consumer.StopStage) {
					t.Error(got, end)
				}
				if o := src.outcomes(t); o[0] != want || o[1] != want {
					t.Error(on, o)
				}
			}
		})
	}
}

// When the stage is stopped, what was handled has its receipt. What failed may
// have failed because of the stop.
func TestBatchFailsEventsWhileStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &tracked{}
		batch := stage.Must(consumer.NewBatch(func(ctx context.Context, events []int) error {
			<-ctx.Done()
			return eventErrors(events)
		}, batchConfig{Size: 10, Failed: func([]int, error) { t.Error("failed") }}))
		r := start(t, src, batch, stage.SubscribeConfig{})
		synctest.Wait()
		r.stop()
		got := src.outcomes(t)
		for v := range 20 {
			want := wantedOutcome(v)
			if v >= 10 || want == receipt.Failed {
				want = receipt.Abandoned
			}
			if got[v] != want {
				t.Errorf("event %d: %v, want %v", v, got[v], want)
			}
		}
		if err := r.sink.Err(); err != nil {
			t.Error(err)
		}
	})
}

func TestEventErrorsText(t *testing.T) {
	for want, e := range map[string]consumer.EventErrors{
		"no event failed":           {2: nil},
		"event 4: oops":             {4: errOops, 1: nil},
		"event 1: a (and 2 others)": {7: errOops, 1: errors.New("a"), 2: errOops},
	} {
		if got := e.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if n := len(e.Unwrap()); (n > 0) != errors.Is(e, errOops) {
			t.Errorf("%v has %d errors", e, n)
		}
	}
}
