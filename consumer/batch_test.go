package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"math"
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

type batchConfig = consumer.BatchConfig[int]

// batches keeps copies of what a batch function gets.
type batches struct{ list [][]int }

func (b *batches) take(_ context.Context, events []int) error {
	b.list = append(b.list, slices.Clone(events))
	return nil
}

func (b *batches) String() string { return fmt.Sprint(b.list) }

// Full batches, in order, and the rest at once when the source has ended.
func TestBatchSize(t *testing.T) {
	for _, tc := range []struct {
		n, size int
		sub     stage.SubscribeConfig
		want    string
	}{
		{10, 4, stage.SubscribeConfig{}, "[[0 1 2 3] [4 5 6 7] [8 9]]"},
		{8, 4, stage.SubscribeConfig{}, "[[0 1 2 3] [4 5 6 7]]"},
		{3, 1, stage.SubscribeConfig{}, "[[0] [1] [2]]"},
		{0, 4, stage.SubscribeConfig{}, "[]"},
		{9, 4, stage.SubscribeConfig{MaxDemand: 1000}, "[[0 1 2 3] [4 5 6 7] [8]]"},
		// Nothing more can arrive once all that may be outstanding is there.
		{7, 100, stage.SubscribeConfig{MaxDemand: 3}, "[[0 1 2] [3 4 5] [6]]"},
	} {
		t.Run(fmt.Sprint(tc.n, tc.size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				var got batches
				src := &tracked{counter{limit: tc.n}}
				if tc.n == 0 {
					src.limit, src.next = 1, 1
				}
				err := run(t, src, stage.Must(consumer.NewBatch(got.take, batchConfig{Size: tc.size})), tc.sub)
				if err != nil || got.String() != tc.want {
					t.Error(err, got.String())
				}
				if len(src.outcomes(t)) != tc.n || time.Since(begun) != 0 {
					t.Error(src.outcomes(t), time.Since(begun))
				}
			})
		})
	}
}

// The first event of a batch waits for Timeout, not longer; events that follow
// do not prolong it, and a batch that was full does not shorten the next one's.
func TestBatchTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{}))
		begun := time.Now()
		type call struct {
			at     time.Duration
			events string
		}
		var got []call
		r := start(t, q, stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error {
			got = append(got, call{time.Since(begun), fmt.Sprint(events)})
			return nil
		}, batchConfig{Size: 3, Timeout: 10 * time.Second})), stage.SubscribeConfig{})
		pass := func(d time.Duration) { <-time.After(d); synctest.Wait() }
		q.TryPush(1)
		pass(4 * time.Second)
		q.TryPush(2)
		pass(10 * time.Second) // [1 2] at 10
		q.TryPush(3)           // at 14
		pass(9 * time.Second)
		q.TryPush(4)
		q.TryPush(5)
		pass(0)      // [3 4 5] at 23
		q.TryPush(6) // at 23
		pass(time.Minute)
		want := []call{{10 * time.Second, "[1 2]"}, {23 * time.Second, "[3 4 5]"}, {33 * time.Second, "[6]"}}
		if !slices.Equal(got, want) {
			t.Error(got)
		}
		r.stop()
	})
}

func TestBatchWithoutTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{}))
		var got batches
		r := start(t, q, stage.Must(consumer.NewBatch(got.take, batchConfig{Size: 3, Timeout: consumer.NoTimeout})), stage.SubscribeConfig{})
		q.TryPush(1)
		<-time.After(1000 * time.Hour)
		synctest.Wait()
		if got.String() != "[]" {
			t.Error(got.String())
		}
		q.Drain()
		<-r.sink.Stopped()
		if got.String() != "[[1]]" {
			t.Error(got.String())
		}
		r.stop()
	})
}

// Two subscriptions share batches; each gets its own receipts, and the end of
// one of them passes on what has gathered.
func TestBatchOfTwoSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got batches
		sink := stage.Must(stage.NewConsumer(stage.Must(consumer.NewBatch(got.take, batchConfig{Size: 8, Timeout: consumer.NoTimeout})), stage.ConsumerConfig{}))
		one, two := &tracked{counter{limit: 5}}, stage.Must(producer.NewQueue(producer.QueueConfig[int]{}))
		a, b := stage.Must(stage.NewProducer(one, stage.ProducerConfig[int]{})), stage.Must(stage.NewProducer(two, stage.ProducerConfig[int]{}))
		sink.Subscribe(a, stage.SubscribeConfig{})
		sink.Subscribe(b, stage.SubscribeConfig{})
		two.TryPush(100)
		if err := errors.Join(b.Start(t.Context()), sink.Start(t.Context())); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		a.Start(t.Context())
		<-a.Stopped()
		if got.String() != "[[100 0 1 2 3 4]]" || len(one.outcomes(t)) != 5 {
			t.Error(got.String(), one.outcomes(t))
		}
		two.Drain()
		<-sink.Stopped()
		<-b.Stopped()
	})
}

func TestBatchFails(t *testing.T) {
	for name, fail := range fails {
		if name == "exit" {
			continue // ends the stage's own goroutine, which it reports
		}
		for _, on := range []consumer.OnFailure{consumer.StopStage, consumer.FailEvents} {
			t.Run(fmt.Sprint(name, on), func(t *testing.T) {
				var failed []string
				var failure error
				src := &tracked{counter{limit: 6}}
				err := run(t, src, stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error {
					if events[0] == 2 {
						return fail.do()
					}
					return nil
				}, batchConfig{Size: 2, Retry: retry.Policy{MaxAttempts: 2, Backoff: retry.NoPause}, OnFailure: on, Failed: func(events []int, err error) {
					failed = append(failed, fmt.Sprint(events))
					failure = err
				}})), stage.SubscribeConfig{})
				got := src.outcomes(t)
				if got[0] != receipt.Done || got[1] != receipt.Done {
					t.Error(got)
				}
				if on == consumer.StopStage {
					if late, ok := got[5]; !fail.is(err) || got[2] != receipt.Abandoned || ok && late == receipt.Done {
						t.Error(err, got)
					}
				} else if err != nil || got[2] != receipt.Failed || got[3] != receipt.Failed || got[5] != receipt.Done {
					t.Error(err, got)
				}
				batch, ok := errors.AsType[*consumer.BatchError](failure)
				if !ok || batch.Size != 2 || batch.Attempt != 2 || batch.Stage != "sink" || !fail.is(failure) || !slices.Equal(failed, []string{"[2 3]"}) {
					t.Error(failure, failed)
				}
			})
		}
	}
}

func TestBatchDiscards(t *testing.T) {
	src := &tracked{counter{limit: 4}}
	err := run(t, src, stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error {
		if events[0] == 0 {
			return stage.Discard(receipt.Expired)
		}
		return nil
	}, batchConfig{Size: 2})), stage.SubscribeConfig{})
	got := src.outcomes(t)
	if err != nil || got[0] != receipt.Discarded || got[1] != receipt.Discarded || got[2] != receipt.Done {
		t.Error(err, got)
	}
}

// A stop gives no receipts for what has only been gathered, also when the
// function returns because its context was cancelled.
func TestBatchStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &tracked{}
		r := start(t, src, stage.Must(consumer.NewBatch(func(ctx context.Context, events []int) error {
			if events[0] == 0 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}, batchConfig{Size: 3, Failed: func([]int, error) { t.Error("failed") }})),
			stage.SubscribeConfig{MaxDemand: 8})
		synctest.Wait()
		r.stop()
		got := src.outcomes(t)
		for v, outcome := range got {
			if want := v < 3; want != (outcome == receipt.Done) || !want && outcome != receipt.Abandoned {
				t.Error(v, outcome)
			}
		}
		if err := r.sink.Err(); err != nil {
			t.Error(err)
		}
	})
}

// Every event is in exactly one batch, in order, for random sizes and demands.
func TestBatchConservation(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 50 {
		n, size, demand := 1+rnd.IntN(3000), 1+rnd.IntN(50), rnd.IntN(100)
		src := &tracked{counter{limit: n}}
		var got []int
		err := run(t, src, stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error {
			if len(events) > size {
				t.Error("batch of", len(events))
			}
			got = append(got, events...)
			return nil
		}, batchConfig{Size: size, Timeout: consumer.NoTimeout})), stage.SubscribeConfig{MaxDemand: demand})
		if err != nil || !slices.Equal(got, ints(0, n)) || len(src.outcomes(t)) != n {
			t.Fatal(n, size, demand, err, len(got), len(src.outcomes(t)))
		}
	}
}

func TestConsumerOptions(t *testing.T) {
	work := func(context.Context, int) error { return nil }
	all := func(context.Context, []int) error { return nil }
	for _, tc := range []struct {
		option string
		err    error
	}{
		{"work", refusal(consumer.NewSupervisor[int](nil, config{}))},
		{"MaxDemand", refusal(consumer.NewSupervisor(work, config{MaxDemand: -1}))},
		{"MinDemand", refusal(consumer.NewSupervisor(work, config{MinDemand: -1}))},
		{"MinDemand", refusal(consumer.NewSupervisor(work, config{MaxDemand: 5, MinDemand: 5}))},
		{"Restart", refusal(consumer.NewSupervisor(work, config{Restart: 2}))},
		{"Retry.MaxAttempts", refusal(consumer.NewSupervisor(work, config{Retry: retry.Policy{MaxAttempts: -1}}))},
		{"Retry.Backoff", refusal(consumer.NewSupervisor(work, config{Retry: retry.Policy{Backoff: -1}}))},
		{"Retry.MaxBackoff", refusal(consumer.NewSupervisor(work, config{Retry: retry.Policy{Backoff: 2, MaxBackoff: 1}}))},
		{"MaxRestarts", refusal(consumer.NewSupervisor(work, config{MaxRestarts: -2}))},
		{"RestartWindow", refusal(consumer.NewSupervisor(work, config{RestartWindow: -1}))},
		{"Timeout", refusal(consumer.NewSupervisor(work, config{Timeout: -1}))},
		{"MaxDeferred", refusal(consumer.NewSupervisor(work, config{MaxDeferred: -1}))},
		{"ShutdownTimeout", refusal(consumer.NewSupervisor(work, config{ShutdownTimeout: -1}))},
		{"call", refusal(consumer.NewBatch[int](nil, batchConfig{}))},
		{"Size", refusal(consumer.NewBatch(all, batchConfig{Size: -1}))},
		{"Size", refusal(consumer.NewBatch(all, batchConfig{Size: math.MaxInt}))},
		{"f", refusal(consumer.ForEach[int](nil))},
		{"Timeout", refusal(consumer.NewBatch(all, batchConfig{Timeout: -2}))},
		{"OnFailure", refusal(consumer.NewBatch(all, batchConfig{OnFailure: 2}))},
	} {
		if refused, ok := errors.AsType[*consumer.OptionError](tc.err); !ok || refused.Option != tc.option {
			t.Error(tc.option, tc.err)
		}
	}
	for _, c := range []stage.Consumer[int]{
		stage.Must(consumer.NewSupervisor(work, config{})),
		stage.Must(consumer.NewBatch(all, batchConfig{})),
	} {
		if err := c.HandleEvents(t.Context(), nil); !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
	}
}

// refusal is the error of a constructor.
func refusal[T any](_ T, err error) error { return err }

// A subscription with Manual is refused by the consumers that ask themselves.
func TestManualIsRefused(t *testing.T) {
	work := func(context.Context, int) error { return nil }
	all := func(context.Context, []int) error { return nil }
	for name, c := range map[string]stage.Consumer[int]{
		"supervisor": stage.Must(consumer.NewSupervisor(work, config{})),
		"batch":      stage.Must(consumer.NewBatch(all, batchConfig{})),
	} {
		sink := stage.Must(stage.NewConsumer(c, stage.ConsumerConfig{}))
		sub, err := sink.Subscribe(stage.Must(stage.NewProducer(&counter{}, stage.ProducerConfig[int]{})), stage.SubscribeConfig{Manual: true})
		if wrong, ok := errors.AsType[*stage.OptionError](err); !ok || wrong.Option != "Manual" || sub != nil {
			t.Error(name, err)
		}
		if err := sink.Start(t.Context()); err == nil {
			t.Error(name, "started with a wrong option")
		}
	}
	_, err := take(1, consumer.All(t.Context(), startSource(t, &counter{}), stage.SubscribeConfig{Manual: true}))
	if wrong, ok := errors.AsType[*stage.OptionError](err); !ok || wrong.Option != "Manual" {
		t.Error(err)
	}
}
