package stage_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// run runs a pipeline in the background and answers where its error comes.
func run(ctx context.Context, p *stage.Pipeline) <-chan error {
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	synctest.Wait()
	return done
}

func TestFiniteSourceEndsAll(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		bubble(t, func(t *testing.T) {
			src, pc, dst := &source{counting: true, limit: 2500}, newPipe(2), newSink()
			p, m, c := producer(src, stage.ProducerConfig[int]{}), between(pc, stage.ProducerConfig[int]{}), consumer(dst, "C")
			subscribePC(t, m, p, stage.SubscribeConfig{MaxDemand: 100})
			subscribe(t, c, m, stage.SubscribeConfig{MaxDemand: 70})
			stages := []stage.Stage{p, m, c}
			if err := stage.Run(t.Context(), stages[order[0]], stages[order[1]], stages[order[2]]); err != nil {
				t.Fatal(err)
			}
			equal(t, "events", dst.events(), doubled(0, 2500))
			equal(t, "ends", [][]error{src.ended, pc.ended, dst.ended}, [][]error{{nil}, {nil}, {nil}})
			snap(t, p)
			snap(t, m)
		})
	}
}

func TestEmptySourceEndsAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := producer(&source{onStart: func(context.Context) error { return stage.ErrDone }}, stage.ProducerConfig[int]{})
		c := consumer(newSink(), "C")
		subscribe(t, c, p, stage.SubscribeConfig{})
		if err := stage.Run(t.Context(), p, c); err != nil {
			t.Fatal(err)
		}
	})
}

// Drain: what was taken in is delivered, nothing more is.
func TestDrainOfACounter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		src, dst := &source{counting: true}, pausing(3)
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribe(t, c, p, stage.SubscribeConfig{MaxDemand: 10})
		done := run(ctx, stage.NewPipeline(stage.PipelineConfig{}, p, c))
		cancel()
		synctest.Wait()
		lives(t, p, c)
		emitted := int(snap(t, p).Emitted)
		close(dst.gate)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		equal(t, "events", dst.events(), upTo(0, emitted))
		equal(t, "cause", dst.ended, []error{nil})
	})
}

// Drain: a source with HandleDrain is asked until it says that it is done.
func TestDrainOfASourceThatRunsDry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		src, dst := &draining{}, newSink()
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribe(t, c, p, four)
		done := run(ctx, stage.NewPipeline(stage.PipelineConfig{}, p, c))
		cancel()
		synctest.Wait()
		lives(t, p, c)
		push(t, p, &src.source, 1, 2, 3, 4)
		equal(t, "demands", src.demands, []int{4, 4})
		src.onInfo = func(any) error { src.emit.EmitAll([]int{5, 6}); return stage.ErrDone }
		src.self.Send("that was all")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		equal(t, "events", dst.events(), upTo(1, 7))
		equal(t, "HandleDrain", src.drained, 1)
	})
}

func TestDrainAndStopAreIdempotent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &draining{}
		p := producer(src, stage.ProducerConfig[int]{})
		start(t, p)
		c := join(t, p, newSink(), four)
		p.Drain()
		p.Drain()
		synctest.Wait()
		equal(t, "HandleDrain", src.drained, 1)
		lives(t, p)
		p.Stop(errOops)
		p.Stop(nil)
		p.Drain()
		synctest.Wait()
		died(t, p, errOops)
		died(t, c, errOops)
		p.Stop(nil)
		p.Drain()
		equal(t, "terminated", len(src.ended), 1)
		if p.Do(func() {}) || p.SetDemand(stage.Forward) {
			t.Fatal("a stopped stage takes orders")
		}
	})
}

// A pipeline that is drained as soon as it runs still delivers what is there.
func TestDrainAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		src, dst := &draining{}, newSink()
		src.onDemand = func(int) error { src.emit.EmitAll([]int{1, 2, 3}); return stage.ErrDone }
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribe(t, c, p, stage.SubscribeConfig{})
		if err := stage.Run(ctx, p, c); err != nil {
			t.Fatal(err)
		}
		equal(t, "events", dst.events(), []int{1, 2, 3})
	})
}

func TestDrainForwardsWhatWasAccumulated(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, dst := &source{}, newSink()
		p := producer(src, stage.ProducerConfig[int]{Demand: stage.Accumulate})
		start(t, p)
		c := join(t, p, dst, stage.SubscribeConfig{})
		push(t, p, src, 1, 2, 3)
		equal(t, "events", len(dst.events()), 0)
		p.Drain()
		synctest.Wait()
		equal(t, "events", dst.events(), []int{1, 2, 3})
		died(t, p, nil)
		died(t, c, nil)
	})
}

// Nobody is left to deliver to: draining does not wait for them.
func TestDrainWithoutSubscribersDiscards(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, p, _ := filled(t, stage.ProducerConfig[int]{}, []int{1, 2})
		begun := time.Now()
		p.Drain()
		synctest.Wait()
		died(t, p, nil)
		equal(t, "discarded", src.discarded, []string{"1 stopped", "2 stopped"})
		equal(t, "took", time.Since(begun), time.Duration(0))
	})
}

// What waits in a partition whose subscriber is gone is given up by a drain,
// and what is behind it is delivered.
func TestDrainGivesUpOrphans(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &acking{}
		var discarded []int
		p := producer(src, stage.ProducerConfig[int]{
			Dispatcher: dispatcher.NewPartition(2, func(v int) (int, bool) { return v % 2, true }, dispatcher.PartitionConfig{Capacity: 2}),
			Discarded:  func(event int, _ dispatcher.Reason) { discarded = append(discarded, event) },
		})
		start(t, p)
		c := newSink()
		cs := join(t, p, c, stage.SubscribeConfig{Partition: 1})
		push(t, p, &src.source, 0, 2, 4, 6, 1, 3)
		equal(t, "events", len(c.events()), 0) // the first two hold up the others
		begun := time.Now()
		p.Drain()
		synctest.Wait()
		died(t, p, nil)
		died(t, cs, nil)
		equal(t, "took", time.Since(begun), time.Duration(0))
		equal(t, "events", c.events(), []int{1, 3})
		equal(t, "discarded", discarded, []int{0, 2, 4, 6})
		equal(t, "receipts", ended(src.receipts), []string{"4 done", "5 done"})
		snap(t, p)
	})
}

// What waits for a slow subscriber is no orphan, and waiting for it is idle.
func TestDrainWaitsForSlowPartitions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, c := &source{}, pausing(1)
		p := producer(src, stage.ProducerConfig[int]{
			Dispatcher: dispatcher.NewPartition(2, func(v int) (int, bool) { return v % 2, true }, dispatcher.PartitionConfig{Capacity: 2}),
		})
		start(t, p)
		join(t, p, newSink(), stage.SubscribeConfig{Partition: 1})
		join(t, p, c, stage.SubscribeConfig{Partition: 0, MaxDemand: 1})
		push(t, p, src, 0, 2, 4, 6, 8)
		p.Drain()
		synctest.Wait()
		lives(t, p)
		close(c.gate)
		synctest.Wait()
		died(t, p, nil)
		equal(t, "events", c.events(), []int{0, 2, 4, 6, 8})
	})
}

func TestDrainTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &draining{} // never done
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		subscribe(t, c, p, four)
		line := stage.NewPipeline(stage.PipelineConfig{DrainTimeout: 3 * time.Second}, p, c)
		done := run(t.Context(), line)
		begun := time.Now()
		line.Drain()
		line.Drain()
		err := <-done
		if !errors.Is(err, stage.ErrDrainTimeout) || errors.Is(err, stage.ErrHung) {
			t.Fatal(err)
		}
		equal(t, "took", time.Since(begun), 3*time.Second)
		died(t, p, stage.ErrDrainTimeout)
	})
}

func TestHungHandler(t *testing.T) {
	for _, how := range []string{"drain", "stop"} {
		bubble(t, func(t *testing.T) {
			src, dst := &source{}, newSink()
			release := make(chan struct{})
			dst.onEvents = func(context.Context, []int) error { <-release; return nil }
			p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
			subscribe(t, c, p, four)
			line := stage.NewPipeline(stage.PipelineConfig{DrainTimeout: 3 * time.Second, StopTimeout: time.Second}, p, c)
			done := run(t.Context(), line)
			push(t, p, src, 1)
			begun := time.Now()
			want := 4 * time.Second
			if how == "stop" {
				line.Stop(nil)
				want = time.Second
			} else {
				line.Drain()
			}
			err := <-done
			if !errors.Is(err, stage.ErrHung) || !strings.Contains(err.Error(), `"C"`) || strings.Contains(err.Error(), `"P"`) {
				t.Fatal(err)
			}
			equal(t, "took", time.Since(begun), want)
			close(release) // its goroutine is the only one that was left
			<-c.Stopped()
		})
	}
}

func TestPipelineRunsOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, c := producer(&source{counting: true, limit: 3}, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		subscribe(t, c, p, four)
		line := stage.NewPipeline(stage.PipelineConfig{}, p, c)
		if err := line.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := line.Run(t.Context()); !errors.Is(err, stage.ErrStarted) {
			t.Fatal(err)
		}
		equal(t, "snapshots", len(line.Snapshot(t.Context())), 2)
	})
}

func TestStoppedBeforeItIsRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, c := producer(&source{}, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		sub := subscribe(t, c, p, four)
		line := stage.NewPipeline(stage.PipelineConfig{}, p, c)
		line.Stop(nil)
		if err := line.Run(t.Context()); !errors.Is(err, stage.ErrStopped) {
			t.Fatal(err)
		}
		if sub.Err() == nil {
			t.Fatal("the subscription waits for a stage that never ran")
		}
	})
}

// One stage fails: the others drain, and the failure is reported once.
func TestFailureDrainsTheOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, dst := &source{counting: true}, newSink()
		dst.onEvents = func(_ context.Context, events []int) error {
			if events[0] >= 20 {
				return errOops
			}
			return nil
		}
		p, m, c := producer(src, stage.ProducerConfig[int]{}), between(newPipe(1), stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribePC(t, m, p, stage.SubscribeConfig{MaxDemand: 10})
		subscribe(t, c, m, stage.SubscribeConfig{MaxDemand: 10, Redeliver: true})
		begun := time.Now()
		err := stage.Run(t.Context(), p, m, c)
		var failure *stage.Error
		if !errors.As(err, &failure) || failure.Stage != "C" || strings.Count(err.Error(), "oops") != 1 {
			t.Fatal(err)
		}
		equal(t, "took", time.Since(begun), time.Duration(0))
	})
}

func TestFailureUpstreamIsReportedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &source{onDemand: func(int) error { return errOops }}
		p, m, c := producer(src, stage.ProducerConfig[int]{}), between(newPipe(1), stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		subscribePC(t, m, p, stage.SubscribeConfig{})
		subscribe(t, c, m, stage.SubscribeConfig{})
		err := stage.Run(t.Context(), c, m, p)
		if !errors.Is(err, errOops) || strings.Count(err.Error(), "oops") != 1 {
			t.Fatal(err)
		}
	})
}

func TestKeepRunning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, bad, good := &source{}, newSink(), newSink()
		bad.onEvents = func(context.Context, []int) error { return errOops }
		p, a, b := producer(src, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()}), consumer(bad, "A"), consumer(good, "B")
		subscribe(t, a, p, four)
		subscribe(t, b, p, four)
		line := stage.NewPipeline(stage.PipelineConfig{KeepRunning: true}, p, a, b)
		done := run(t.Context(), line)
		push(t, p, src, 1)
		push(t, p, src, 2)
		died(t, a, errOops)
		lives(t, p, b)
		equal(t, "events", good.events(), []int{1, 2})
		line.Drain()
		if err := <-done; !errors.Is(err, errOops) {
			t.Fatal(err)
		}
	})
}

// A consumer that wants no more ends its pipeline in good order.
func TestConsumerThatIsDone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, dst := &acking{}, newSink()
		src.counting = true
		dst.onEvents = func(_ context.Context, events []int) error {
			if slices.Contains(events, 12) {
				return stage.ErrDone
			}
			return nil
		}
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribe(t, c, p, stage.SubscribeConfig{MaxDemand: 10})
		if err := stage.Run(t.Context(), p, c); err != nil {
			t.Fatal(err)
		}
		equal(t, "events", dst.events(), upTo(0, 15))
		for i, r := range src.receipts {
			if want := i < 15; (r.Outcome == dispatcher.Done) != want {
				t.Fatalf("receipt %d: %v", i, r)
			}
		}
	})
}

// A producer-consumer that wants no more still delivers what it has emitted.
func TestProducerConsumerThatIsDone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		pc, dst := newPipe(3), newSink()
		pc.after = func(events []int, _ *stage.Emitter[int]) error {
			if slices.Contains(events, 12) {
				return stage.ErrDone
			}
			return nil
		}
		p, m, c := producer(&source{counting: true}, stage.ProducerConfig[int]{}), between(pc, stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribePC(t, m, p, stage.SubscribeConfig{MaxDemand: 10})
		subscribe(t, c, m, stage.SubscribeConfig{MaxDemand: 4})
		if err := stage.Run(t.Context(), p, m, c); err != nil {
			t.Fatal(err)
		}
		equal(t, "events", len(dst.events()), 45)
	})
}

// A start that fails stops what was started before.
func TestStartThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{})
		wrong := producer(&source{}, stage.ProducerConfig[int]{BufferSize: -7})
		c := consumer(newSink(), "C")
		subscribe(t, c, p, four)
		var option *stage.OptionError
		if err := stage.Run(t.Context(), p, wrong, c); !errors.As(err, &option) {
			t.Fatal(err)
		}
		died(t, p, nil)
		died(t, c, nil)
		died(t, wrong, option)
	})
}

// Who waits for a stage with a wrong option is told when it is started.
func TestSubscriberOfAWrongStage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		wrong := producer(&source{}, stage.ProducerConfig[int]{BufferSize: -7})
		c := consumer(newSink(), "C")
		sub := subscribe(t, c, wrong, four)
		start(t, c)
		var option *stage.OptionError
		if err := wrong.Start(t.Context()); !errors.As(err, &option) {
			t.Fatal(err)
		}
		<-sub.Done()
		if !errors.As(sub.Err(), &option) || option.Option != "BufferSize" {
			t.Errorf("the subscription ended with %v", sub.Err())
		}
		<-c.Stopped()
	})
}

func TestWrongSubscriptionFailsTheStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := consumer(newSink(), "C")
		if _, err := c.Subscribe(nil, four); err == nil {
			t.Fatal("subscribed to nothing")
		}
		var none *stage.ProducerStage[int]
		if _, err := c.Subscribe(none, four); err == nil {
			t.Fatal("subscribed to nothing")
		}
		var option *stage.OptionError
		if err := stage.Run(t.Context(), c); !errors.As(err, &option) || option.Option != "Subscribe" {
			t.Fatal(err)
		}
		for _, s := range []stage.Stage{
			stage.NewProducer[int](nil, stage.ProducerConfig[int]{}),
			stage.NewConsumer[int](nil, stage.ConsumerConfig{}),
			stage.NewProducerConsumer[int, int](nil, stage.ProducerConfig[int]{}),
			producer(&source{}, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewPartition[int](0, nil, dispatcher.PartitionConfig{})}),
		} {
			if err := s.Start(t.Context()); err == nil {
				t.Fatalf("%s has started", s.Name())
			}
		}
	})
}

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

// A permanent subscription that ends in good order lets the others go on.
func TestConsumerEndsWithTheLastOfItsProducers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dst := newSink()
		one, two := &source{counting: true, limit: 3}, &source{counting: true, limit: 1000}
		a := producer(one, stage.ProducerConfig[int]{Name: "A"})
		b := producer(two, stage.ProducerConfig[int]{Name: "B", Demand: stage.Accumulate})
		c := consumer(dst, "C")
		subscribe(t, c, a, stage.SubscribeConfig{})
		subscribe(t, c, b, stage.SubscribeConfig{Cancel: stage.Temporary})
		start(t, c, a, b)
		died(t, a, nil)
		lives(t, c)
		b.SetDemand(stage.Forward)
		synctest.Wait()
		died(t, c, nil)
		equal(t, "events", len(dst.events()), 1003)
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
	for range 1000 { // those that are just ending
		if runtime.NumGoroutine() <= before {
			break
		}
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > before+2 {
		t.Fatalf("%d goroutines, %d before", n, before)
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

// A stage that stops in the middle of a round still answers everybody whose
// mail was behind.
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

// An end that is heard of twice is handled once.
func TestEndIsHandledOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		pc, src := newPipe(1), &source{}
		p, m, c := producer(src, stage.ProducerConfig[int]{}), between(pc, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		up := subscribePC(t, m, p, stage.SubscribeConfig{Cancel: stage.Temporary})
		down := subscribe(t, c, m, stage.SubscribeConfig{Manual: true})
		start(t, p, m, c)
		push(t, p, src, 1, 2)
		p.Stop(nil)
		synctest.Wait()
		up.Cancel(errOops) // the producer is dead, the end waits behind the batch
		up.Cancel(errOops)
		synctest.Wait()
		equal(t, "cancels", len(pc.cancels), 0)
		if err := down.Ask(5); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		equal(t, "cancels", pc.cancels, []string{"true " + stage.ErrStopped.Error()})
		lives(t, m)
	})
}

// A drain delivers what can be delivered; what parked keys have is given up then,
// with a reason of its own and no receipt, also where it leaves no room for
// others.
func TestDrainGivesUpParked(t *testing.T) {
	for name, cfg := range map[string]dispatcher.FairConfig[int]{
		"room":      {}, // for all
		"full key":  {MaxEvents: 16, KeyOverflow: dispatcher.PauseOnFullKey},
		"full":      {MaxEvents: 3, KeyMaxEvents: 3, KeyOverflow: dispatcher.PauseOnFullKey, Overflow: dispatcher.PauseSource},
		"rate":      {Rate: dispatcher.Rate{PerSecond: 1}},
		"buffering": {MaxEvents: 8, KeyOverflow: dispatcher.PauseOnFullKey},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src := &acking{}
				var discarded []string
				fair := dispatcher.NewFair(func(v int) int { return v / 10 }, cfg)
				p := producer(src, stage.ProducerConfig[int]{
					Dispatcher: fair, BufferSize: stage.Unlimited,
					Discarded: func(event int, reason dispatcher.Reason) {
						discarded = append(discarded, fmt.Sprint(event, " ", reason))
					},
				})
				c := pausing(1)
				start(t, p)
				p.Do(func() { fair.Park(1) })
				join(t, p, c, four)
				push(t, p, &src.source, 10, 11, 12, 20, 21, 30)
				p.Drain()
				synctest.Wait()
				lives(t, p) // what is in flight may come back
				if name == "room" {
					equal(t, "discarded", len(discarded), 0)
				}
				close(c.gate)
				<-p.Stopped()
				died(t, p, nil)
				got := c.events()
				slices.Sort(got)
				equal(t, "events", got, []int{20, 21, 30})
				equal(t, "discarded", discarded, []string{"10 parked", "11 parked", "12 parked"})
				equal(t, "receipts", len(src.receipts), 3)
				equal(t, "counted", fair.Snapshot().Discarded[dispatcher.Parked], 3)
			})
		})
	}
}

// A stage that was not told to drain waits for Unpark, also when its source has
// ended.
func TestEndedSourceWaitsForUnpark(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, c := &source{}, newSink()
		fair := dispatcher.NewFair(func(v int) int { return v }, dispatcher.FairConfig[int]{})
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: fair})
		start(t, p)
		p.Do(func() { fair.Park(1) })
		join(t, p, c, four)
		push(t, p, src, 1, 2)
		src.onInfo = func(any) error { return stage.ErrDone }
		src.self.Send("end")
		synctest.Wait()
		lives(t, p)
		equal(t, "events", c.events(), []int{2})
		p.Do(func() { fair.Unpark(1) })
		synctest.Wait()
		died(t, p, nil)
		equal(t, "events", c.events(), []int{2, 1})
	})
}

// A source that still has events, and is asked for none since a parked key is in
// the way, gets rid of them in a drain.
func TestDrainGivesUpParkedThatHoldUpTheSource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, c := &draining{}, newSink()
		var discarded []int
		left := []int{10, 11, 20}
		src.onDemand = func(int) error {
			src.emit.Emit(left[0])
			if left = left[1:]; len(left) == 0 {
				return stage.ErrDone
			}
			return nil
		}
		fair := dispatcher.NewFair(func(v int) int { return v / 10 },
			dispatcher.FairConfig[int]{MaxEvents: 8, KeyOverflow: dispatcher.PauseOnFullKey}) // one for each key
		p := producer(src, stage.ProducerConfig[int]{
			Dispatcher: fair,
			Discarded:  func(event int, _ dispatcher.Reason) { discarded = append(discarded, event) },
		})
		p.Do(func() { fair.Park(1) })
		join(t, p, c, four)
		start(t, p)
		synctest.Wait()
		equal(t, "events", len(c.events()), 0)
		p.Drain()
		synctest.Wait()
		died(t, p, nil)
		equal(t, "events", c.events(), []int{20})
		equal(t, "discarded", discarded, []int{10, 11})
	})
}
