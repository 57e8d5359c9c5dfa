package pipeline

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// A step keeps its rate, and reaches it, also if the rate is changed while it runs.
func TestRate(t *testing.T) {
	for _, workers := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			var n atomic.Int64
			f := func(_ context.Context, v int) error { n.Add(1); return nil }
			cfg := StepConfig[int]{Workers: workers, Rate: Rate{PerSecond: 10_000, Burst: 10}}.defaults()
			step := newEachStep(f, cfg, testPlace(nil))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				time.Sleep(10 * time.Second)
				if got := n.Load(); got < 99_000 || got > 100_200 {
					t.Errorf("%d events in 10 s", got)
				}
				if err := step.SetRate(Rate{PerSecond: 100}); err != nil {
					t.Error(err)
				}
				before := n.Load()
				time.Sleep(10 * time.Second)
				if got := n.Load() - before; got < 990 || got > 1020 {
					t.Errorf("%d events in 10 s at 100/s", got)
				}
				cancel()
			}()
			_ = runEach(t, ctx, &numbers{n: 1 << 30}, step) // stopped: it does not drain in time
		})
	}
}

// The rate of a key holds up the others of that key, and no others.
func TestKeyRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow, quick atomic.Int64
		f := func(_ context.Context, v int) error {
			if v%10 == 0 {
				slow.Add(1)
			} else {
				quick.Add(1)
			}
			return nil
		}
		key := func(v int) string {
			if v%10 == 0 {
				return "flood"
			}
			return strconv.Itoa(v)
		}
		cfg := StepConfig[int]{Workers: 2, Window: 20, Key: key, KeyRate: Rate{PerSecond: 10}}.defaults()
		step := newEachStep(f, cfg, testPlace(nil))
		time.AfterFunc(5*time.Second, func() {
			if q, s := quick.Load(), slow.Load(); q != 9*500 || s < 49 || s > 52 {
				t.Errorf("%d of the flood and %d of the others in 5 s: %+v", s, q, step.snapshot())
			}
		})
		begun := time.Now()
		if err := runEach(t, t.Context(), &numbers{n: 5000}, step); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < 49*time.Second || took > 51*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// A paused step begins nothing, one that is resized uses its workers, and nothing is lost.
func TestPauseAndResize(t *testing.T) {
	for _, workers := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			var busy, most atomic.Int64
			f := func(_ context.Context, v int) (int, error) {
				most.Store(max(most.Load(), busy.Add(1)))
				time.Sleep(time.Millisecond)
				busy.Add(-1)
				return v, nil
			}
			step := newMapStep(f, StepConfig[int]{Workers: workers}.defaults(), testPlace(nil))
			go func() {
				time.Sleep(100*time.Millisecond + time.Microsecond)
				step.Pause()
				time.Sleep(2 * time.Millisecond)
				if s := step.snapshot(); s.Busy != 0 || !s.Paused || s.Oldest == 0 {
					t.Errorf("%+v", s)
				}
				time.Sleep(time.Hour)
				if n := most.Load(); n != int64(workers) {
					t.Errorf("%d at once", n)
				}
				if err := step.Resize(9); err != nil {
					t.Error(err)
				}
				step.Resume()
				time.Sleep(100 * time.Millisecond)
				if n := most.Load(); n != 9 {
					t.Errorf("%d at once after it was made larger", n)
				}
				if err := step.Resize(2); err != nil {
					t.Error(err)
				}
				time.Sleep(2 * time.Millisecond)
				most.Store(0)
				time.Sleep(100 * time.Millisecond)
				if n := most.Load(); n != 2 {
					t.Errorf("%d at once after it was made smaller", n)
				}
			}()
			got, err := runStep(t, t.Context(), &numbers{n: 5000}, step)
			if err != nil || !slices.Equal(got, upTo(5000)) {
				t.Errorf("%v, %d events", err, len(got))
			}
			if step.Resize(0) == nil || step.SetRate(Rate{PerSecond: -1}) == nil {
				t.Error("wrong values are not refused")
			}
		})
	}
}

// Events that wait in a run behind a slow one are worked on by others.
func TestNoneWaitsBehindASlowOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		f := func(_ context.Context, v int) error {
			if v == 500 || v == 700 {
				time.Sleep(time.Hour)
			}
			n.Add(1)
			return nil
		}
		step := newEachStep(f, StepConfig[int]{Workers: 3}.defaults(), testPlace(nil))
		time.AfterFunc(time.Second, func() {
			if n.Load() != 1998 {
				t.Errorf("%d events in a second: %+v", n.Load(), step.snapshot())
			}
		})
		if err := runEach(t, t.Context(), &numbers{n: 2000}, step); err != nil {
			t.Fatal(err)
		}
	})
}

// A slow function does not hold up the stage's goroutine, once it is known to be slow.
func TestSlowEventsLeaveTheStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := func(_ context.Context, v int) (int, error) {
			if v >= 10_000 {
				time.Sleep(time.Second)
			}
			return v, nil
		}
		step := newMapStep(f, StepConfig[int]{}.defaults(), testPlace(nil))
		from := stage.Must(stage.NewProducer(&numbers{n: 10_020}, stage.ProducerConfig[int]{Logger: quiet}))
		via := stage.Must(stage.NewProducerConsumer(step, stage.ProducerConfig[int]{Logger: quiet}))
		to := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(context.Context, []int) error { return nil }), stage.ConsumerConfig{Logger: quiet}))
		stage.Must(via.Subscribe(from, stage.SubscribeConfig{}))
		stage.Must(to.Subscribe(via, stage.SubscribeConfig{}))
		time.AfterFunc(10*time.Second+time.Millisecond, func() {
			begun := time.Now()
			s, err := via.Snapshot(t.Context())
			if err != nil || time.Since(begun) > 0 {
				t.Errorf("%v after %v", err, time.Since(begun))
			}
			if w, ok := s.Handler.(WorkSnapshot); !ok || w.Busy != 1 || len(w.Ages) != 1 || w.Ages[0] <= 0 || w.Ages[0] > time.Second {
				t.Errorf("%+v", s.Handler)
			}
		})
		if err := stage.Run(t.Context(), from, via, to); err != nil {
			t.Fatal(err)
		}
	})
}

// Middleware runs around each attempt, the first one outermost, and may decide in place of
// the function.
func TestMiddleware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type keyed struct{}
		var mu sync.Mutex
		var log []string
		note := func(s string) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, s)
		}
		outer := func(ctx context.Context, v int, next func(context.Context) error) error {
			if v == 1 {
				return nil // dropped
			}
			note("outer")
			return next(context.WithValue(ctx, keyed{}, v))
		}
		inner := func(ctx context.Context, v int, next func(context.Context) error) error {
			note("inner " + strconv.Itoa(ctx.Value(keyed{}).(int)))
			if err := next(ctx); err != nil {
				return err
			}
			if v == 2 {
				return retry.Never(errTest)
			}
			return nil
		}
		f := func(ctx context.Context, v int) (int, error) {
			note("f " + strconv.Itoa(ctx.Value(keyed{}).(int)))
			return v * 10, nil
		}
		for _, workers := range []int{1, 2} {
			log = nil
			cfg := StepConfig[int]{Workers: workers, Use: []Middleware[int]{outer, inner}}.defaults()
			got, err := runStep(t, t.Context(), &numbers{n: 4}, newMapStep(f, cfg, testPlace(nil)))
			if err != nil || !slices.Equal(got, []int{0, 30}) {
				t.Errorf("%v, %v", err, got)
			}
			if workers == 1 && !slices.Equal(log[:3], []string{"outer", "inner 0", "f 0"}) {
				t.Errorf("%v", log)
			}
		}
	})
}

// Flat-map and filter, in the pool and on the stage's goroutine, with failures in between.
func TestFlatMapAndFilter(t *testing.T) {
	for _, workers := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			const n = 3000
			var mu sync.Mutex
			tries := make(map[int]int)
			f := func(_ context.Context, v int, emit func(int)) error {
				mu.Lock()
				tries[v]++
				try := tries[v]
				mu.Unlock()
				for i := range v % 4 {
					emit(10*v + i)
				}
				if v%301 == 300 && try == 1 {
					return errTest
				}
				return nil
			}
			var want []int
			for v := range n {
				for i := range v % 4 {
					want = append(want, 10*v+i)
				}
			}
			source := &numbers{n: n}
			got, err := runStep(t, t.Context(), source, newFlatMapStep(f, StepConfig[int]{Workers: workers}.defaults(), testPlace(nil)))
			if err != nil || !slices.Equal(got, want) || source.number != n {
				t.Errorf("flat-map: %v, %d events of %d, %d receipts", err, len(got), len(want), source.number)
			}
			keep := func(_ context.Context, v int) (bool, error) { return v%3 == 0, nil }
			source = &numbers{n: n}
			got, err = runStep(t, t.Context(), source, newFilterStep(keep, StepConfig[int]{Workers: workers}.defaults(), testPlace(nil)))
			want = slices.DeleteFunc(upTo(n), func(v int) bool { return v%3 != 0 })
			if err != nil || !slices.Equal(got, want) || source.number != n {
				t.Errorf("filter: %v, %d events of %d, %d receipts", err, len(got), len(want), source.number)
			}
		})
	}
}

// Everything at once, in real time: for the race detector.
func TestStepUnderStress(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for i := range uint64(6) {
		rnd := rand.New(rand.NewPCG(seed, i))
		n := 20_000
		var mu sync.Mutex
		done := make(map[int]int)
		f := func(_ context.Context, v int) (int, error) {
			h := uint64(v) * 0x9e3779b97f4a7c15 >> 40
			switch {
			case h%500 == 0:
				time.Sleep(time.Millisecond)
			case h%400 == 0:
				return 0, errTest
			case h%301 == 0:
				panic("boom")
			case h%302 == 0:
				return 0, retry.Never(errTest)
			}
			mu.Lock()
			done[v]++
			mu.Unlock()
			return v, nil
		}
		cfg := StepConfig[int]{
			Workers: 1 + rnd.IntN(4), Window: 4 + rnd.IntN(300), Unordered: i%3 == 1,
			Retry: retry.Policy{MaxAttempts: 2, Backoff: time.Millisecond},
		}
		if i%3 == 2 {
			cfg.Key = func(v int) string { return strconv.Itoa(v % 50) }
		}
		box := &letterBox{after: time.Millisecond}
		step := newMapStep(f, cfg.defaults(), testPlace(box))
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for ctx.Err() == nil {
				step.Pause()
				step.snapshot()
				step.Resume()
				if err := errors.Join(step.Resize(1+int(time.Now().UnixNano()%5)), step.SetRate(Rate{})); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Millisecond)
			}
		})
		source := &numbers{n: n}
		got, err := runStep(t, t.Context(), source, step)
		cancel()
		wg.Wait()
		if err != nil || source.number != n || len(source.ends) != n {
			t.Errorf("%v, %d receipts for %d events", err, source.number, len(source.ends))
		}
		if len(got) != len(done) || len(got)+len(box.list) != n {
			t.Errorf("%d left, %d done, %d letters of %d", len(got), len(done), len(box.list), n)
		}
		if i%3 == 0 && !slices.IsSorted(got) {
			t.Error("not in order")
		}
	}
}
