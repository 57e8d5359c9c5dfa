package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// grave is a sink that fails while it is broken.
type grave struct {
	broken atomic.Bool
	mu     sync.Mutex
	list   []deadletter.Letter
}

func (g *grave) Write(_ context.Context, letters []deadletter.Letter) error {
	if g.broken.Load() {
		return io.ErrClosedPipe
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = append(g.list, letters...)
	return nil
}

func (g *grave) events() (all []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range g.list {
		all = append(all, string(l.Event))
	}
	return all
}

// kinds are the consumers that keep dead letters. handle fails for single events.
func kinds(sink deadletter.Sink, handle func(v int) error) map[string]func() stage.Consumer[int] {
	quiet := textLog(io.Discard)
	each := func(_ context.Context, v int) error { return handle(v) }
	few := retry.Policy{MaxAttempts: 2, Backoff: 10 * time.Millisecond}
	return map[string]func() stage.Consumer[int]{
		"supervisor": func() stage.Consumer[int] {
			return stage.Must(consumer.NewSupervisor(each, consumer.SupervisorConfig[int]{Retry: few, DeadLetters: sink, MaxDemand: 8, Logger: quiet}))
		},
		"for each": func() stage.Consumer[int] {
			return stage.Must(consumer.NewForEach(each, consumer.ForEachConfig[int]{Retry: few, DeadLetters: sink, Logger: quiet}))
		},
		"batch of event errors": func() stage.Consumer[int] {
			return stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error {
				failed := consumer.EventErrors{}
				for i, v := range events {
					if err := handle(v); err != nil {
						failed[i] = err
					}
				}
				return failed
			}, consumer.BatchConfig[int]{Size: 7, Timeout: 20 * time.Millisecond, DeadLetters: sink, Logger: quiet}))
		},
		"batch that is split": func() stage.Consumer[int] {
			return stage.Must(consumer.NewBatch(func(_ context.Context, events []int) (err error) {
				for _, v := range events {
					err = errors.Join(err, handle(v))
				}
				return err
			}, consumer.BatchConfig[int]{Size: 7, Timeout: 20 * time.Millisecond, Retry: few, Split: true, DeadLetters: sink, Logger: quiet}))
		},
	}
}

// tenth fails for every tenth event.
func tenth(v int) error {
	if v%10 == 3 {
		return fmt.Errorf("no %d", v)
	}
	return nil
}

// While the sink fails, an event that has failed has no receipt, and the others go on. With
// the letter stored it has the receipt Failed, once.
func TestReceiptsFollowDeadLetters(t *testing.T) {
	for name := range kinds(nil, nil) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink := &grave{}
				sink.broken.Store(true)
				src := &tracked{counter{limit: 100}}
				start(t, src, kinds(sink, tenth)[name](), stage.SubscribeConfig{MaxDemand: 30, MinDemand: 20})
				time.Sleep(time.Minute)
				got := src.outcomes(t)
				for v, outcome := range got {
					if v%10 == 3 || outcome != receipt.Done {
						t.Errorf("%d has %v while the sink fails", v, outcome)
					}
				}
				if len(got) < 80 || len(sink.events()) > 0 {
					t.Errorf("%d receipts, %d letters while the sink fails", len(got), len(sink.events()))
				}
				sink.broken.Store(false)
				time.Sleep(time.Minute)
				got = src.outcomes(t)
				for v := range 100 {
					want := receipt.Done
					if v%10 == 3 {
						want = receipt.Failed
					}
					if got[v] != want || len(got) != 100 {
						t.Errorf("%d has %v of %d receipts", v, got[v], len(got))
					}
				}
				events := sink.events()
				slices.Sort(events)
				if fmt.Sprint(events) != "[13 23 3 33 43 53 63 73 83 93]" {
					t.Errorf("letters of %v", events)
				}
				for _, l := range sink.list {
					if l.Stage != "sink" || l.Error != "no "+string(l.Event) || l.Attempts < 1 || l.Attempts > 2 || l.First.IsZero() || l.Last.Before(l.First) {
						t.Errorf("%+v", l)
					}
				}
			})
		})
	}
}

// With a sink that does not recover MaxDemand, or MaxDeferred, bounds what waits.
func TestDeadLettersThatWaitAreBounded(t *testing.T) {
	for name := range kinds(nil, nil) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink := &grave{}
				sink.broken.Store(true)
				var handled atomic.Int64
				seen := map[int]bool{}
				var mu sync.Mutex
				c := kinds(sink, func(v int) error {
					mu.Lock()
					if !seen[v] {
						seen[v] = true
						handled.Add(1)
					}
					mu.Unlock()
					return errOops
				})
				if name == "supervisor" {
					c[name] = func() stage.Consumer[int] {
						return stage.Must(consumer.NewSupervisor(func(context.Context, int) error { handled.Add(1); return errOops },
							consumer.SupervisorConfig[int]{Restart: consumer.Temporary, MaxDemand: 8, MaxDeferred: 30, DeadLetters: sink, Logger: textLog(io.Discard)}))
					}
				}
				src := &tracked{counter{limit: 1000}}
				cfg := stage.SubscribeConfig{MaxDemand: 30, MinDemand: 20}
				if name == "supervisor" {
					cfg = stage.SubscribeConfig{}
				}
				r := start(t, src, c[name](), cfg)
				time.Sleep(time.Minute)
				if n := handled.Load(); n < 15 || n > 30 {
					t.Errorf("%d events have failed", n)
				}
				sink.broken.Store(false)
				time.Sleep(10 * time.Minute)
				if n := len(src.outcomes(t)); n != 1000 || len(sink.events()) != 1000 {
					t.Errorf("%d receipts, %d letters", n, len(sink.events()))
				}
				r.stop()
			})
		})
	}
}

// A source that wants no receipts ends at once. The stage does not end before its letters
// are stored, unless it is stopped: then it tries for some seconds.
func TestDeadLettersAtTheEnd(t *testing.T) {
	for name := range kinds(nil, nil) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink := &grave{}
				sink.broken.Store(true)
				r := start(t, &counter{limit: 20}, kinds(sink, tenth)[name](), stage.SubscribeConfig{})
				time.Sleep(time.Minute)
				select {
				case <-r.sink.Stopped():
					t.Error("the stage has ended before its letters were stored")
				default:
				}
				sink.broken.Store(false)
				<-r.sink.Stopped()
				if n := len(sink.events()); n != 2 {
					t.Errorf("%d letters", n)
				}

				sink.broken.Store(true)
				r = start(t, &counter{limit: 20}, kinds(sink, tenth)[name](), stage.SubscribeConfig{})
				time.Sleep(time.Minute)
				began := time.Now()
				r.stop()
				if took := time.Since(began); took > 5*time.Second || len(sink.events()) != 2 {
					t.Errorf("the stop took %v, %d letters", took, len(sink.events()))
				}
			})
		})
	}
}

// A stage that is stopped at any moment leaves no event without letter and without its
// source: what has the receipt Failed has a letter.
func TestStoppedStagesLoseNoLetter(t *testing.T) {
	for name := range kinds(nil, nil) {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				synctest.Test(t, func(t *testing.T) {
					rnd := rand.New(rand.NewPCG(seed, 3))
					sink := &grave{}
					src := &tracked{counter{limit: 300}}
					r := start(t, src, kinds(sink, func(v int) error {
						time.Sleep(time.Millisecond)
						return tenth(v)
					})[name](), stage.SubscribeConfig{MaxDemand: 30, MinDemand: 20})
					for range 3 {
						sink.broken.Store(rnd.IntN(2) == 0)
						time.Sleep(time.Duration(rnd.IntN(200)) * time.Millisecond)
					}
					r.stop()
					letters := map[string]bool{}
					for _, event := range sink.events() {
						letters[event] = true
					}
					for v, outcome := range src.outcomes(t) {
						if outcome == receipt.Failed && !letters[fmt.Sprint(v)] {
							t.Errorf("seed %d: %d has failed and has no letter", seed, v)
						}
						if v%10 == 3 && outcome == receipt.Done {
							t.Errorf("seed %d: %d is done", seed, v)
						}
					}
					time.Sleep(10 * time.Second)
				})
			}
		})
	}
}

func TestDeadLettersAreRefused(t *testing.T) {
	var none *grave
	each := func(context.Context, int) error { return nil }
	batch := func(context.Context, []int) error { return nil }
	for name, err := range map[string]error{
		"for each":   refusal(consumer.NewForEach(each, consumer.ForEachConfig[int]{DeadLetters: none})),
		"batch":      refusal(consumer.NewBatch(batch, consumer.BatchConfig[int]{DeadLetters: none})),
		"supervisor": refusal(consumer.NewSupervisor(each, consumer.SupervisorConfig[int]{DeadLetters: none})),
		"stop":       refusal(consumer.NewForEach(each, consumer.ForEachConfig[int]{OnFailure: consumer.StopStage, DeadLetters: &grave{}})),
	} {
		if got, ok := errors.AsType[*consumer.OptionError](err); !ok || got.Option != "DeadLetters" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
