package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// exact is the default policy without a random part.
var exact = retry.Policy{Jitter: retry.NoJitter}

// onStage makes the consumers that call f on their stage's goroutine, with the defaults
// and a log.
func onStage(lines *bytes.Buffer, f func(v int) error) map[string]stage.Consumer[int] {
	return map[string]stage.Consumer[int]{
		"batch": stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error { return f(events[0]) },
			batchConfig{Size: 1, Retry: exact, Logger: textLog(lines)})),
		"for each": stage.Must(consumer.NewForEach(func(_ context.Context, v int) error { return f(v) },
			consumer.ForEachConfig[int]{Retry: exact, Logger: textLog(lines)})),
	}
}

// One event that always fails, whatever way, has three attempts with growing pauses, and
// fails alone: the stage goes on, counts and logs it.
func TestOneBadEventDoesNotEndItsStage(t *testing.T) {
	for way, fail := range fails {
		if way == "exit" {
			continue // ends the stage's own goroutine, which it reports
		}
		for _, name := range []string{"batch", "for each"} {
			t.Run(fmt.Sprint(name, way), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var at []time.Duration
					var lines bytes.Buffer
					var handled []int
					begun := time.Now()
					c := onStage(&lines, func(v int) error {
						if v == 1 {
							at = append(at, time.Since(begun))
							return fail.do()
						}
						handled = append(handled, v)
						return nil
					})[name]
					src := &tracked{counter{limit: 100}}
					if err := run(t, src, c, stage.SubscribeConfig{MaxDemand: 10}); err != nil {
						t.Fatal(err)
					}
					if want := []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond}; !slices.Equal(at, want) {
						t.Errorf("attempts at %v, want %v", at, want)
					}
					got := src.outcomes(t)
					if len(got) != 100 || len(handled) != 99 || !slices.IsSorted(handled) {
						t.Errorf("%d receipts, handled %v", len(got), handled)
					}
					for v, o := range got {
						if want := v == 1; want != (o == receipt.Failed) || !want && o != receipt.Done {
							t.Errorf("event %d is %v", v, o)
						}
					}
					// The second attempt is within a second of the first, and logged at the end.
					if log := lines.String(); strings.Count(log, "\n") != 3 || !strings.Contains(log, "attempt=1 again=true failures=1") ||
						!strings.Contains(log, "attempt=3 again=false failures=1") || !strings.Contains(log, "attempt=2 again=true failures=1") {
						t.Errorf("log:\n%s", log)
					}
				})
			})
		}
	}
}

// While a service is down for a second nothing fails, and everything is handled once.
func TestAttemptsBridgeAnOutage(t *testing.T) {
	for _, name := range []string{"batch", "for each"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				down := time.Now().Add(time.Second)
				var handled []int
				f := func(events ...int) error {
					if time.Now().Before(down) {
						return errors.New("service unavailable")
					}
					handled = append(handled, events...)
					return nil
				}
				retry := retry.Policy{MaxAttempts: retry.Unlimited}
				c := map[string]stage.Consumer[int]{
					"batch":    stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error { return f(events...) }, batchConfig{Size: 10, Retry: retry})),
					"for each": stage.Must(consumer.NewForEach(func(_ context.Context, v int) error { return f(v) }, consumer.ForEachConfig[int]{Retry: retry})),
				}[name]
				src := &tracked{counter{limit: 50}}
				if err := run(t, src, c, stage.SubscribeConfig{}); err != nil || !slices.Equal(handled, ints(0, 50)) {
					t.Error(err, handled)
				}
			})
		})
	}
}

// A stop ends a pause at once. The event has no receipt: it might have succeeded yet.
func TestStopEndsThePauses(t *testing.T) {
	for _, name := range []string{"batch", "for each"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				retry := retry.Policy{Backoff: time.Hour}
				fail := func(v int) error {
					if v == 1 {
						return errOops
					}
					return nil
				}
				c := map[string]stage.Consumer[int]{
					"batch": stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error { return fail(events[0]) },
						batchConfig{Size: 1, Retry: retry, Failed: func([]int, error) { t.Error("failed") }})),
					"for each": stage.Must(consumer.NewForEach(func(_ context.Context, v int) error { return fail(v) },
						consumer.ForEachConfig[int]{Retry: retry, Failed: func(int, error) { t.Error("failed") }})),
				}[name]
				src := &tracked{counter{limit: 3}}
				r := start(t, src, c, stage.SubscribeConfig{})
				synctest.Wait()
				begun := time.Now()
				r.stop()
				got := src.outcomes(t)
				if time.Since(begun) != 0 || got[0] != receipt.Done || got[1] != receipt.Abandoned || got[2] != receipt.Abandoned || r.sink.Err() != nil {
					t.Error(time.Since(begun), got, r.sink.Err())
				}
			})
		})
	}
}

// After a stop a ForEach begins no other event of its delivery. The one under way may end,
// with its receipt.
func TestForEachStopsBetweenEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &tracked{counter{limit: 50}}
		var handled []int
		var r *rig
		r = start(t, src, stage.Must(consumer.ForEach(func(_ context.Context, v int) error {
			if v == 3 {
				synctest.Wait() // until r is set
				r.sink.Stop(nil)
			}
			handled = append(handled, v)
			return nil
		})), stage.SubscribeConfig{MaxDemand: 50})
		<-r.sink.Stopped()
		r.stop()
		got := src.outcomes(t)
		if !slices.Equal(handled, ints(0, 4)) || got[3] != receipt.Done || got[4] != receipt.Abandoned {
			t.Error(handled, got)
		}
	})
}

// With Split one event that cannot be handled fails alone, wherever in the batch it is;
// also two, and all. What the function does to its slice changes nothing.
func TestBatchSplit(t *testing.T) {
	for _, tc := range []struct {
		bad   []int
		calls int // at most
		takes time.Duration
	}{
		{nil, 1, 0},
		{[]int{0}, 3 + 14, 300*time.Millisecond + 14*100*time.Millisecond},
		{[]int{57}, 3 + 14, 300*time.Millisecond + 14*100*time.Millisecond},
		{[]int{3, 99}, 3 + 28, 300*time.Millisecond + 28*100*time.Millisecond},
		{ints(0, 100), 3 + 198, 300*time.Millisecond + 198*100*time.Millisecond},
	} {
		t.Run(fmt.Sprint(len(tc.bad)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				var failed []int
				batch := stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error {
					calls++
					bad := slices.ContainsFunc(events, func(v int) bool { return slices.Contains(tc.bad, v) })
					slices.Reverse(events)
					if bad {
						return errOops
					}
					return nil
				}, batchConfig{Split: true, Failed: func(events []int, err error) {
					if b, ok := errors.AsType[*consumer.BatchError](err); !ok || b.Size != 1 {
						t.Error(err)
					}
					failed = append(failed, events...)
				}}))
				src := &tracked{counter{limit: 100}}
				begun := time.Now()
				if err := run(t, src, batch, stage.SubscribeConfig{}); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(begun); d > tc.takes || calls > tc.calls {
					t.Errorf("%d calls in %v", calls, d)
				}
				if !slices.Equal(failed, tc.bad) {
					t.Errorf("failed %v, want %v", failed, tc.bad)
				}
				for v, o := range src.outcomes(t) {
					if want := slices.Contains(tc.bad, v); want != (o == receipt.Failed) || !want && o != receipt.Done {
						t.Errorf("event %d is %v", v, o)
					}
				}
			})
		})
	}
}

// With ErrDone a batch was handled, and the stage ends in good order.
func TestBatchIsDone(t *testing.T) {
	src := &tracked{counter{limit: 6}}
	r := start(t, src, stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error {
		if events[0] == 2 {
			return stage.ErrDone
		}
		return nil
	}, batchConfig{Size: 2})), stage.SubscribeConfig{})
	<-r.sink.Stopped()
	r.stop()
	got := src.outcomes(t)
	late, delivered := got[4]
	if err := r.sink.Err(); err != nil || got[2] != receipt.Done || got[3] != receipt.Done || delivered && late != receipt.Abandoned {
		t.Error(err, got)
	}
}

// The first of several failed events is named, by its place in the batch.
func TestEventErrorsNameTheFirst(t *testing.T) {
	for range 20 { // the order of a map varies
		err := consumer.EventErrors{40: errors.New("forty"), 7: errors.New("seven"), 99: errors.New("ninety-nine"), 3: nil}
		if got := err.Error(); got != "event 7: seven (and 2 others)" {
			t.Fatal(got)
		}
	}
}

// A slow subscription and a quick one, with large groups of demand: every event is asked
// for again, and the receipts find their events.
func TestForEachOfTwoSources(t *testing.T) {
	one, two := &tracked{counter{limit: 1000}}, &tracked{counter{limit: 7}}
	sink := stage.Must(stage.NewConsumer(stage.Must(consumer.NewForEach(func(_ context.Context, v int) error {
		if v%5 == 3 {
			return errOops
		}
		return nil
	}, consumer.ForEachConfig[int]{Retry: retry.Policy{MaxAttempts: 1}})), stage.ConsumerConfig{}))
	stages := []stage.Stage{sink}
	for i, src := range []*tracked{one, two} {
		s := stage.Must(stage.NewProducer(src, stage.ProducerConfig[int]{}))
		stage.Must(sink.Subscribe(s, stage.SubscribeConfig{MaxDemand: 10 - 7*i, MinDemand: 1}))
		stages = append(stages, s)
	}
	if err := stage.Run(t.Context(), stages...); err != nil {
		t.Fatal(err)
	}
	for _, src := range []*tracked{one, two} {
		got := src.outcomes(t)
		if len(got) != src.limit {
			t.Fatalf("%d receipts of %d", len(got), src.limit)
		}
		for v, o := range got {
			if want := v%5 == 3; want != (o == receipt.Failed) || !want && o != receipt.Done {
				t.Errorf("event %d is %v", v, o)
			}
		}
	}
}

// An event costs no allocation, with receipts and without.
func TestForEachAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{}))
	handled := make(chan struct{})
	r := start(t, q, stage.Must(consumer.ForEach(func(context.Context, int) error { handled <- struct{}{}; return nil })), stage.SubscribeConfig{})
	once := func() {
		q.TryPush(1)
		<-handled
	}
	for range 2000 {
		once()
	}
	if n := testing.AllocsPerRun(2000, once); n >= 0.5 {
		t.Errorf("%v allocations an event", n)
	}
	r.stop()
}
