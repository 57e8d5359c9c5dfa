package stage_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// Subscribing and cancelling work before the start, between, and after the end.
func TestSubscribeAndCancelAtAnyTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		temporary := stage.SubscribeConfig{Cancel: stage.Temporary}
		src, dst := &source{}, newSink()
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		early := subscribe(t, c, p, temporary)
		early.Cancel(errOops)
		start(t, c)
		start(t, p)
		if !errors.Is(early.Err(), errOops) {
			t.Fatal(early.Err())
		}
		equal(t, "subscriptions", len(snap(t, p).Subscriptions)+len(snap(t, c).Subscriptions), 0)
		equal(t, "subscribed", len(src.subs), 0)
		orphan := subscribe(t, c, p, temporary)
		p.Stop(nil)
		synctest.Wait()
		if !errors.Is(orphan.Err(), stage.ErrStopped) {
			t.Fatal(orphan.Err())
		}
		orphan.Cancel(nil)
		late := subscribe(t, c, p, temporary)
		late.Cancel(nil)
		late.Cancel(nil)
		synctest.Wait()
		if late.Err() == nil {
			t.Fatal("subscribed to a producer that has stopped")
		}
		lives(t, c)
		c.Stop(nil)
		synctest.Wait()
		late.Cancel(nil)
	})
}

// No goroutine survives, however often.
func TestTenThousandLives(t *testing.T) {
	before := runtime.NumGoroutine()
	for i := range 10_000 {
		limit := i%3 + 1
		p, c := producer(&source{counting: true, limit: limit}, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		subscribe(t, c, p, four)
		ctx, cancel := context.WithCancel(context.Background())
		switch i % 4 {
		case 1:
			cancel()
		case 2:
			p.Stop(nil)
		}
		_ = stage.Run(ctx, p, c)
		cancel()
		if !stopped(p) || !stopped(c) {
			t.Fatalf("cycle %d: a stage runs on", i)
		}
	}
	// Those that are just ending may be on threads that the system does not run for a while.
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before+2; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// Stop and Start, Drain, Do and Snapshot race without harm.
func TestLifeCycleRaces(t *testing.T) {
	for range 500 {
		p, c := producer(&source{counting: true}, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		subscribe(t, c, p, four)
		var wg sync.WaitGroup
		for _, f := range []func(){
			func() { _ = p.Start(context.Background()) },
			func() { _ = c.Start(context.Background()) },
			func() { p.Stop(nil) },
			func() { c.Drain() },
			func() { p.Do(func() {}) },
			func() { _, _ = c.Subscribe(p, four) },
			func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				_, _ = p.Snapshot(ctx)
			},
		} {
			wg.Go(f)
		}
		wg.Wait()
		p.Stop(nil)
		c.Stop(nil)
		<-p.Stopped()
		<-c.Stopped()
	}
}

// A stage that stops in the middle of a round still replies to the rest of the
// mail.
func TestNobodyWaitsForAStageThatStops(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &source{}
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		start(t, p, c)
		release, did := make(chan struct{}), false
		src.onInfo = func(msg any) error {
			if msg == "block" {
				<-release
				return nil
			}
			return errOops
		}
		src.self.Send("block")
		synctest.Wait()
		src.self.Send("fail")
		sub := subscribe(t, c, p, stage.SubscribeConfig{Cancel: stage.Temporary})
		p.Do(func() { did = true })
		synctest.Wait()
		close(release)
		synctest.Wait()
		died(t, p, errOops)
		if !errors.Is(sub.Err(), errOops) || !did {
			t.Fatal(sub.Err(), did)
		}
	})
}
