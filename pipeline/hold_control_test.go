package pipeline_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
)

// tally counts how often each event was handled.
type tally struct {
	mu    sync.Mutex
	times []int
	all   int
}

func (c *tally) note(v int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.times) <= v {
		c.times = append(c.times, 0)
	}
	c.times[v]++
	c.all++
}

func (c *tally) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

// check fails the test unless each of n events was handled, and at most more of them, in
// all, a second time.
func (c *tally) check(t *testing.T, what string, n, more int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	missing := max(0, n-len(c.times))
	for _, times := range c.times {
		if times == 0 {
			missing++
		}
	}
	twice := c.all - (n - missing)
	t.Logf("%s: %d events, %d handled again, at most %d allowed", what, n, twice, more)
	if missing > 0 || twice > more {
		t.Errorf("%s: %d of %d events are missing, %d were handled again, at most %d may", what, missing, n, twice, more)
	}
}

// busyFor is a function of a step that takes a while, whatever happens, and counts.
func (c *tally) busyFor(d time.Duration) func(context.Context, int) (int, error) {
	return func(_ context.Context, v int) (int, error) {
		time.Sleep(d)
		c.note(v)
		return v, nil
	}
}

// TestHoldThroughputFollows changes the workers and the rate, pauses and restarts a step
// whose function takes 1 ms: the throughput follows within 100 ms, and what is handled twice
// was in flight at the restart.
func TestHoldThroughputFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		source, worked, ended := &torrent{}, &tally{}, &tally{}
		pipeline.Each(pipeline.Map(pipeline.From(p, source, sourceConfig{Name: "source"}), worked.busyFor(time.Millisecond),
			stepConfig{Name: "work"}), func(_ context.Context, v int) error { ended.note(v); return nil }, stepConfig{Name: "end"})
		done := started(t, p)
		work := step(t, p, "work")
		for _, tc := range []struct {
			name string
			do   func() error
			want int // events in 100 ms
		}{
			{"one worker", func() error { return nil }, 100},
			{"32 workers", func() error { return work.Resize(32) }, 3200},
			{"4 workers", func() error { return work.Resize(4) }, 400},
			{"a pause", func() error { work.Pause(); time.Sleep(5 * time.Second); return nil }, 0},
			{"the end of the pause", func() error { work.Resume(); return nil }, 400},
			{"a rate of 1000", func() error { return work.SetRate(pipeline.Rate{PerSecond: 1000}) }, 100},
			{"a rate of 2000", func() error { return work.SetRate(pipeline.Rate{PerSecond: 2000}) }, 200},
			{"no rate", func() error { return work.SetRate(pipeline.Rate{}) }, 400},
			{"a pause of the pipeline", func() error { p.Pause(); time.Sleep(5 * time.Second); return nil }, 0},
			{"its end", func() error { p.Resume(); return nil }, 400},
			{"a rate of the pipeline", func() error { return p.SetRate(pipeline.Rate{PerSecond: 1000}) }, 100},
			{"none", func() error { return p.SetRate(pipeline.Rate{}) }, 400},
			{"a restart", work.Restart, 400},
		} {
			if err := tc.do(); err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
			if tc.name == "a rate of the pipeline" {
				time.Sleep(2400 * time.Millisecond) // the window of the step is full of what came before
			}
			time.Sleep(100 * time.Millisecond)
			before := ended.total()
			time.Sleep(100 * time.Millisecond)
			if got := ended.total() - before; got < tc.want*98/100-1 || got > tc.want*102/100+1 {
				t.Errorf("%s: %d events in 100 ms, want %d", tc.name, got, tc.want)
			}
		}
		drained(t, p, done)
		source.finished(t)
		worked.check(t, "work", source.emitted(), pipeline.DefaultWindow)
		ended.check(t, "end", source.emitted(), pipeline.DefaultWindow)
	})
}

// TestHoldAllControlsAtOnce uses all controls from several goroutines under load: nothing is
// lost, and only what was in flight at a restart is handled twice.
func TestHoldAllControlsAtOnce(t *testing.T) {
	const window = 200
	for _, cfg := range []stepConfig{
		{Name: "work", Window: window},
		{Name: "work", Window: window, Unordered: true},
		{Name: "work", Window: window, Key: keyName},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := pipeline.New(pipeline.Config{Logger: quiet})
			source, worked, ended, extra := &torrent{}, &tally{}, &tally{}, &atomic.Int64{}
			fan := pipeline.Broadcast(pipeline.Map(pipeline.From(p, source, sourceConfig{Name: "source"}), worked.busyFor(time.Millisecond), cfg))
			pipeline.Each(fan.Branch("main", pipeline.BranchConfig{}), func(_ context.Context, v int) error { ended.note(v); return nil }, stepConfig{})
			done := started(t, p)
			synctest.Wait()
			work := step(t, p, "work")
			seed := rand.Uint64()
			t.Log("seed", seed)
			var all sync.WaitGroup
			var restarts atomic.Int64
			again := func(n int, every time.Duration, f func(i int) error) {
				r := rand.New(rand.NewPCG(seed, uint64(every)))
				all.Go(func() {
					for i := range n {
						time.Sleep(time.Duration(r.Int64N(int64(2 * every))))
						if err := f(i); err != nil {
							t.Error(err)
						}
					}
				})
			}
			again(60, 101*time.Millisecond, func(i int) error { return work.Resize([]int{32, 4, 1}[i%3]) })
			again(40, 149*time.Millisecond, func(i int) error {
				return work.SetRate(pipeline.Rate{PerSecond: []float64{2000, 0, 500}[i%3]})
			})
			again(20, 199*time.Millisecond, func(i int) error {
				return p.SetRate(pipeline.Rate{PerSecond: []float64{3000, 0}[i%2]})
			})
			again(4, 1201*time.Millisecond, func(int) error {
				work.Pause()
				time.Sleep(300 * time.Millisecond)
				work.Resume()
				return nil
			})
			again(1, time.Second, func(int) error {
				p.Pause()
				time.Sleep(5 * time.Second)
				p.Resume()
				return nil
			})
			again(5, 997*time.Millisecond, func(int) error {
				restarts.Add(1)
				return work.Restart()
			})
			branch := func(int) error {
				err := fan.Add("extra", pipeline.BranchConfig{}, func(in *pipeline.Flow[int]) {
					pipeline.Each(in, func(context.Context, int) error { extra.Add(1); return nil }, stepConfig{Name: "extra-end"})
				})
				if err != nil {
					return err
				}
				time.Sleep(50 * time.Millisecond)
				if err := fan.Remove("extra"); err != nil {
					return err
				}
				time.Sleep(50 * time.Millisecond) // until its name is free
				return nil
			}
			again(10, 401*time.Millisecond, branch)
			all.Wait()
			if err := errors.Join(work.Resize(32), work.SetRate(pipeline.Rate{}), p.SetRate(pipeline.Rate{})); err != nil {
				t.Error(err)
			}
			// The pause of the pipeline may have covered all others. Now nothing is paused, and
			// a branch gets events at once.
			time.Sleep(time.Second)
			extra.Store(0)
			if err := branch(0); err != nil {
				t.Error(err)
			}
			if n := extra.Load(); n < 1000 {
				t.Errorf("%d events in the extra branch in 50 ms, want 1600", n)
			}
			if seed%2 == 0 {
				// The drain comes while the step is made anew.
				restarts.Add(1)
				if err := work.Restart(); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Duration(seed % 1000 * uint64(time.Microsecond)))
			}
			drained(t, p, done)
			source.finished(t)
			n, more := source.emitted(), int(restarts.Load())*window
			worked.check(t, "work", n, more)
			ended.check(t, "end", n, more)
			if n < 1000 {
				t.Errorf("%d events", n)
			}
		})
	}
}
