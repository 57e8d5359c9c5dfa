package producer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

func TestQueueOrder(t *testing.T) {
	q := stage.Must(producer.NewQueue[int](producer.QueueConfig[int]{}))
	x := startPipe(t, q, stage.SubscribeConfig{MaxDemand: 7})
	for i := range 1000 {
		if err := q.Push(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	if got := x.await(1000); !slices.Equal(got, ints(0, 1000)) {
		t.Fatal(got)
	}
}

func TestQueueIsBounded(t *testing.T) {
	for _, tc := range []struct {
		overflow producer.Overflow
		last     error
		left     []int
		lost     []int
	}{
		{producer.Refuse, producer.ErrFull, []int{0, 1, 2}, nil},
		{producer.DropOldest, nil, []int{2, 3, 4}, []int{0, 1}},
		{producer.DropNewest, nil, []int{0, 1, 2}, []int{3, 4}},
	} {
		for _, push := range []string{"TryPush", "Push"} {
			t.Run(fmt.Sprint(tc.overflow, push), func(t *testing.T) {
				var lost []int
				q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{
					Capacity: 3, Overflow: tc.overflow,
					Discarded: func(v int, reason receipt.Reason) {
						if reason != receipt.QueueFull {
							t.Error(reason)
						}
						lost = append(lost, v)
					},
				}))
				gone, cancel := context.WithCancel(t.Context())
				cancel()
				for i := range 5 {
					var err error
					if push == "Push" {
						err = q.Push(gone, i) // does not look at ctx unless it has to wait
					} else {
						err = q.TryPush(i)
					}
					if i < 3 && err != nil || i >= 3 && !errors.Is(err, tc.last) {
						t.Fatal(i, err)
					}
				}
				want := producer.QueueSnapshot{Waiting: 3, Pushed: int64(3 + len(tc.lost)), Discarded: int64(len(tc.lost))}
				if tc.overflow == producer.Refuse {
					want.Refused.Full = 2
				}
				if s := q.Snapshot(); s != want {
					t.Fatalf("%+v", s)
				}
				q.Drain()
				x := startPipe(t, q, stage.SubscribeConfig{})
				if err := x.end(); !errors.Is(err, stage.ErrDone) {
					t.Fatal(err)
				}
				if !slices.Equal(x.got, tc.left) || !slices.Equal(lost, tc.lost) {
					t.Fatal(x.got, lost)
				}
			})
		}
	}
}

func TestQueueStampsAtEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type event struct{ at time.Time }
		q := stage.Must(producer.NewQueue(producer.QueueConfig[event]{
			Capacity: 1, Stamp: func(e *event, at time.Time) { e.at = at },
		}))
		first := time.Now()
		q.TryPush(event{})
		<-time.After(time.Second)
		go q.Push(t.Context(), event{}) // waits for room from the first second on
		synctest.Wait()
		<-time.After(time.Hour)
		x := startPipe(t, q, stage.SubscribeConfig{})
		got := x.await(2)
		if !got[0].at.Equal(first) || !got[1].at.Equal(first.Add(time.Second)) {
			t.Fatal(got)
		}
		x.stop()
	})
}

func TestQueuePushWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{Capacity: 1}))
		q.TryPush(0)
		pushed := make(chan error, 1)
		go func() { pushed <- q.Push(t.Context(), 1) }()
		synctest.Wait()
		if s := q.Snapshot(); s.Blocked != 1 || len(pushed) != 0 {
			t.Fatalf("%+v", s)
		}
		x := startPipe(t, q, stage.SubscribeConfig{})
		if err := <-pushed; err != nil {
			t.Fatal(err)
		}
		if got := x.await(2); !slices.Equal(got, []int{0, 1}) {
			t.Fatal(got)
		}
		x.stop()
	})
}

func TestQueuePushGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{Capacity: 1}))
		q.TryPush(0)
		because := errors.New("no patience")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, because)
		defer cancel()
		err := q.Push(ctx, 1)
		if !errors.Is(err, producer.ErrFull) || !errors.Is(err, because) {
			t.Fatal(err)
		}
		if s := q.Snapshot(); s.Blocked != 0 || s.Waiting != 1 || s.Pushed != 1 {
			t.Fatalf("%+v", s)
		}
	})
}

// Pushes that were cancelled delay no other, at any place, and the others keep
// their order.
func TestQueueLineIsFair(t *testing.T) {
	for _, leavers := range [][]int{nil, {0}, {9}, {4}, {0, 1, 9}, {2, 5, 6, 8}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}} {
		t.Run(fmt.Sprint(leavers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{Capacity: 1}))
				q.TryPush(-1)
				want := []int{-1}
				var cancels []func()
				errs := make([]error, 10)
				var wg sync.WaitGroup
				for i := range 10 {
					ctx, cancel := context.WithCancel(t.Context())
					cancels = append(cancels, cancel)
					wg.Go(func() { errs[i] = q.Push(ctx, i) })
					synctest.Wait() // the line forms in this order
					if !slices.Contains(leavers, i) {
						want = append(want, i)
					}
				}
				for _, i := range leavers {
					cancels[i]()
				}
				synctest.Wait()
				if s := q.Snapshot(); s.Blocked != 10-len(leavers) {
					t.Fatalf("%+v", s)
				}
				x := startPipe(t, q, stage.SubscribeConfig{MaxDemand: 3, MinDemand: stage.None})
				got := x.await(len(want))
				wg.Wait()
				if !slices.Equal(got, want) {
					t.Fatal(got, want)
				}
				for i, err := range errs {
					if left := slices.Contains(leavers, i); left != errors.Is(err, context.Canceled) || !left && err != nil {
						t.Error(i, err)
					}
					cancels[i]()
				}
				x.stop()
			})
		})
	}
}

func TestQueueCloseAnswersThoseWhoWait(t *testing.T) {
	for name, end := range map[string]func(q *producer.Queue[int], s stage.Stage){
		"close": func(q *producer.Queue[int], s stage.Stage) { q.Drain(); q.Drain() },
		"drain": func(q *producer.Queue[int], s stage.Stage) { s.Drain() },
		"stop":  func(q *producer.Queue[int], s stage.Stage) { s.Stop(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lost []int
				q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{Capacity: 2, Discarded: func(v int, reason receipt.Reason) {
					if reason != receipt.Stopped {
						t.Error(reason)
					}
					lost = append(lost, v)
				}}))
				src := stage.Must(stage.NewProducer(q, stage.ProducerConfig[int]{}))
				if err := src.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				q.TryPush(0)
				q.TryPush(1)
				waits := make(chan error, 3)
				for range 3 {
					go func() { waits <- q.Push(t.Context(), 2) }()
				}
				synctest.Wait()
				end(q, src)
				for range 3 {
					if err := <-waits; err != producer.ErrClosed {
						t.Error(err)
					}
				}
				if q.TryPush(3) != producer.ErrClosed || q.Push(t.Context(), 3) != producer.ErrClosed {
					t.Error("it takes more")
				}
				synctest.Wait()
				if s := q.Snapshot(); int64(s.Waiting)+s.Discarded != 2 || s.Pushed != 2 {
					t.Errorf("%+v", s)
				}
				src.Stop(nil)
				<-src.Stopped()
				if !slices.Equal(lost, []int{0, 1}) {
					t.Error(lost)
				}
			})
		})
	}
}

// What a drain finds in the queue is delivered, however slowly it is asked for.
func TestQueueDrainLosesNothing(t *testing.T) {
	q := stage.Must(producer.NewQueue[int](producer.QueueConfig[int]{}))
	src := stage.Must(stage.NewProducer(q, stage.ProducerConfig[int]{}))
	c := newCollector[int]()
	sink := stage.Must(stage.NewConsumer(c, stage.ConsumerConfig{}))
	sink.Subscribe(src, stage.SubscribeConfig{MaxDemand: 3})
	for i := range 1000 {
		q.TryPush(i)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := stage.Run(ctx, src, sink); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.got, ints(0, 1000)) {
		t.Fatal(len(c.got))
	}
}

func TestQueueClosedBeforeStart(t *testing.T) {
	q := stage.Must(producer.NewQueue[int](producer.QueueConfig[int]{}))
	q.Drain()
	src := stage.Must(stage.NewProducer(q, stage.ProducerConfig[int]{})) // without a subscriber
	if err := stage.Run(t.Context(), src); err != nil {
		t.Fatal(err)
	}
}

func TestQueueOptions(t *testing.T) {
	for option, cfg := range map[string]producer.QueueConfig[int]{
		"Capacity": {Capacity: -1},
		"Overflow": {Overflow: 3},
	} {
		var refused *producer.OptionError
		if q, err := producer.NewQueue(cfg); !errors.As(err, &refused) || refused.Option != option || q != nil {
			t.Error(option, err)
		}
	}
}

// Many goroutines push and some cancel while the stage takes, drains or is
// stopped: at the end everything that was accepted is accounted for, in each
// pusher's order.
func TestQueueConservation(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for round := range 30 {
		rnd := rand.New(rand.NewPCG(seed, uint64(round)))
		overflow := producer.Overflow(rnd.IntN(3))
		stop := rnd.IntN(2) == 0
		var mu sync.Mutex
		var lost [][2]int
		q := stage.Must(producer.NewQueue(producer.QueueConfig[[2]int]{
			Capacity: 1 + rnd.IntN(50), Overflow: overflow,
			Discarded: func(v [2]int, _ receipt.Reason) {
				mu.Lock()
				lost = append(lost, v)
				mu.Unlock()
			},
		}))
		src := stage.Must(stage.NewProducer(q, stage.ProducerConfig[[2]int]{}))
		c := newCollector[[2]int]()
		sink := stage.Must(stage.NewConsumer(c, stage.ConsumerConfig{}))
		sink.Subscribe(src, stage.SubscribeConfig{MaxDemand: 1 + rnd.IntN(40), Cancel: stage.Temporary})
		if err := errors.Join(src.Start(t.Context()), sink.Start(t.Context())); err != nil {
			t.Fatal(err)
		}
		const pushers, each = 8, 300
		accepted := make([]int, pushers)
		var wg sync.WaitGroup
		for p := range pushers {
			wg.Go(func() {
				for i := range each {
					if stop && p == 0 && i == each/2 {
						src.Stop(nil)
					}
					var err error
					switch (p + i) % 3 {
					case 0:
						err = q.TryPush([2]int{p, i})
					case 1:
						err = q.Push(t.Context(), [2]int{p, i})
					default:
						ctx, cancel := context.WithTimeout(t.Context(), time.Microsecond)
						err = q.Push(ctx, [2]int{p, i})
						cancel()
					}
					switch {
					case err == nil:
						accepted[p]++
					case !errors.Is(err, producer.ErrFull) && !errors.Is(err, producer.ErrClosed):
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		src.Drain()
		<-src.Stopped()
		c.end()
		sink.Stop(nil)
		<-sink.Stopped()

		total := 0
		for _, n := range accepted {
			total += n
		}
		s := q.Snapshot()
		if s.Pushed != int64(total) || s.Pushed != s.Taken+s.Discarded || s.Waiting != 0 || s.Blocked != 0 {
			t.Errorf("round %d: accepted %d, %+v", round, total, s)
		}
		if int(s.Discarded) != len(lost) {
			t.Errorf("round %d: discarded %d, reported %d", round, s.Discarded, len(lost))
		}
		if !stop && int(s.Taken) != len(c.got) {
			t.Errorf("round %d: taken %d, arrived %d", round, s.Taken, len(c.got))
		}
		last := make([]int, pushers)
		for _, v := range c.got {
			if v[1] < last[v[0]] {
				t.Errorf("round %d: pusher %d: %d after %d", round, v[0], v[1], last[v[0]])
			}
			last[v[0]] = v[1] + 1
		}
	}
}

func TestQueueAllocatesNothing(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, stamp := range map[string]func(*int, time.Time){
		"plain": nil, "stamped": func(v *int, at time.Time) { *v = at.Nanosecond() },
	} {
		t.Run(name, func(t *testing.T) {
			q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{Capacity: 16, Overflow: producer.DropOldest, Stamp: stamp}))
			if n := testing.AllocsPerRun(1000, func() { q.TryPush(1) }); n > 0 && !raceEnabled {
				t.Errorf("TryPush: %v allocations", n)
			}
			if n := testing.AllocsPerRun(1000, func() { q.Push(gone, 1) }); n > 0 && !raceEnabled {
				t.Errorf("Push: %v allocations", n)
			}
		})
	}
}
