package pipeline_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/retry"
)

const (
	outageKeys   = 100
	outageLength = 30 * time.Second
	largestPause = time.Second
)

var (
	errDown = errors.New("connection refused")
	// patient is the policy of steps that wait for what is behind them.
	patient = retry.Policy{MaxAttempts: retry.Unlimited, Backoff: 100 * time.Millisecond, MaxBackoff: largestPause}
)

// target is what steps write to: it takes a while for each call, and refuses at once
// while it is down.
type target struct {
	takes time.Duration
	// hit reports whether an event needs what is down. nil is all of them.
	hit func(v int) bool
	to  *order

	down     atomic.Bool
	attempts atomic.Int64 // while it was down, of those that were hit
	mu       sync.Mutex
	first    time.Time // when an event that is hit was handled after the outage
}

func (d *target) refuses(v int) bool {
	if !d.down.Load() || d.hit != nil && !d.hit(v) {
		return false
	}
	d.attempts.Add(1)
	return true
}

func (d *target) write(_ context.Context, v int) error {
	if d.refuses(v) {
		return errDown
	}
	time.Sleep(d.takes)
	d.handled(v)
	return nil
}

// attempt is write without taking time, and without what is written.
func (d *target) attempt(_ context.Context, v int) (int, error) {
	if d.refuses(v) {
		return 0, errDown
	}
	return v, nil
}

// store is what follows an attempt, and never down.
func (d *target) store(_ context.Context, v int) error {
	time.Sleep(d.takes)
	d.handled(v)
	return nil
}

func (d *target) writeAll(_ context.Context, events []int) error {
	if d.refuses(events[0]) {
		return errDown
	}
	time.Sleep(d.takes)
	for _, v := range events {
		d.handled(v)
	}
	return nil
}

func (d *target) handled(v int) {
	d.to.note(v)
	if d.hit == nil || d.hit(v) {
		d.mu.Lock()
		if d.first.IsZero() {
			d.first = time.Now()
		}
		d.mu.Unlock()
	}
}

// up ends the outage and returns when that was.
func (d *target) up() time.Time {
	d.mu.Lock()
	d.first = time.Time{}
	d.mu.Unlock()
	d.down.Store(false)
	return time.Now()
}

// back returns how long after the moment the first event that is hit was handled.
func (d *target) back(since time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.first.IsZero() {
		return time.Hour
	}
	return d.first.Sub(since)
}

// outage is a shape of a pipeline whose end is down for a while.
type outage struct {
	name  string
	rate  float64
	takes time.Duration
	hit   func(v int) bool
	// build adds the steps after the source. others counts what goes on elsewhere.
	build func(p *pipeline.Pipeline, in *pipeline.Flow[int], d *target, others *atomic.Int64)
	// attempts bounds those in the outage.
	attempts int
	// keep is the part of the throughput of those that are not hit that must remain.
	keep float64
	// pause is the largest one.
	pause time.Duration
}

// bad reports whether an event belongs to one of the ten keys whose target is down.
func bad(v int) bool { return keyOf(v, outageKeys) < 10 }

func keyName(v int) string { return strconv.Itoa(keyOf(v, outageKeys)) }

// tries is the number of attempts at one event in the outage: after pauses of 100, 200,
// 400 and 800 ms one a second, all of them up to a fifth shorter.
const tries = 5 + int(outageLength/largestPause*5/4)

var outages = []outage{
	{"a step with workers by key, ten keys of a hundred", 2000, time.Millisecond, bad, func(_ *pipeline.Pipeline, in *pipeline.Flow[int], d *target, others *atomic.Int64) {
		pipeline.Each(in, func(ctx context.Context, v int) error {
			err := d.write(ctx, v)
			if !d.hit(v) {
				others.Add(1)
			}
			return err
		}, stepConfig{Name: "end", Workers: 8, Key: keyName, Retry: patient})
	}, 10 * tries, 0.99, largestPause},
	{"a step with workers by key, all keys", 0, 10 * time.Millisecond, nil, func(_ *pipeline.Pipeline, in *pipeline.Flow[int], d *target, _ *atomic.Int64) {
		pipeline.Each(in, d.write, stepConfig{Name: "end", Workers: 8, Key: keyName, Retry: patient})
	}, outageKeys * tries, 0, largestPause},
	{"a step in order", 0, 10 * time.Millisecond, nil, func(_ *pipeline.Pipeline, in *pipeline.Flow[int], d *target, _ *atomic.Int64) {
		out := pipeline.Map(in, d.attempt, stepConfig{Name: "map", Workers: 8, Retry: patient, MaxHeld: 2000})
		pipeline.Each(out, d.store, stepConfig{Retry: patient})
	}, 3000 * tries, 0, largestPause},
	{"a step in order, by default", 0, time.Millisecond, nil, func(_ *pipeline.Pipeline, in *pipeline.Flow[int], d *target, _ *atomic.Int64) {
		out := pipeline.Map(in, d.attempt, stepConfig{Name: "map", Workers: 8, Retry: retry.Policy{MaxAttempts: retry.Unlimited}})
		pipeline.Each(out, d.store, stepConfig{})
	}, (pipeline.DefaultMaxHeld + pipeline.DefaultWindow) * 11, 0, retry.DefaultMaxBackoff},
	{"batches", 0, 10 * time.Millisecond, nil, func(_ *pipeline.Pipeline, in *pipeline.Flow[int], d *target, _ *atomic.Int64) {
		pipeline.EachBatch(in, d.writeAll, pipeline.BatchConfig[int]{Name: "end", Size: 500, Timeout: 200 * time.Millisecond, Retry: patient})
	}, tries, 0, largestPause},
	{"tenants behind fair, one of ten", 2000, time.Millisecond, bad, func(_ *pipeline.Pipeline, in *pipeline.Flow[int], d *target, others *atomic.Int64) {
		tenant := func(v int) string { return strconv.Itoa(keyOf(v, outageKeys) / 10) }
		shared := pipeline.Fair(in, func(v int) int { return keyOf(v, outageKeys) }, fair.Config[int]{Tenant: tenant})
		pipeline.Each(shared, func(ctx context.Context, v int) error {
			err := d.write(ctx, v)
			if !d.hit(v) {
				others.Add(1)
			}
			return err
		}, stepConfig{Name: "end", Workers: 8, Unordered: true, Retry: patient})
	}, 10 * tries, 0.99, largestPause},
	{"a branch", 1000, time.Millisecond, nil, func(_ *pipeline.Pipeline, in *pipeline.Flow[int], d *target, others *atomic.Int64) {
		b := pipeline.Broadcast(in)
		pipeline.EachBatch(b.Branch("database", pipeline.BranchConfig{Buffer: 50_000}), d.writeAll,
			pipeline.BatchConfig[int]{Name: "end", Size: 500, Timeout: 200 * time.Millisecond, Retry: patient})
		pipeline.Each(b.Branch("other", pipeline.BranchConfig{}), func(context.Context, int) error {
			others.Add(1)
			return nil
		}, stepConfig{Name: "other-end"})
	}, tries, 0.99, largestPause},
}

// TestHoldAnOutage has the target down for 30 s at full load: nothing is lost, the order is
// kept, there are few attempts, others go on, and it is back within one pause.
func TestHoldAnOutage(t *testing.T) {
	for _, tc := range outages {
		t.Run(tc.name, func(t *testing.T) {
			if testing.Short() && tc.attempts > 500_000 {
				t.Skip("a million attempts; the same shape has been tested with fewer")
			}
			synctest.Test(t, func(t *testing.T) { holdOutage(t, tc) })
		})
	}
}

func holdOutage(t *testing.T, tc outage) {
	p := pipeline.New(pipeline.Config{Logger: quiet, DrainTimeout: time.Hour, Rate: pipeline.Rate{PerSecond: tc.rate}})
	source := &torrent{}
	d := &target{takes: tc.takes, hit: tc.hit, to: newOrder(outageKeys)}
	var others atomic.Int64
	tc.build(p, pipeline.From(p, source, sourceConfig{Name: "source"}), d, &others)
	done := started(t, p)
	time.Sleep(5 * time.Second)
	before := others.Load()
	time.Sleep(5 * time.Second)
	before = others.Load() - before

	d.down.Store(true)
	used, real := cpu(t), others.Load()
	time.Sleep(outageLength)
	during := others.Load() - real
	used = cpu(t) - used
	attempts := d.attempts.Load()
	begun := d.up()
	time.Sleep(2 * retry.DefaultMaxBackoff)
	back := d.back(begun)
	time.Sleep(10 * time.Second)
	drained(t, p, done)

	t.Logf("%d attempts, %v of processor time, others %d in 5 s before and %d in 30 s, back after %v, %d events",
		attempts, used, before, during, back, source.emitted())
	source.finished(t)
	d.to.check(t, source.emitted())
	if attempts > int64(tc.attempts) || attempts == 0 {
		t.Errorf("%d attempts in the outage, want at most %d", attempts, tc.attempts)
	}
	if float64(during) < tc.keep*float64(before)*float64(outageLength/(5*time.Second)) {
		t.Errorf("others had %d events in 5 s before and %d in 30 s during the outage", before, during)
	}
	if back > tc.pause {
		t.Errorf("back %v after the outage, want at most %v", back, tc.pause)
	}
	if !raceOn && used > outageLength/20 {
		t.Errorf("%v of processor time in %v", used, outageLength)
	}
}

// TestHoldAnOutageInRealTime measures the processor time of the process while everything
// fails, for a few seconds of each shape.
func TestHoldAnOutageInRealTime(t *testing.T) {
	if os.Getenv("PENSTOCK_LONG") == "" {
		t.Skip("takes a minute; set PENSTOCK_LONG")
	}
	for _, tc := range outages {
		if tc.keep > 0 {
			continue // others work meanwhile
		}
		t.Run(tc.name, func(t *testing.T) {
			p := pipeline.New(pipeline.Config{Logger: quiet})
			d := &target{takes: tc.takes, to: newOrder(outageKeys)}
			d.down.Store(true)
			var others atomic.Int64
			tc.build(p, pipeline.From(p, &torrent{}, sourceConfig{}), d, &others)
			done := started(t, p)
			time.Sleep(2 * time.Second) // for what is taken in at first
			used, attempts := cpu(t), d.attempts.Load()
			time.Sleep(10 * time.Second)
			used, attempts = cpu(t)-used, d.attempts.Load()-attempts
			p.Stop(nil)
			<-done
			t.Logf("%v of processor time in 10 s, %d attempts", used, attempts)
			if !raceOn && used > 500*time.Millisecond {
				t.Errorf("%v of processor time in 10 s", used)
			}
		})
	}
}
