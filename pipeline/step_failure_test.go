package pipeline

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// letterBox takes dead letters and stores them after a while.
type letterBox struct {
	after time.Duration // below 0: never

	mu   sync.Mutex
	list []deadletter.Letter
}

func (b *letterBox) Send(l deadletter.Letter, done func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, l)
	if b.after >= 0 {
		time.AfterFunc(b.after, done)
	}
}

// An event that has failed for good has its receipt when its letter is stored, and holds
// up no other.
func TestDeadLetter(t *testing.T) {
	for _, workers := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			box := &letterBox{after: time.Hour}
			f := func(_ context.Context, v int) (int, error) {
				if v == 5 {
					return 0, errTest
				}
				return v, nil
			}
			cfg := StepConfig[int]{Workers: workers}.defaults()
			source := &numbers{n: 2000}
			var late atomic.Int64
			begun := time.Now()
			step := newMapStep(f, cfg, testPlace(box))
			sink := stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
				late.Store(int64(time.Since(begun)))
				return nil
			})
			if err := runInto(t, t.Context(), source, step, sink); err != nil {
				t.Fatal(err)
			}
			if d := time.Duration(late.Load()); d > time.Second {
				t.Errorf("the last event left after %v", d)
			}
			if took := time.Since(begun); took < time.Hour {
				t.Errorf("the stage ended after %v, before the letter was stored", took)
			}
			if source.ends[5] != receipt.Failed || source.number != 2000 {
				t.Errorf("%v, %d receipts", source.ends[5], source.number)
			}
			l := box.list[0]
			if len(box.list) != 1 || l.Pipeline != "p" || l.Stage != "step" || string(l.Event) != "5" || l.Attempts != 3 || l.Error != errTest.Error() {
				t.Errorf("%d letters: %+v", len(box.list), l)
			}
			if d := l.Last.Sub(l.First); d < 200*time.Millisecond || d > 300*time.Millisecond {
				t.Errorf("%v between the first failure and the last", d)
			}
		})
	}
}

// A letter that is not stored leaves its event without a receipt when the stage is stopped.
func TestStopWithoutStoredLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := func(context.Context, int) error { return retry.Never(errTest) }
		source := &numbers{n: 3}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Hour)
			cancel()
		}()
		err := runEach(t, ctx, source, newEachStep(f, StepConfig[int]{}.defaults(), testPlace(&letterBox{after: -1})))
		for seq, end := range source.ends {
			if end == receipt.Done || end == receipt.Failed {
				t.Errorf("event %d ended as %v", seq, end)
			}
		}
		t.Log(err)
	})
}

// With StopOnFailure the stage fails, and the event has no receipt.
func TestStopOnFailure(t *testing.T) {
	for _, workers := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			f := func(_ context.Context, v int) (int, error) {
				if v == 700 {
					return 0, errTest
				}
				return v, nil
			}
			cfg := StepConfig[int]{Workers: workers, OnFailure: StopOnFailure}.defaults()
			source := &numbers{n: 2000}
			_, err := runStep(t, t.Context(), source, newMapStep(f, cfg, testPlace(nil)))
			if !errors.Is(err, errTest) || !isFinal(err) {
				t.Errorf("map: %v", err)
			}
			if end, some := source.ends[700]; some && end != receipt.Abandoned {
				t.Errorf("map: the event ended as %v", end)
			}
			source = &numbers{n: 2000}
			g := func(ctx context.Context, v int) error { return ignore(f(ctx, v)) }
			err = runEach(t, t.Context(), source, newEachStep(g, cfg, testPlace(nil)))
			if !errors.Is(err, errTest) || !isFinal(err) {
				t.Errorf("each: %v", err)
			}
			if end, some := source.ends[700]; some && end != receipt.Abandoned {
				t.Errorf("each: the event ended as %v", end)
			}
		})
	}
}

// A panic and Goexit are failures of the event, and the worker's place is filled again.
func TestPanicAndGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := &letterBox{}
		f := func(_ context.Context, v int) (int, error) {
			switch v % 10 {
			case 3:
				panic(errTest)
			case 4:
				runtime.Goexit()
			}
			time.Sleep(time.Millisecond) // slow enough for the pool
			return v, nil
		}
		cfg := StepConfig[int]{Workers: 3, Retry: retry.Policy{MaxAttempts: 2}}.defaults()
		source := &numbers{n: 100}
		got, err := runStep(t, t.Context(), source, newMapStep(f, cfg, testPlace(box)))
		want := slices.DeleteFunc(upTo(100), func(v int) bool { return v%10 == 3 || v%10 == 4 })
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v: %v", err, got)
		}
		if len(box.list) != 20 || source.number != 100 {
			t.Errorf("%d letters, %d receipts", len(box.list), source.number)
		}
		for _, l := range box.list {
			if l.Error != "panic: "+errTest.Error() && l.Error != crash.ErrGoexit.Error() {
				t.Errorf("%+v", l)
			}
		}
	})
}

// An attempt that takes too long has its context cancelled. If it does not return, its
// event fails all the same, and the worker's place is free.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := func(ctx context.Context, v int, emit func(int)) error {
			emit(v)
			switch v {
			case 3:
				<-ctx.Done()
				return ctx.Err()
			case 4:
				<-release
				emit(-1)
			}
			return nil
		}
		box := &letterBox{}
		cfg := StepConfig[int]{Timeout: time.Second, Retry: retry.Policy{MaxAttempts: 2}}.defaults()
		step := newFlatMapStep(f, cfg, testPlace(box))
		time.AfterFunc(10*time.Second, func() {
			if s := step.snapshot(); s.Stuck != 2 || s.Failures != 2 || s.Unfinished != 0 {
				t.Errorf("%+v", s)
			}
			close(release)
		})
		source := &numbers{n: 10}
		got, err := runStep(t, t.Context(), source, step)
		if !errors.Is(err, stage.ErrHung) {
			t.Errorf("the attempts that do not return are not reported: %v", err)
		}
		if want := []int{0, 1, 2, 5, 6, 7, 8, 9}; !slices.Equal(got, want) {
			t.Errorf("%v", got)
		}
		for _, l := range box.list {
			if !slices.Contains([]string{ErrTimeout.Error(), ErrTimeout.Error() + ": " + context.DeadlineExceeded.Error()}, l.Error) {
				t.Errorf("%+v", l)
			}
		}
		<-release
	})
}

// ErrDone ends a step: that of Map before the event, that of Each after it.
func TestErrDone(t *testing.T) {
	for _, workers := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			f := func(_ context.Context, v int) (int, error) {
				if v == 500 {
					return 0, stage.ErrDone
				}
				return v, nil
			}
			cfg := StepConfig[int]{Workers: workers}.defaults()
			got, err := runStep(t, t.Context(), &numbers{n: 1 << 30}, newMapStep(f, cfg, testPlace(nil)))
			if err != nil || !slices.Equal(got, upTo(500)) {
				t.Errorf("map: %v, %d events", err, len(got))
			}
			var n atomic.Int64
			g := func(ctx context.Context, v int) error { n.Add(1); return ignore(f(ctx, v)) }
			err = runEach(t, t.Context(), &numbers{n: 1 << 30}, newEachStep(g, cfg, testPlace(nil)))
			if err != nil || n.Load() < 501 {
				t.Errorf("each: %v, %d events", err, n.Load())
			}
		})
	}
}

// What is being worked on when a stage is stopped has no receipt, and the stage waits for
// its workers, up to its bound.
func TestStop(t *testing.T) {
	for _, obeys := range []bool{true, false} {
		t.Run(fmt.Sprint(obeys), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				var returned atomic.Int64
				f := func(ctx context.Context, v int) error {
					if v < 10 {
						return nil
					}
					if obeys {
						<-ctx.Done()
					} else {
						<-release
					}
					returned.Add(1)
					return ctx.Err()
				}
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Minute, cancel)
				source := &numbers{n: 1000}
				err := runEach(t, ctx, source, newEachStep(f, StepConfig[int]{Workers: 4}.defaults(), testPlace(nil)))
				if errors.Is(err, stage.ErrHung) == obeys {
					t.Errorf("%v", err)
				}
				if obeys && returned.Load() != 4 {
					t.Errorf("the stage has ended before its workers: %d", returned.Load())
				}
				for seq, end := range source.ends {
					if seq >= 10 && end == receipt.Done || seq < 10 && end != receipt.Done {
						t.Errorf("event %d ended as %v", seq, end)
					}
				}
				close(release)
			})
		})
	}
}

// The events of a key are worked on one at a time and in order, also when they are tried
// again. A key that cannot be read is a failure of its event.
func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, keys = 2000, 7
		var mu sync.Mutex
		busy := make(map[int]bool)
		last := make(map[int]int)
		tries := make(map[int]int)
		f := func(_ context.Context, v int) (int, error) {
			k := v % keys
			mu.Lock()
			if busy[k] {
				t.Errorf("two events of key %d at once", k)
			}
			busy[k] = true
			tries[v]++
			try := tries[v]
			mu.Unlock()
			if v%3 == 0 {
				time.Sleep(time.Millisecond)
			}
			mu.Lock()
			defer mu.Unlock()
			busy[k] = false
			if v%50 == 1 && try < 3 {
				return 0, errTest
			}
			if v < last[k] {
				t.Errorf("event %d of key %d after %d", v, k, last[k])
			}
			last[k] = v
			return v, nil
		}
		key := func(v int) string {
			if v == 1001 {
				panic("no key")
			}
			return fmt.Sprint(v % keys)
		}
		box := &letterBox{}
		cfg := StepConfig[int]{Workers: 4, Key: key}.defaults()
		source := &numbers{n: n}
		got, err := runStep(t, t.Context(), source, newMapStep(f, cfg, testPlace(box)))
		if err != nil || len(got) != n-1 || source.number != n {
			t.Fatalf("%v, %d events, %d receipts", err, len(got), source.number)
		}
		newest := make(map[int]int)
		for _, v := range got {
			if v < newest[v%keys] {
				t.Errorf("event %d leaves after %d", v, newest[v%keys])
			}
			newest[v%keys] = v
		}
		if len(box.list) != 1 || box.list[0].Error != "panic: no key" || box.list[0].Attempts != 1 {
			t.Errorf("%+v", box.list)
		}
	})
}

// A pause holds no worker and no room: the others go on, also with one worker and a small
// window.
func TestPauseHoldsNoRoom(t *testing.T) {
	for _, unordered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const n = 1000
			var quick atomic.Int64
			f := func(_ context.Context, v int) (int, error) {
				if v%2 == 0 {
					return 0, retry.After(errTest, time.Hour)
				}
				quick.Add(1)
				return v, nil
			}
			cfg := StepConfig[int]{Window: 10, Unordered: unordered, Retry: retry.Policy{MaxAttempts: 2}}.defaults()
			step := newMapStep(f, cfg, testPlace(nil))
			time.AfterFunc(time.Minute, func() {
				if quick.Load() != n/2 {
					t.Errorf("unordered %v: %d events in a minute, %+v", unordered, quick.Load(), step.snapshot())
				}
			})
			begun := time.Now()
			got, err := runStep(t, t.Context(), &numbers{n: n}, step)
			if err != nil || len(got) != n/2 {
				t.Errorf("%v, %d events", err, len(got))
			}
			if took := time.Since(begun); took > 2*time.Hour {
				t.Errorf("took %v", took)
			}
		})
	}
}
