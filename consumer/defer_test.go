package consumer_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// deferrer defers every event and keeps the receipts.
type deferrer struct {
	mu    sync.Mutex
	held  map[int]consumer.Deferred
	after func(v int) error
}

func (d *deferrer) work(ctx context.Context, v int) error {
	receipt, ok := consumer.Defer(ctx)
	_, again := consumer.Defer(ctx)
	d.mu.Lock()
	if d.held == nil {
		d.held = make(map[int]consumer.Deferred)
	}
	if ok && !again {
		d.held[v] = receipt
	}
	d.mu.Unlock()
	if d.after != nil {
		return d.after(v)
	}
	return nil
}

func (d *deferrer) finish(v int, err error) {
	d.mu.Lock()
	receipt := d.held[v]
	d.mu.Unlock()
	receipt.Finish(err)
}

func (d *deferrer) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.held)
}

// A worker that defers frees its slot. The receipt comes when Finish is called.
func TestDefer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(deferrer)
		src := &tracked{counter{limit: 10}}
		pool := stage.Must(consumer.NewSupervisor(d.work, config{MaxDemand: 2}))
		r := start(t, src, pool, stage.SubscribeConfig{})
		synctest.Wait()
		if d.count() != 10 || len(src.outcomes(t)) != 0 {
			t.Fatal(d.count(), src.outcomes(t))
		}
		if s := pool.Snapshot(); s.Deferred != 10 || s.Busy != 0 {
			t.Errorf("%+v", s)
		}
		d.finish(7, nil)
		d.finish(3, errOops)
		d.finish(3, nil) // does nothing
		d.finish(5, stage.Discard(receipt.Expired))
		synctest.Wait()
		got := src.outcomes(t)
		if len(got) != 3 || got[7] != receipt.Done || got[3] != receipt.Failed || got[5] != receipt.Discarded {
			t.Error(got)
		}
		select {
		case <-r.sub.Done():
			t.Error("ended with open receipts")
		default:
		}
		for _, v := range []int{9, 8, 6, 4, 2, 1, 0} {
			d.finish(v, nil)
		}
		<-r.sink.Stopped()
		<-r.src.Stopped()
		if len(src.outcomes(t)) != 10 {
			t.Error(src.outcomes(t))
		}
		d.finish(0, nil) // does nothing any more
	})
}

// Never more than MaxDeferred receipts are outstanding, and not fewer slots than
// that allows are used.
func TestDeferIsBounded(t *testing.T) {
	for _, tc := range []struct{ demand, least, bound, want int }{
		{4, 0, 10, 10},
		{4, 3, 10, 10},
		{4, 0, 4, 4},
		{4, 0, 1, 4},
		{10, 5, 25, 25},
	} {
		t.Run(fmt.Sprint(tc), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := new(deferrer)
				src := &tracked{}
				pool := stage.Must(consumer.NewSupervisor(d.work, config{MaxDemand: tc.demand, MinDemand: tc.least, MaxDeferred: tc.bound}))
				start(t, src, pool, stage.SubscribeConfig{})
				for v := range 50 {
					synctest.Wait()
					if s := pool.Snapshot(); s.Deferred > tc.want || s.Deferred <= tc.want-max(1, tc.least) {
						t.Fatalf("after %d: %+v", v, s)
					}
					d.finish(v, nil)
				}
			})
		})
	}
}

// Whatever a worker returns after it has deferred, only the receipt counts.
func TestDeferThenFail(t *testing.T) {
	for name, fail := range fails {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &deferrer{after: func(int) error { return fail.do() }}
				src := &tracked{counter{limit: 3}}
				pool := stage.Must(consumer.NewSupervisor(d.work, config{
					MaxDemand: 1, Failed: func(int, error) { t.Error("Failed") },
				}))
				start(t, src, pool, stage.SubscribeConfig{})
				synctest.Wait()
				if d.count() != 3 || len(src.outcomes(t)) != 0 {
					t.Fatal(d.count(), src.outcomes(t))
				}
				for v := range 3 {
					d.finish(v, nil)
				}
				synctest.Wait()
				if got := src.outcomes(t); len(got) != 3 || got[0] != receipt.Done {
					t.Error(got)
				}
			})
		})
	}
}

func TestDeferOutsideOfAWorker(t *testing.T) {
	if _, ok := consumer.Defer(t.Context()); ok {
		t.Error("deferred")
	}
	var late context.Context
	err := run(t, &counter{limit: 1}, stage.Must(consumer.NewSupervisor(func(ctx context.Context, _ int) error {
		late = ctx
		return nil
	}, config{})), stage.SubscribeConfig{})
	if _, ok := consumer.Defer(late); ok || err != nil {
		t.Error("deferred", err)
	}
}

// A stop gives no receipts for what is deferred, and a late one does nothing.
func TestDeferAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(deferrer)
		src := &tracked{}
		r := start(t, src, stage.Must(consumer.NewSupervisor(d.work, config{MaxDemand: 3, MaxDeferred: 3})), stage.SubscribeConfig{})
		synctest.Wait()
		d.finish(1, nil)
		r.sink.Stop(nil)
		<-r.sink.Stopped()
		synctest.Wait()
		d.finish(0, nil)
		synctest.Wait()
		got := src.outcomes(t)
		if got[1] != receipt.Done || got[0] != receipt.Abandoned || got[2] != receipt.Abandoned {
			t.Error(got)
		}
		r.stop()
	})
}

// Receipts from many goroutines arrive exactly once each.
func TestDeferConcurrently(t *testing.T) {
	const n = 20_000
	src := &tracked{counter{limit: n}}
	var wg sync.WaitGroup
	receipts := make(chan consumer.Deferred, 100)
	for range 4 {
		wg.Go(func() {
			for d := range receipts {
				d.Finish(nil)
			}
		})
	}
	var seen log
	err := run(t, src, stage.Must(consumer.NewSupervisor(func(ctx context.Context, v int) error {
		d, _ := consumer.Defer(ctx)
		seen.add(v)
		receipts <- d
		return nil
	}, config{MaxDemand: 16, MaxDeferred: 50})), stage.SubscribeConfig{})
	close(receipts)
	wg.Wait()
	if err != nil || len(src.outcomes(t)) != n || !slices.Equal(seen.sorted(), ints(0, n)) {
		t.Fatal(err, len(src.outcomes(t)))
	}
}
