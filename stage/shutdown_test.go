package stage_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// run runs a pipeline in the background and returns a channel with its error.
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

func TestHungHandler(t *testing.T) {
	for _, how := range []string{"drain", "stop"} {
		bubble(t, func(t *testing.T) {
			src, dst := &source{}, newSink()
			release := make(chan struct{})
			dst.onEvents = func(context.Context, []int) error { <-release; return nil }
			p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
			subscribe(t, c, p, four)
			line := stage.Must(stage.NewPipeline(stage.PipelineConfig{DrainTimeout: 3 * time.Second, StopTimeout: time.Second}, p, c))
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
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{KeepRunning: true}, p, a, b))
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
		for _, r := range src.receipts {
			for seq := range r.Seqs() {
				if want := seq < 15; (r.Outcome == receipt.Done) != want {
					t.Fatalf("event %d: %v", seq, r.Outcome)
				}
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
