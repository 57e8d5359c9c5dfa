package producer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/metricstest"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// push is an event of a user.
type push struct {
	user string
	n    int
	at   time.Time
}

func userOf(p push) string { return p.user }

// throughFair runs a queue, a fair dispatcher and a pool of four workers.
func throughFair(t *testing.T, cfg producer.QueueConfig[push], work func(ctx context.Context, p push) error) (q *producer.Queue[push], end func() error) {
	t.Helper()
	cfg.Key = userOf
	q = stage.Must(producer.NewQueue(cfg))
	source := stage.Must(stage.NewProducer(q, stage.ProducerConfig[push]{Dispatcher: stage.Must(fair.New(userOf, fair.Config[push]{}))}))
	pool := stage.Must(consumer.NewSupervisor(work, consumer.SupervisorConfig[push]{MaxDemand: 4, Retry: retry.Policy{MaxAttempts: 1}}))
	sink := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{}))
	if _, err := sink.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- stage.Run(context.Background(), source, sink) }()
	end = sync.OnceValue(func() error {
		q.Drain()
		return <-done
	})
	t.Cleanup(func() { end() })
	return q, end
}

// A user who floods gets ErrKeyFull. Another user's pushes go through and are
// handled as if the first one were not there.
func TestQueueRefusesTheKeyThatFloods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		handled := make(map[string]int)
		var waits []time.Duration
		q, end := throughFair(t, producer.QueueConfig[push]{
			Capacity: 100, KeyMaxEvents: 50, Stamp: func(p *push, at time.Time) { p.at = at },
		}, func(_ context.Context, p push) error {
			time.Sleep(time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			handled[p.user]++
			if p.user == "light" {
				waits = append(waits, time.Since(p.at))
			}
			return nil
		})
		pushed := map[string]int{}
		for tick := range 1000 {
			for range 20 { // 20,000 a second, where the user is handled at 1,000 a second
				switch err := q.TryPush(push{user: "heavy"}); {
				case err == nil:
					pushed["heavy"]++
				case !errors.Is(err, producer.ErrKeyFull) || errors.Is(err, producer.ErrFull):
					t.Fatal(err)
				}
			}
			if tick%10 == 0 {
				if err := q.TryPush(push{user: "light", n: tick}); err != nil {
					t.Fatal(err)
				}
				pushed["light"]++
			}
			if s := q.Snapshot(); s.Unfinished > 60 {
				t.Fatalf("%+v", s)
			}
			time.Sleep(time.Millisecond)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		slices.Sort(waits)
		if p99 := waits[len(waits)*99/100]; p99 > 2*time.Millisecond {
			t.Errorf("the light user's p99 is %v", p99)
		}
		if handled["heavy"] != pushed["heavy"] || handled["light"] != 100 {
			t.Errorf("pushed %v, handled %v", pushed, handled)
		}
		s := q.Snapshot()
		if s.Refused.Key != int64(20_000-pushed["heavy"]) || s.Unfinished != 0 || s.Keys != 0 || s.FullKeys != 0 {
			t.Errorf("%+v", s)
		}
		t.Logf("heavy: %d of 20,000 accepted; light: p99 %v", pushed["heavy"], waits[99])
	})
}

// Every outcome frees the slot: done, failed, discarded, abandoned, and an event that
// was delivered twice frees one.
func TestQueueAnyReceiptFreesTheSlot(t *testing.T) {
	drop := &stage.DiscardError{Reason: "unwanted"}
	for name, work := range map[string]func(context.Context, int) error{
		"done":      func(context.Context, int) error { return nil },
		"failed":    func(context.Context, int) error { return errors.New("no") },
		"discarded": func(context.Context, int) error { return drop },
		"panicked":  func(context.Context, int) error { panic("no") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{Key: func(int) string { return "k" }, KeyMaxEvents: 3}))
				x := startPool(t, q, work)
				for i := range 9 {
					if err := q.Push(t.Context(), i); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if s := q.Snapshot(); s.Unfinished != 0 || s.Keys != 0 {
					t.Errorf("%+v", s)
				}
				x()
			})
		})
	}
}

// startPool runs a queue and a pool; the returned function stops both.
func startPool[T any](t *testing.T, q *producer.Queue[T], work func(context.Context, T) error) (stop func()) {
	t.Helper()
	source := stage.Must(stage.NewProducer(q, stage.ProducerConfig[T]{}))
	pool := stage.Must(consumer.NewSupervisor(work, consumer.SupervisorConfig[T]{Retry: retry.Policy{MaxAttempts: 1}}))
	sink := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{}))
	if _, err := sink.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(source.Start(t.Context()), sink.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		sink.Stop(nil)
		source.Stop(nil)
		<-sink.Stopped()
		<-source.Stopped()
	})
}

// A consumer that dies frees the slots of its events, at once without Redeliver, and
// once another consumer has handled them with it.
func TestQueueSlotsOfAConsumerThatDies(t *testing.T) {
	for _, redeliver := range []bool{false, true} {
		t.Run(fmt.Sprint("redeliver ", redeliver), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{Key: func(int) string { return "k" }, KeyMaxEvents: 5}))
				source := stage.Must(stage.NewProducer(q, stage.ProducerConfig[int]{}))
				if err := source.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				subscribe := func(f func(ctx context.Context, v int) error) *stage.ConsumerStage[int] {
					pool := stage.Must(consumer.NewSupervisor(f, consumer.SupervisorConfig[int]{ShutdownTimeout: time.Second}))
					sink := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{}))
					sink.Subscribe(source, stage.SubscribeConfig{Cancel: stage.Temporary, Redeliver: redeliver})
					if err := sink.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
					return sink
				}
				for i := range 5 {
					q.TryPush(i)
				}
				dying := subscribe(func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() })
				synctest.Wait()
				if err := q.TryPush(5); !errors.Is(err, producer.ErrKeyFull) {
					t.Fatal(err)
				}
				dying.Stop(nil)
				<-dying.Stopped()
				synctest.Wait()
				want := 0
				if redeliver {
					want = 5
				}
				if s := q.Snapshot(); s.Unfinished != want {
					t.Fatalf("after the death: %+v", s)
				}
				heir := subscribe(func(context.Context, int) error { return nil })
				synctest.Wait()
				if s := q.Snapshot(); s.Unfinished != 0 || s.Keys != 0 {
					t.Fatalf("after the second delivery: %+v", s)
				}
				heir.Stop(nil)
				source.Stop(nil)
				<-heir.Stopped()
				<-source.Stopped()
			})
		})
	}
}

// Events that a policy further down drops are finished.
func TestQueueSlotsOfDiscardedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{Key: func(int) string { return "k" }, KeyMaxEvents: 5}))
		f := stage.Must(fair.New(func(v int) int { return 0 }, fair.Config[int]{KeyMaxEvents: 1, KeyOverflow: fair.DropOldest, Overflow: fair.DropLongest}))
		source := stage.Must(stage.NewProducer(q, stage.ProducerConfig[int]{Dispatcher: dispatcher.Dispatcher[int](f)}))
		hold := make(chan struct{})
		sink := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(context.Context, []int) error { <-hold; return nil }), stage.ConsumerConfig{}))
		sink.Subscribe(source, stage.SubscribeConfig{Cancel: stage.Temporary, MaxDemand: 1})
		if err := errors.Join(source.Start(t.Context()), sink.Start(t.Context())); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			if err := q.TryPush(i); err != nil {
				t.Fatal(i, err)
			}
			synctest.Wait()
		}
		if s := q.Snapshot(); s.Unfinished != 2 { // one with the consumer, one held
			t.Errorf("%+v", s)
		}
		close(hold)
		sink.Stop(nil)
		source.Stop(nil)
		<-sink.Stopped()
		<-source.Stopped()
	})
}

// However many pushes of a key wait, those of another key are let in: at once if only
// the key is full, and with every second free place if the queue is.
func TestQueueWaitersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := stage.Must(producer.NewQueue(producer.QueueConfig[push]{Capacity: 4, Key: userOf, KeyMaxEvents: 100}))
		var order []string
		var mu sync.Mutex
		wait := func(user string) {
			go func() {
				if err := q.Push(t.Context(), push{user: user}); err == nil {
					mu.Lock()
					order = append(order, user)
					mu.Unlock()
				}
			}()
			synctest.Wait()
		}
		for range 4 {
			wait("heavy")
		}
		for range 20 {
			wait("heavy")
		}
		for range 3 {
			wait("light")
		}
		if s := q.Snapshot(); s.Blocked != 23 || s.Waiting != 4 || s.Keys != 2 {
			t.Fatalf("%+v", s)
		}
		x := startPipe(t, q, stage.SubscribeConfig{MaxDemand: 1, MinDemand: stage.None})
		got := x.await(27)
		var users []string
		for _, p := range got {
			users = append(users, p.user)
		}
		want := "heavy heavy heavy heavy heavy light heavy light heavy light heavy"
		if s := strings.Join(users[:11], " "); s != want {
			t.Errorf("they left as %s, want %s", s, want)
		}
		x.stop()
	})
}

// A push that waits for its key ends with its context, with a drain and with a stop.
func TestQueueWaitForAKeyEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(q *producer.Queue[int], cancel context.CancelFunc)
		want error
	}{
		"cancel": {func(_ *producer.Queue[int], cancel context.CancelFunc) { cancel() }, producer.ErrKeyFull},
		"drain":  {func(q *producer.Queue[int], _ context.CancelFunc) { q.Drain() }, producer.ErrClosed},
		"stop":   {func(q *producer.Queue[int], _ context.CancelFunc) { q.HandleTerminate(context.Background(), nil) }, producer.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{Key: func(int) string { return "k" }, KeyMaxEvents: 1}))
				q.TryPush(0)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				errs := make(chan error, 3)
				for i := range 3 {
					go func() { errs <- q.Push(ctx, i) }()
				}
				synctest.Wait()
				if s := q.Snapshot(); s.Blocked != 3 || s.FullKeys != 1 {
					t.Fatalf("%+v", s)
				}
				tc.end(q, cancel)
				for range 3 {
					if err := <-errs; !errors.Is(err, tc.want) {
						t.Error(err)
					}
				}
				s := q.Snapshot()
				if s.Blocked != 0 || s.Refused.Key+s.Refused.Closed != 3 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// The bytes of unfinished events are bounded, wherever the events are, and an event
// that can never fit is refused at once.
func TestQueueBoundsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		q := stage.Must(producer.NewQueue(producer.QueueConfig[string]{MaxBytes: 10, Size: func(s string) int { return len(s) }}))
		stop := startPool(t, q, func(context.Context, string) error { <-release; return nil })
		if err := errors.Join(q.TryPush("12345"), q.TryPush("67890")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the pool has both
		var refused *producer.BoundError
		if err := q.TryPush("1"); !errors.Is(err, producer.ErrFull) || !errors.As(err, &refused) || refused.Bound != "MaxBytes" || refused.Limit != 10 {
			t.Error(err)
		}
		if err := q.Push(t.Context(), "12345678901"); !errors.Is(err, producer.ErrTooLarge) {
			t.Error(err)
		}
		big, small := make(chan error, 1), make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { big <- q.Push(ctx, "1234567890") }()
		synctest.Wait()
		go func() { small <- q.Push(t.Context(), "12345") }()
		synctest.Wait()
		release <- struct{}{}
		synctest.Wait()
		if s := q.Snapshot(); s.Blocked != 2 {
			t.Fatalf("the small event has overtaken: %+v", s)
		}
		cancel()
		if err := <-big; !errors.Is(err, producer.ErrFull) || !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := <-small; err != nil { // it fits now
			t.Error(err)
		}
		close(release)
		synctest.Wait()
		if s := q.Snapshot(); s.Bytes != 0 || s.Unfinished != 0 || s.Refused.TooLarge != 1 || s.Refused.Bytes != 2 {
			t.Errorf("%+v", s)
		}
		stop()
	})
}

// Refusals and drops are counted by reason, and logged once a second for each.
func TestQueueRefusalsAreCountedAndLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		var rec metricstest.Recorder
		q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{
			Key: func(int) string { return "k" }, KeyMaxEvents: 2, Metrics: &rec, Logger: slog.New(slog.NewTextHandler(&text, nil)),
		}))
		for range 12 {
			q.TryPush(0)
		}
		time.Sleep(time.Second)
		q.TryPush(0)
		q.Drain()
		q.TryPush(0)
		if n := rec.Count("queue.refused", metrics.Tag{Key: "reason", Value: "key_full"}); n != 11 {
			t.Errorf("key_full recorded %d times", n)
		}
		if n := rec.Count("queue.refused", metrics.Tag{Key: "reason", Value: "closed"}); n != 1 {
			t.Errorf("closed recorded %d times", n)
		}
		log := text.String()
		if strings.Count(log, "\n") != 3 || strings.Count(log, "reason=key_full") != 2 || !strings.Contains(log, "count=10") {
			t.Errorf("log:\n%s", log)
		}
	})
}

func TestQueueRefusesBoundsThatDoNotFit(t *testing.T) {
	key, size := func(int) string { return "" }, func(int) int { return 1 }
	for option, cfg := range map[string]producer.QueueConfig[int]{
		"KeyMaxEvents": {KeyMaxEvents: 3},
		"MaxBytes":     {Size: size},
		"Size":         {MaxBytes: 3},
		"Key":          {Key: key, Overflow: producer.DropOldest},
	} {
		var refused *producer.OptionError
		if _, err := producer.NewQueue(cfg); !errors.As(err, &refused) || refused.Option != option {
			t.Errorf("%s: %v", option, err)
		}
	}
}

// Random users, bounds, pushes, contexts and workers: nothing is lost or handled twice,
// no bound is exceeded, no push waits while there is room for it, and nothing is left.
func TestQueueWithKeysUnderStress(t *testing.T) {
	for round := range 30 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Logf("seed %d", seed)
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 0))
				keyMax, users := 1+rnd.IntN(5), 1+rnd.IntN(5)
				var mu sync.Mutex
				running, handled := make(map[string]int), make(map[push]int)
				q, end := throughFair(t, producer.QueueConfig[push]{
					Capacity: 1 + rnd.IntN(8), KeyMaxEvents: keyMax, MaxBytes: 40, Size: func(p push) int { return p.n % 20 },
				}, func(_ context.Context, p push) error {
					mu.Lock()
					running[p.user]++
					handled[p]++
					d := time.Duration(1+p.n%7) * time.Millisecond
					mu.Unlock()
					time.Sleep(d)
					mu.Lock()
					running[p.user]--
					mu.Unlock()
					if p.n%5 == 0 {
						return errors.New("no")
					}
					return nil
				})
				var wg sync.WaitGroup
				accepted := make(map[push]bool)
				for pusher := range 10 {
					rnd := rand.New(rand.NewPCG(seed, uint64(pusher)+1))
					wg.Go(func() {
						for i := range 60 {
							p := push{user: fmt.Sprint("user-", rnd.IntN(users)), n: pusher*1000 + i}
							var err error
							switch rnd.IntN(3) {
							case 0:
								err = q.TryPush(p)
							case 1:
								err = q.Push(t.Context(), p)
							default:
								ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rnd.IntN(5))*time.Millisecond)
								err = q.Push(ctx, p)
								cancel()
							}
							mu.Lock()
							if err == nil {
								accepted[p] = true
							} else if !errors.Is(err, producer.ErrFull) && !errors.Is(err, producer.ErrKeyFull) {
								t.Error(err)
							}
							mu.Unlock()
							if s := q.Snapshot(); s.Unfinished > keyMax*users || s.Bytes > 40 {
								t.Errorf("%+v", s)
							}
							time.Sleep(time.Duration(rnd.IntN(3)) * time.Millisecond)
						}
					})
				}
				wg.Wait()
				if err := end(); err != nil {
					t.Error(err)
				}
				if len(handled) != len(accepted) {
					t.Errorf("accepted %d, handled %d", len(accepted), len(handled))
				}
				for p, n := range handled {
					if n != 1 || !accepted[p] {
						t.Errorf("%v handled %d times, accepted %v", p, n, accepted[p])
					}
				}
				s := q.Snapshot()
				if s.Unfinished != 0 || s.Bytes != 0 || s.Keys != 0 || s.Blocked != 0 || s.FullKeys != 0 {
					t.Errorf("left at the end: %+v", s)
				}
			})
		})
	}
}
