package bench

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"slices"
	"testing"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/stage"
)

// BenchmarkFairPause is F11: what waiting keys cost the garbage collector, and
// what that costs the dispatcher, for a thousand and for a million of them. The
// collector runs every few milliseconds beside it. stop-p99-us and
// stop-p99.9-us are how long it stops the world (upper ends of the buckets of
// runtime/metrics), collect-ms is what a collection takes; step-p99.9-us is how
// long a batch of 64 events takes to come in, go out and be finished meanwhile,
// calm-p99.9-us the same without the collector. The last three are mostly other
// people's doing on a shared machine, which is why they stand beside those of a
// thousand keys.
func BenchmarkFairPause(b *testing.B) {
	for _, keys := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) { benchFairPause(b, keys) })
	}
}

func benchFairPause(b *testing.B, keys int) {
	f := stage.Must(fair.New(func(k uint64) uint64 { return k }, fair.Config[uint64]{MaxEvents: 4_000_000, MaxBytes: 1 << 40}))
	if err := f.Subscribe(0, dispatcher.SubscribeConfig{}); err != nil {
		b.Fatal(err)
	}
	out := &fairOut{receipts: make([]dispatcher.Receipt[uint64], 0, fairBatch)}
	events := make([]uint64, fairBatch)
	rng := rand.New(rand.NewPCG(1, 2))
	seq := uint64(1)
	step := func(ask int) time.Duration {
		for i := range events {
			events[i] = rng.Uint64N(uint64(keys))
		}
		begin := time.Now()
		if ask > 0 {
			f.Ask(0, ask)
		}
		seq += uint64(f.Dispatch(dispatcher.Offer[uint64]{Events: events, First: seq}, out))
		f.Receipts(0, out.receipts)
		out.receipts = out.receipts[:0]
		return time.Since(begin)
	}
	for f.Snapshot().Backlogged < keys*9/10 {
		step(0)
	}
	took := make([]time.Duration, 0, 1<<20)
	run := func(d time.Duration) float64 {
		took = took[:0]
		for begin := time.Now(); time.Since(begin) < d && len(took) < cap(took); {
			took = append(took, step(fairBatch))
		}
		slices.Sort(took)
		return float64(took[len(took)*999/1000]) / 1e3
	}
	for b.Loop() {
		calm := run(time.Second)
		before := pauses()
		stop, done := make(chan struct{}), make(chan struct{})
		collections, collecting := 0, time.Duration(0)
		go func() {
			defer close(done)
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					begin := time.Now()
					runtime.GC()
					collecting += time.Since(begin)
					collections++
				}
			}
		}()
		busy := run(4 * time.Second)
		close(stop)
		<-done
		b.ReportMetric(quantileBetween(before, pauses(), 0.99)*1e6, "stop-p99-us")
		b.ReportMetric(quantileBetween(before, pauses(), 0.999)*1e6, "stop-p99.9-us")
		b.ReportMetric(collecting.Seconds()*1e3/float64(collections), "collect-ms")
		b.ReportMetric(busy, "step-p99.9-us")
		b.ReportMetric(calm, "calm-p99.9-us")
	}
}

// pauses are the times for which the collector has stopped the world so far.
func pauses() *metrics.Float64Histogram {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(sample)
	h := sample[0].Value.Float64Histogram()
	return &metrics.Float64Histogram{Counts: slices.Clone(h.Counts), Buckets: h.Buckets}
}

// quantileBetween is the upper end of the bucket with the q-quantile of what
// came after before.
func quantileBetween(before, after *metrics.Float64Histogram, q float64) float64 {
	var total, seen uint64
	for i := range after.Counts {
		total += after.Counts[i] - before.Counts[i]
	}
	for i := range after.Counts {
		if seen += after.Counts[i] - before.Counts[i]; float64(seen) >= q*float64(total) && seen > 0 {
			return after.Buckets[i+1]
		}
	}
	return 0
}
