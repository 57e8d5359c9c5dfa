package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/metrics/metricstest"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// Never more workers than MaxDemand, every event exactly once, one receipt for
// each: for random demands, durations and failures.
func TestSupervisorConservation(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for round := range 40 {
		rnd := rand.New(rand.NewPCG(seed, uint64(round)))
		most := 1 + rnd.IntN(40)
		cfg := config{
			MaxDemand: most, MinDemand: rnd.IntN(most), Restart: consumer.Restart(rnd.IntN(2)), Retry: retry.Policy{MaxAttempts: 1 + rnd.IntN(3), Backoff: retry.NoPause},
		}
		if rnd.IntN(2) == 0 {
			cfg.Timeout = time.Hour
		}
		const n = 2000
		how := make([]int, n)
		for i := range how {
			how[i] = rnd.IntN(20)
		}
		var now, peak, failed atomic.Int64
		var done log
		cfg.Failed = func(int, error) { failed.Add(1) }
		pool := stage.Must(consumer.NewSupervisor(func(ctx context.Context, v int) error {
			for at := now.Add(1); ; {
				before := peak.Load()
				if at <= before || peak.CompareAndSwap(before, at) {
					break
				}
			}
			defer now.Add(-1)
			switch how[v] {
			case 0:
				return errOops
			case 1:
				panic(errOops)
			case 2:
				runtime.Goexit()
			case 3:
				return stage.Discard(receipt.Expired)
			case 4, 5, 6:
				if d, ok := consumer.Defer(ctx); ok {
					go d.Finish(nil)
				} else {
					t.Error("not deferred")
				}
			case 7, 8, 9:
				runtime.Gosched()
			}
			done.add(v)
			return nil
		}, cfg))
		src := &tracked{counter{limit: n}}
		if err := run(t, src, pool, stage.SubscribeConfig{}); err != nil {
			t.Fatal(round, err)
		}
		if peak.Load() > int64(most) {
			t.Errorf("round %d: %d workers at once, at most %d allowed", round, peak.Load(), most)
		}
		outcomes := src.outcomes(t)
		var handled []int
		failures := 0
		for v := range n {
			want := receipt.Done
			switch {
			case how[v] < 3:
				want = receipt.Failed
				failures++
			case how[v] == 3:
				want = receipt.Discarded
			default:
				handled = append(handled, v)
			}
			if got, ok := outcomes[v]; !ok || got != want {
				t.Fatalf("round %d: event %d: %v %v, want %v", round, v, got, ok, want)
			}
		}
		if !slices.Equal(done.sorted(), handled) || int(failed.Load()) != failures {
			t.Errorf("round %d: handled %d of %d, failed %d of %d", round, len(done.all()), len(handled), failed.Load(), failures)
		}
		restarts := 0
		if cfg.Restart == consumer.Transient {
			restarts = failures * (cfg.Retry.MaxAttempts - 1)
		}
		if s := pool.Snapshot(); !reflect.DeepEqual(s, (consumer.SupervisorSnapshot{Failed: int64(failures), Restarts: int64(restarts)})) {
			t.Errorf("round %d: %+v", round, s)
		}
	}
}

// The receipt and the slot of an event never wait for the end of another one.
func TestSupervisorReceiptsDoNotWait(t *testing.T) {
	for _, procs := range []int{1, 2} {
		t.Run(fmt.Sprint(procs), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			synctest.Test(t, func(t *testing.T) {
				const pairs = 300
				src := &tracked{counter{limit: 2 * pairs}}
				even := make([]chan struct{}, pairs)
				for i := range even {
					even[i] = make(chan struct{})
				}
				receipted := func(r stage.Receipt) {
					for seq := range r.Seqs() {
						if seq%2 == 0 {
							close(even[seq/2])
						}
					}
				}
				pool := stage.Must(consumer.NewSupervisor(func(_ context.Context, v int) error {
					if v%2 == 1 {
						<-even[v/2] // or synctest reports a deadlock
					}
					return nil
				}, config{MaxDemand: 2, MinDemand: 1}))
				if err := run(t, &told{src, receipted}, pool, stage.SubscribeConfig{}); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// told is a source that passes its receipts on.
type told struct {
	*tracked
	f func(stage.Receipt)
}

func (s *told) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	for _, r := range receipts {
		s.f(r)
	}
	return nil
}

// Freed slots are asked for in groups of MinDemand.
func TestSupervisorAsksInLots(t *testing.T) {
	for _, tc := range []struct {
		least int
		want  []int // demands, as five, then five more workers end one by one
	}{
		{0, []int{10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		{2, []int{10, 2, 2, 2, 2, 2}},
		{5, []int{10, 5, 5}},
		{8, []int{10, 8}},
		{9, []int{10, 9}},
	} {
		synctest.Test(t, func(t *testing.T) {
			src := &tracked{}
			gate := make(chan struct{})
			pool := stage.Must(consumer.NewSupervisor(func(context.Context, int) error { <-gate; return nil },
				config{MaxDemand: 10, MinDemand: tc.least}))
			r := start(t, src, pool, stage.SubscribeConfig{})
			synctest.Wait()
			for range 10 {
				gate <- struct{}{}
				synctest.Wait()
			}
			if got := src.asked(); !slices.Equal(got, tc.want) {
				t.Errorf("min %d: %v, want %v", tc.least, got, tc.want)
			}
			close(gate)
			r.stop()
		})
	}
}

// A drain lets workers finish, which gives all receipts.
func TestSupervisorDrainWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &tracked{}
		var cancelled atomic.Bool
		pool := stage.Must(consumer.NewSupervisor(func(ctx context.Context, v int) error {
			<-time.After(time.Duration(v+1) * time.Second)
			if ctx.Err() != nil {
				cancelled.Store(true)
			}
			return nil
		}, config{MaxDemand: 5, MinDemand: 4}))
		ctx, cancel := context.WithCancel(t.Context())
		source := stage.Must(stage.NewProducer(src, stage.ProducerConfig[int]{}))
		sink := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{}))
		sink.Subscribe(source, stage.SubscribeConfig{})
		ended := make(chan error)
		go func() { ended <- stage.Run(ctx, source, sink) }()
		synctest.Wait()
		begun := time.Now()
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begun); d != 5*time.Second || cancelled.Load() {
			t.Error(d, cancelled.Load())
		}
		if got := src.outcomes(t); len(got) != 5 || got[4] != receipt.Done {
			t.Error(got)
		}
	})
}

// A stop cancels the workers, waits for them, and gives no receipt for what was
// not finished: it is abandoned, or another consumer gets it, in order and once.
func TestSupervisorStopGivesNoReceipt(t *testing.T) {
	for _, redeliver := range []bool{false, true} {
		t.Run(fmt.Sprint("redeliver=", redeliver), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &tracked{counter{limit: 7}}
				var causes atomic.Int64
				pool := stage.Must(consumer.NewSupervisor(func(ctx context.Context, v int) error {
					if v%2 == 0 {
						return nil
					}
					<-ctx.Done()
					if context.Cause(ctx) == errOops {
						causes.Add(1)
					}
					return ctx.Err()
				}, config{MaxDemand: 6, MinDemand: 5}))
				r := start(t, src, pool, stage.SubscribeConfig{Redeliver: redeliver})
				synctest.Wait()
				r.sink.Stop(errOops)
				<-r.sink.Stopped()
				if causes.Load() != 3 {
					t.Error("workers told the cause:", causes.Load())
				}
				synctest.Wait()
				if s := pool.Snapshot(); !reflect.DeepEqual(s, (consumer.SupervisorSnapshot{})) {
					t.Errorf("%+v", s)
				}
				var again log
				second := stage.Must(stage.NewConsumer(stage.Must(consumer.ForEach(func(_ context.Context, v int) error {
					again.add(v)
					return nil
				})), stage.ConsumerConfig{}))
				second.Subscribe(r.src, stage.SubscribeConfig{})
				second.Start(t.Context())
				<-r.src.Stopped()
				<-second.Stopped()
				want, outcome := []int{6}, receipt.Abandoned
				if redeliver {
					want, outcome = []int{1, 3, 5, 6}, receipt.Done
				}
				if got := again.all(); !slices.Equal(got, want) {
					t.Error(got, want)
				}
				for v, got := range src.outcomes(t) {
					if v%2 == 0 && got != receipt.Done || v%2 == 1 && got != outcome {
						t.Error(v, got)
					}
				}
			})
		})
	}
}

// A stop waits for workers that do not listen, but not longer than
// ShutdownTimeout.
func TestSupervisorStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		pool := stage.Must(consumer.NewSupervisor(func(context.Context, int) error { <-hold; return nil },
			config{MaxDemand: 3, ShutdownTimeout: 2 * time.Second}))
		r := start(t, &tracked{}, pool, stage.SubscribeConfig{})
		synctest.Wait()
		begun := time.Now()
		r.sink.Stop(nil)
		<-r.sink.Stopped()
		if d := time.Since(begun); d != 2*time.Second {
			t.Error(d)
		}
		if err := r.sink.Err(); !errors.Is(err, stage.ErrHung) || !strings.Contains(err.Error(), "3 workers") {
			t.Errorf("the stage ended with %v, want it to name 3 workers that hang", err)
		}
		close(hold) // what they return now is ignored
		r.stop()
	})
}

// The order of a key is kept through the pool if the dispatcher has one event of
// it under way at a time.
func TestSupervisorKeepsTheOrderOfKeys(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	const n = 20_000
	keys := make([]int, n)
	for i := range keys {
		keys[i] = rnd.IntN(1 + rnd.IntN(20))
	}
	var mu sync.Mutex
	last := make(map[int]int)
	busy := make(map[int]bool)
	pool := stage.Must(consumer.NewSupervisor(func(ctx context.Context, v int) error {
		key := keys[v]
		mu.Lock()
		if busy[key] || v < last[key] {
			t.Errorf("key %d: %d after %d, another one busy: %v", key, v, last[key], busy[key])
		}
		busy[key], last[key] = true, v
		mu.Unlock()
		if v%3 == 0 {
			runtime.Gosched()
		}
		end := func() {
			mu.Lock()
			busy[key] = false
			mu.Unlock()
		}
		if v%7 == 0 {
			d, _ := consumer.Defer(ctx)
			go func() { end(); d.Finish(nil) }()
			return nil
		}
		end()
		return nil
	}, config{MaxDemand: 8}))
	src := stage.Must(stage.NewProducer(&counter{limit: n}, stage.ProducerConfig[int]{
		Dispatcher: &capped{key: func(v int) int { return keys[v] }, busy: make(map[int]bool)},
	}))
	sink := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{}))
	sink.Subscribe(src, stage.SubscribeConfig{})
	if err := stage.Run(t.Context(), src, sink); err != nil {
		t.Fatal(err)
	}
	total := 0
	for range last {
		total++
	}
	snap, _ := sink.Snapshot(t.Context())
	if total == 0 || snap.Handled != n {
		t.Error(total, snap.Handled)
	}
}

// capped is a dispatcher that holds up to 50 events and has at most one of each
// key under way.
type capped struct {
	key   func(int) int
	held  []heldEvent
	busy  map[int]bool
	asked map[int]int
}

type heldEvent struct {
	event int
	seq   uint64
}

func (d *capped) Subscribe(sub int, _ dispatcher.SubscribeConfig) error {
	if d.asked == nil {
		d.asked = make(map[int]int)
	}
	return nil
}
func (d *capped) Ask(sub, n int) { d.asked[sub] += n }
func (d *capped) Cancel(sub int) { delete(d.asked, sub) }
func (d *capped) Demand() int    { return 50 - len(d.held) }
func (d *capped) Held() int      { return len(d.held) }

func (d *capped) DiscardHeld(out dispatcher.Out[int], reason receipt.Reason) {
	for _, h := range d.held {
		out.Discard(h.event, h.seq, reason)
	}
	d.held = nil
}

func (d *capped) Dispatch(offer dispatcher.Offer[int], out dispatcher.Out[int]) int {
	taken := min(len(offer.Events), d.Demand())
	for i, v := range offer.Events[:taken] {
		d.held = append(d.held, heldEvent{v, offer.First + uint64(i)})
	}
	for sub := range d.asked {
		d.held = slices.DeleteFunc(d.held, func(h heldEvent) bool {
			key := d.key(h.event)
			if d.asked[sub] == 0 || d.busy[key] {
				return false
			}
			d.asked[sub]--
			d.busy[key] = true
			out.GiveHeld(sub, h.event, h.seq, uint64(key))
			return true
		})
	}
	return taken
}

func (d *capped) Receipts(_ int64, receipts []dispatcher.Receipt[int]) {
	for _, r := range receipts {
		d.busy[int(r.Ticket)] = false
	}
}

func TestSupervisorMeasuresWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := metricstest.New()
		pool := stage.Must(consumer.NewSupervisor(func(context.Context, int) error {
			<-time.After(time.Second)
			return nil
		}, config{MaxDemand: 2, Metrics: rec}))
		if err := run(t, &counter{limit: 3}, pool, stage.SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		if got := rec.Durations("pipeline.worker.process_time"); !slices.Equal(got, []time.Duration{time.Second, time.Second, time.Second}) {
			t.Error(got)
		}
	})
}

func TestSupervisorAllocatesNothing(t *testing.T) {
	for name, src := range map[string]stage.Producer[int]{
		"plain":   &counter{limit: 200_000},
		"tracked": &told{&tracked{counter{limit: 200_000}}, func(stage.Receipt) {}},
	} {
		t.Run(name, func(t *testing.T) {
			pool := stage.Must(consumer.NewSupervisor(func(context.Context, int) error { return nil }, config{MaxDemand: 100, MinDemand: 50}))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begun := time.Now()
			if err := run(t, src, pool, stage.SubscribeConfig{}); err != nil {
				t.Fatal(err)
			}
			took := time.Since(begun)
			runtime.ReadMemStats(&after)
			allocs := after.Mallocs - before.Mallocs
			t.Logf("%.1f M events/s, %d allocations for 200000 events", 0.2/took.Seconds(), allocs)
			if allocs > 2000 && !raceEnabled {
				t.Errorf("%d allocations for 200000 events", allocs)
			}
		})
	}
}
