package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/pipeline/pipelinetest"
	"github.com/penstock-go/penstock/retry"
)

// gathering are the three steps that gather events into batches.
var gathering = map[string]func(in *pipeline.Flow[int], l *batchLog, cfg batchConfig){
	"Batch": func(in *pipeline.Flow[int], l *batchLog, cfg batchConfig) {
		pipeline.Each(pipeline.Batch(in, cfg), l.add, batchesConfig{})
	},
	"EachBatch": func(in *pipeline.Flow[int], l *batchLog, cfg batchConfig) { pipeline.EachBatch(in, l.add, cfg) },
	"MapBatch": func(in *pipeline.Flow[int], l *batchLog, cfg batchConfig) {
		pipeline.Each(pipeline.MapBatch(in, func(ctx context.Context, events []int) ([]int, error) {
			return events, l.add(ctx, events)
		}, cfg), none, stepConfig{})
	},
}

// seen returns the sizes of the batches.
func (l *batchLog) seen() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.sizes)
}

// taken returns how many events were taken from the feed.
func (f *feed) taken() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.emitted)
}

// eachGathering runs a test for each of them in virtual time.
func eachGathering(t *testing.T, f func(t *testing.T, add func(in *pipeline.Flow[int], l *batchLog, cfg batchConfig))) {
	for name, add := range gathering {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t, add) }) })
	}
}

// The zero value is batches of 100 events, or of what has come within a second of the first.
func TestZeroBatchConfigIsAHundredEventsOrASecond(t *testing.T) {
	eachGathering(t, func(t *testing.T, add func(*pipeline.Flow[int], *batchLog, batchConfig)) {
		p, f, l := pipeline.New(pipeline.Config{Logger: quiet}), newFeed(upTo(250)...), newBatchLog()
		add(pipeline.From(p, f, sourceConfig{}), l, batchConfig{})
		done := started(t, p)
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		if got := fmt.Sprint(l.seen()); got != "[100 100]" {
			t.Errorf("before a second: %s", got)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if got := fmt.Sprint(l.seen()); got != "[100 100 50]" || !strings.HasPrefix(l.times()[strings.LastIndex(l.times(), "s [")-1:], "1s [") {
			t.Errorf("after a second: %s", got)
		}
		drained(t, p, done)
	})
}

// A batch is passed on at once when the pipeline drains, whatever its Timeout.
func TestDrainPassesOnOpenBatches(t *testing.T) {
	eachGathering(t, func(t *testing.T, add func(*pipeline.Flow[int], *batchLog, batchConfig)) {
		p, f, l := pipeline.New(pipeline.Config{Logger: quiet}), newFeed(upTo(5)...), newBatchLog()
		add(pipeline.From(p, f, sourceConfig{}), l, batchConfig{Timeout: pipeline.NoTimeout, Key: modulo(2)})
		done := started(t, p)
		time.Sleep(time.Hour)
		if l.text() != "" {
			t.Errorf("before the drain: %s", l.text())
		}
		drained(t, p, done)
		if want := "1h0m0s [0 2 4] 1h0m0s [1 3]"; l.times() != want {
			t.Errorf("%s, want %s", l.times(), want)
		}
		f.allDone(t, 5)
	})
}

// By default Window is enough for one batch more than there are workers; with Key it is
// 10,000, or that if it is more.
func TestDefaultWindowOfBatches(t *testing.T) {
	for want, cfg := range map[int]batchConfig{
		20:     {Size: 10},
		40:     {Size: 10, Workers: 3},
		200:    {},
		10_000: {Size: 10, Key: modulo(1)},
		12_000: {Size: 4000, Workers: 2, Key: modulo(1)},
	} {
		synctest.Test(t, func(t *testing.T) {
			p, f, gate := pipeline.New(pipeline.Config{Logger: quiet}), newFeed(upTo(15_000)...), make(chan struct{})
			pipeline.EachBatch(pipeline.From(p, f, sourceConfig{}), func(context.Context, []int) error { <-gate; return nil }, cfg)
			done := started(t, p)
			synctest.Wait()
			if n := f.taken(); n != want {
				t.Errorf("%d events were taken, want %d", n, want)
			}
			close(gate)
			drained(t, p, done)
		})
	}
}

// With several workers batches of one Key are worked on one at a time, those of others
// beside them.
func TestBatchesOfOneKeyAreOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, total, most := map[int]int{}, 0, 0
		begun := time.Now()
		err := write(t, complete(40), func(_ context.Context, events []int) error {
			k := events[0] % 2
			count := func(n int) {
				mu.Lock()
				defer mu.Unlock()
				running[k], total = running[k]+n, total+n
				if most = max(most, total); running[k] > 1 {
					t.Errorf("two batches of key %d at once", k)
				}
			}
			count(1)
			time.Sleep(time.Second)
			count(-1)
			return nil
		}, batchConfig{Size: 5, Workers: 4, Key: modulo(2)})
		if err != nil || most != 2 || time.Since(begun) != 4*time.Second {
			t.Errorf("%v, %d at once, %v", err, most, time.Since(begun))
		}
	})
}

// MaxHeld bounds, beyond Window, the events that wait for a retry or behind one.
func TestMaxHeldOfBatchesBoundsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f := pipeline.New(pipeline.Config{Logger: quiet}), newFeed(upTo(1000)...)
		ready := time.Now().Add(time.Hour)
		pipeline.EachBatch(pipeline.From(p, f, sourceConfig{}), func(context.Context, []int) error {
			if time.Now().Before(ready) {
				return retry.After(errWrite, time.Hour)
			}
			return nil
		}, batchConfig{Size: 10, Window: 30, MaxHeld: 50, Key: modulo(1), Retry: exact(2)})
		done := started(t, p)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := f.taken(); n <= 30 || n > 80 {
			t.Errorf("%d events were taken, want more than Window and at most 80", n)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		drained(t, p, done)
		f.allDone(t, 1000)
	})
}

// An event over which Key, SizeOf or Cut panics has failed. Of MapBatch and EachBatch it has
// a dead letter; of Batch it has none.
func TestDeadLettersOfFunctionsThatGather(t *testing.T) {
	hit := func(v int) {
		if v == failing {
			panic("oops")
		}
	}
	for function, cfg := range map[string]batchConfig{
		"Key":    {Key: func(v int) string { hit(v); return "" }},
		"SizeOf": {SizeOf: func(v int) int { hit(v); return 1 }, Bytes: 100},
		"Cut":    {Cut: func(events []int) bool { hit(events[len(events)-1]); return false }},
	} {
		for name, add := range gathering {
			t.Run(function+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					letters, f, l := new(pipelinetest.Letters), complete(6), newBatchLog()
					p := pipeline.New(pipeline.Config{Logger: quiet, DeadLetters: letters})
					add(pipeline.From(p, f, sourceConfig{}), l, cfg)
					run(t, p)
					f.haveFailed(t, 6, failing)
					want := map[bool]int{true: 0, false: 1}[name == "Batch"]
					if got := letters.All(); len(got) != want || want == 1 && string(got[0].Event) != strconv.Itoa(failing) {
						t.Errorf("%d letters, want %d", len(got), want)
					}
					if l.text() != "[0 1 2 4 5]" {
						t.Error(l.text())
					}
				})
			})
		}
	}
}
