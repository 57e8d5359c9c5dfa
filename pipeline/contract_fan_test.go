package pipeline_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// stepNames returns the names of the steps that run.
func stepNames(t *testing.T, p *pipeline.Pipeline) string {
	t.Helper()
	var names []string
	for _, s := range p.Snapshot(t.Context()).Steps {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

// Merge adds no stage, and Fair only if the step before has a dispatcher already, or if there are
// several.
func TestFairAndMergeAddNoStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := func(in *pipeline.Flow[int]) *pipeline.Flow[int] {
			return pipeline.Fair(in, func(v int) int { return v }, fair.Config[int]{})
		}
		for name, c := range map[string]struct {
			build func(a, b *pipeline.Flow[int]) *pipeline.Flow[int]
			want  string
		}{
			"fair below a source": {func(a, b *pipeline.Flow[int]) *pipeline.Flow[int] { return pipeline.Merge(shared(a), b) }, "a b end"},
			"fair twice":          {func(a, b *pipeline.Flow[int]) *pipeline.Flow[int] { return pipeline.Merge(shared(shared(a)), b) }, "a b fair-5 end"},
			"fair below a merge":  {func(a, b *pipeline.Flow[int]) *pipeline.Flow[int] { return shared(pipeline.Merge(a, b)) }, "a b fair-5 end"},
		} {
			p := pipeline.New(pipeline.Config{Logger: quiet})
			in := c.build(pipeline.From(p, newFeed(), sourceConfig{Name: "a"}), pipeline.From(p, newFeed(), sourceConfig{Name: "b"}))
			pipeline.Each(in, none, stepConfig{Name: "end"})
			done := started(t, p)
			synctest.Wait()
			if got := stepNames(t, p); got != c.want {
				t.Errorf("%s: steps %s, want %s", name, got, c.want)
			}
			drained(t, p, done)
		}
	})
}

// Behind Fair a key has one event at a time, also while that waits for a retry: others of the
// key come after it, and those of other keys do not wait.
func TestFairEventThatWaitsForARetryIsOneOfItsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := pipeline.New(pipeline.Config{Logger: quiet}), &list{}
		tried := false
		flow := pipeline.Fair(pipeline.From(p, complete(9), sourceConfig{}), func(v int) int { return v % 3 }, fair.Config[int]{})
		pipeline.Each(flow, func(ctx context.Context, v int) error {
			if v == 0 && !tried {
				tried = true
				return retry.After(errWrite, time.Hour)
			}
			return l.add(ctx, v)
		}, stepConfig{Workers: 3})
		done := started(t, p)
		time.Sleep(time.Minute)
		if got := slices.Sorted(slices.Values(l.all())); !slices.Equal(got, []int{1, 2, 4, 5, 7, 8}) {
			t.Errorf("before the retry: %v", got)
		}
		if err := <-done; err != nil || !slices.Equal(l.all()[6:], []int{0, 3, 6}) {
			t.Errorf("%v: %v", err, l.all())
		}
	})
}

// An event for which the function of Fair panics has the zero key: it waits for others of
// that key.
func TestFairEventWhoseKeyPanicsHasTheZeroKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, at, begun := pipeline.New(pipeline.Config{Logger: quiet}), map[int]time.Duration{}, time.Now()
		var mu sync.Mutex
		flow := pipeline.Fair(pipeline.From(p, complete(3), sourceConfig{}), func(v int) int {
			if v == 1 {
				panic("no key")
			}
			return v
		}, fair.Config[int]{})
		pipeline.Each(flow, func(_ context.Context, v int) error {
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			at[v] = time.Since(begun)
			return nil
		}, stepConfig{Workers: 3, Unordered: true})
		run(t, p)
		if at[0] != time.Second || at[1] != 2*time.Second || at[2] != time.Second {
			t.Error(at)
		}
	})
}

// A source has no receipt for an event before all branches have handled it.
func TestBroadcastReceiptWaitsForAllBranches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f, gate := pipeline.New(pipeline.Config{Logger: quiet}), newFeed(upTo(5)...), make(chan struct{})
		b, l := pipeline.Broadcast(pipeline.From(p, f, sourceConfig{})), &list{}
		pipeline.Each(b.Branch("fast", pipeline.BranchConfig{}), l.add, stepConfig{})
		pipeline.Each(b.Branch("slow", pipeline.BranchConfig{}), func(_ context.Context, v int) error {
			if v == 3 {
				<-gate
			}
			return nil
		}, stepConfig{})
		done := started(t, p)
		synctest.Wait()
		ends := f.ends()
		_, third := ends[3]
		_, last := ends[4]
		if len(l.all()) != 5 || third || last {
			t.Errorf("the fast one has %d, receipts %v", len(l.all()), ends)
		}
		close(gate)
		drained(t, p, done)
		f.allDone(t, 5)
	})
}

// By default a branch may be behind by 1000 events.
func TestDefaultBranchBufferIsAThousand(t *testing.T) {
	for overflow, least := range map[pipeline.Overflow]int{pipeline.Pause: 1000, pipeline.DropOldest: 1001, pipeline.DropNewest: 1001} {
		synctest.Test(t, func(t *testing.T) {
			p, f, gate := pipeline.New(pipeline.Config{Logger: quiet}), newFeed(upTo(3000)...), make(chan struct{})
			b, fast, slow := pipeline.Broadcast(pipeline.From(p, f, sourceConfig{})), &list{}, &list{}
			pipeline.To(b.Branch("slow", pipeline.BranchConfig{Overflow: overflow}), func() (stage.Consumer[int], error) {
				return stage.ConsumerFunc[int](func(ctx context.Context, events []int) error {
					<-gate
					return slow.add(ctx, events[0])
				}), nil
			}, pipeline.StageConfig{MaxDemand: 1})
			pipeline.Each(b.Branch("fast", pipeline.BranchConfig{}), fast.add, stepConfig{})
			done := started(t, p)
			synctest.Wait()
			if n := len(fast.all()); overflow == pipeline.Pause && (n < 1000 || n > 2100) || overflow != pipeline.Pause && n != 3000 {
				t.Errorf("%v: the fast one has %d", overflow, n)
			}
			close(gate)
			drained(t, p, done)
			if n := len(slow.all()); overflow == pipeline.Pause && n != 3000 || overflow != pipeline.Pause && n != least {
				t.Errorf("%v: the slow one has %d", overflow, n)
			}
			dropped := 0
			for _, end := range f.ends() {
				if end == receipt.Discarded {
					dropped++
				}
			}
			if dropped != 3000-len(slow.all()) {
				t.Errorf("%v: %d dropped", overflow, dropped)
			}
		})
	}
}
