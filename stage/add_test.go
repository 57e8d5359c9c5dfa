package stage_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/metricstest"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

func add(t *testing.T, line *stage.Pipeline, stages ...stage.Stage) {
	t.Helper()
	if err := line.Add(stages...); err != nil {
		t.Fatal(err)
	}
}

// members are the names in a pipeline's snapshot, in order.
func members(t *testing.T, line *stage.Pipeline) []string {
	t.Helper()
	var names []string
	for _, s := range line.Snapshot(t.Context()).Stages {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return names
}

// Stages that are added while a pipeline runs are started, and drain with the others.
func TestAddedStagesBelongToThePipeline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, one, two := &source{}, newSink(), newSink()
		p, a := producer(src, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()}), consumer(one, "A")
		subscribe(t, a, p, stage.SubscribeConfig{})
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, p))
		add(t, line, a) // before Run
		done := run(t.Context(), line)
		push(t, p, src, 1)
		m, b := between(newPipe(1), stage.ProducerConfig[int]{Name: "M"}), consumer(two, "B")
		subscribePC(t, m, p, stage.SubscribeConfig{})
		subscribe(t, b, m, stage.SubscribeConfig{})
		add(t, line, m, b)
		synctest.Wait()
		push(t, p, src, 2)
		equal(t, "events", [2][]int{one.events(), two.events()}, [2][]int{{1, 2}, {2}})
		equal(t, "members", members(t, line), []string{"A", "B", "M", "P"})
		line.Drain()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		died(t, m, nil)
		died(t, b, nil)
	})
}

// The failure of a stage that was added is one of the pipeline, also in its start.
func TestFailureOfAnAddedStage(t *testing.T) {
	for _, start := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			line, _, p, done := short(t, stage.PipelineConfig{})
			bad := &source{}
			if start {
				bad.onStart = func(context.Context) error { return errOops }
			}
			q := producer(bad, stage.ProducerConfig[int]{Name: "Q"})
			add(t, line, q)
			synctest.Wait()
			if !start {
				q.Do(func() { panic(errOops) })
			}
			if err := <-done; !errors.Is(err, errOops) {
				t.Fatal(err)
			}
			died(t, p, nil)
		})
	}
}

// short runs a source and a consumer.
func short(t *testing.T, cfg stage.PipelineConfig) (*stage.Pipeline, *source, *stage.ProducerStage[int], <-chan error) {
	t.Helper()
	src := &source{}
	p, c := producer(src, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
	subscribe(t, c, p, stage.SubscribeConfig{})
	line := stage.Must(stage.NewPipeline(cfg, p, c))
	done := run(t.Context(), line)
	synctest.Wait()
	return line, src, p, done
}

func TestAddRefuses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		line, _, p, done := short(t, stage.PipelineConfig{})
		other := func(name string) *stage.ProducerConsumerStage[int, int] {
			return between(newPipe(1), stage.ProducerConfig[int]{Name: name})
		}
		refuses := func(want error, stages ...stage.Stage) {
			t.Helper()
			var option *stage.OptionError
			if err := line.Add(stages...); want == nil && !errors.As(err, &option) || want != nil && !errors.Is(err, want) {
				t.Fatal(err)
			}
		}
		refuses(nil, other("C"))
		refuses(nil, other("X"), nil)
		refuses(nil, other("X"), other("X"))
		x, y := other("X"), other("Y")
		subscribePC(t, x, y, stage.SubscribeConfig{})
		subscribePC(t, y, x, stage.SubscribeConfig{})
		refuses(stage.ErrCycle, x, y)
		running := other("X")
		start(t, running)
		refuses(stage.ErrStarted, other("Y"), running)
		equal(t, "members", members(t, line), []string{"C", "P"})
		free := other("Z") // what was refused can be added elsewhere
		refuses(stage.ErrStarted, free, running)
		add(t, line, free)
		running.Stop(nil)
		hold := make(chan struct{})
		p.Do(func() { <-hold })
		line.Drain()
		refuses(stage.ErrDraining, other("W"))
		close(hold)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		refuses(stage.ErrStopped, other("W"))
		refused := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, p))
		if err := refused.Run(t.Context()); !errors.Is(err, stage.ErrStarted) {
			t.Fatal(err)
		}
		line = refused
		refuses(stage.ErrStopped, other("W"))
		line = stage.Must(stage.NewPipeline(stage.PipelineConfig{}, other("V")))
		line.Stop(nil)
		refuses(stage.ErrStopped, other("W"))
	})
}

// restarting is a pipeline of a source, a transform that the program makes anew when it
// fails, and a consumer.
type restarting struct {
	t     *testing.T
	src   *acking
	p     *stage.ProducerStage[int]
	m     *stage.ProducerConsumerStage[int, int]
	h     *pipe
	dst   *sink
	c     *stage.ConsumerStage[int]
	line  *stage.Pipeline
	done  <-chan error
	after time.Duration // until the new transform is added
	calls []string
}

// replace makes a transform and subscribes it.
func (r *restarting) replace() {
	r.h = newPipe(1)
	r.m = between(r.h, stage.ProducerConfig[int]{Name: "M"})
	if _, err := r.m.Subscribe(r.p, stage.SubscribeConfig{Redeliver: true}); err != nil {
		r.t.Error(err)
	}
	if _, err := r.c.Subscribe(r.m, stage.SubscribeConfig{Cancel: stage.Temporary}); err != nil {
		r.t.Error(err)
	}
}

func (r *restarting) failed(s stage.Stage, err error) bool {
	r.calls = append(r.calls, fmt.Sprint(s.Name(), " ", err))
	r.replace()
	again := func() { add(r.t, r.line, r.m) }
	if r.after == 0 {
		again()
	} else {
		time.AfterFunc(r.after, again)
	}
	return true
}

func newRestarting(t *testing.T) *restarting {
	t.Helper()
	r := &restarting{t: t, src: &acking{}, dst: newSink()}
	r.p, r.c = producer(r.src, stage.ProducerConfig[int]{}), consumer(r.dst, "C")
	r.replace()
	r.line = stage.Must(stage.NewPipeline(stage.PipelineConfig{Failed: r.failed}, r.p, r.m, r.c))
	r.done = run(t.Context(), r.line)
	synctest.Wait()
	return r
}

// A transform that dies is replaced while its source and its consumer stay, and loses
// nothing.
func TestTransformIsReplaced(t *testing.T) {
	for _, after := range []time.Duration{0, time.Minute} {
		bubble(t, func(t *testing.T) {
			r := newRestarting(t)
			r.after = after
			push(t, r.p, &r.src.source, 1, 2)
			r.h.onEvents = func(context.Context, []int) error { return errOops }
			push(t, r.p, &r.src.source, 3, 4)
			equal(t, "calls", len(r.calls), 1)
			if after > 0 {
				push(t, r.p, &r.src.source, 5)
				lives(t, r.p, r.c)
				equal(t, "events", r.dst.events(), []int{1, 2})
				time.Sleep(time.Hour)
				synctest.Wait()
				lives(t, r.p, r.c)
			} else {
				push(t, r.p, &r.src.source, 5)
			}
			equal(t, "events", r.dst.events(), []int{1, 2, 3, 4, 5})
			equal(t, "receipts", ended(r.src.receipts), []string{"0 done", "1 done", "2 done", "3 done", "4 done"})
			equal(t, "members", members(t, r.line), []string{"C", "M", "P"})
			r.line.Drain()
			if err := <-r.done; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Nothing is lost over many replacements at any moment, with a source that needs a receipt
// for each event.
func TestManyReplacements(t *testing.T) {
	const n = 20_000
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	src, dst := &acking{source{counting: true, limit: n}}, newSink()
	src.next = 0
	p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
	var line *stage.Pipeline
	lives := 0
	replace := func() *stage.ProducerConsumerStage[int, int] {
		lives++
		until := 60 + random.IntN(2000) // a second failure over the same events would abandon them
		h := newPipe(1)
		h.onEvents = func(_ context.Context, events []int) error {
			h.batches = nil
			if until -= len(events); until < 0 {
				return errOops
			}
			return nil
		}
		m := between(h, stage.ProducerConfig[int]{Name: "M"})
		subscribePC(t, m, p, stage.SubscribeConfig{MaxDemand: 20, Redeliver: true})
		subscribe(t, c, m, stage.SubscribeConfig{MaxDemand: 1 + random.IntN(50), Cancel: stage.Temporary})
		return m
	}
	line = stage.Must(stage.NewPipeline(stage.PipelineConfig{Failed: func(stage.Stage, error) bool {
		if err := line.Add(replace()); err != nil {
			return false
		}
		return true
	}}, p, c, replace()))
	err := line.Run(t.Context())
	done := make(map[int]bool)
	for _, r := range src.receipts {
		for seq := range r.Seqs() {
			if r.Outcome == receipt.Done {
				done[int(seq)] = true
			}
		}
	}
	got := make(map[int]bool)
	for _, v := range dst.events() {
		got[v] = true
	}
	t.Log("transforms", lives, "done", len(done), "error", err)
	if err == nil {
		equal(t, "done", len(done), n)
	}
	for v := range done {
		if !got[v] {
			t.Fatalf("event %d is done and has not arrived", v)
		}
	}
	equal(t, "accounted for", len(ended(src.receipts)), n)
}

// A consumer whose transform is gone does not end while the pipeline goes on, and a drain
// ends it.
func TestDrainBetweenAFailureAndItsReplacement(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRestarting(t)
		r.after = time.Minute
		add := r.line
		r.m.Do(func() { panic(errOops) })
		synctest.Wait()
		lives(t, r.p, r.c)
		r.after = 0
		begun := time.Now()
		add.Drain()
		err := <-r.done
		equal(t, "took, error", [2]any{time.Since(begun), err}, [2]any{time.Duration(0), nil})
		died(t, r.c, nil)
		r.m.Stop(nil) // it was not added
	})
}

// A pipeline whose only stages have failed goes on if the program says so.
func TestAPipelineWaitsForReplacements(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, dst := &source{}, newSink()
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		subscribe(t, c, p, stage.SubscribeConfig{})
		var calls []string
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{Failed: func(s stage.Stage, _ error) bool {
			calls = append(calls, s.Name())
			return true
		}}, p, c))
		done := run(t.Context(), line)
		synctest.Wait()
		p.Do(func() { panic(errOops) })
		time.Sleep(time.Hour)
		synctest.Wait()
		slices.Sort(calls)
		equal(t, "failed", calls, []string{"C", "P"})
		src = &source{counting: true, limit: 3}
		p, c = producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribe(t, c, p, stage.SubscribeConfig{})
		add(t, line, p, c)
		if err := <-done; err != nil { // the last producer has ended
			t.Fatal(err)
		}
		equal(t, "events", dst.events(), []int{0, 1, 2})
	})
}

// Failed is called once for each failure, and what it does not handle is as without it.
func TestFailuresThatTheProgramDoesNotHandle(t *testing.T) {
	for name, failed := range map[string]func() bool{"no": func() bool { return false }, "panic": func() bool { panic("failed") }} {
		bubble(t, func(t *testing.T) {
			calls := 0
			_, src, p, done := short(t, stage.PipelineConfig{Failed: func(stage.Stage, error) bool { calls++; return failed() }})
			src.onInfo = func(any) error { return errOops }
			src.self.Send(nil)
			err := <-done
			if !errors.Is(err, errOops) || (name == "panic") != strings.Contains(err.Error(), "panic: failed") {
				t.Fatal(err)
			}
			died(t, p, errOops)
			equal(t, "calls", calls, 1) // not for what fails in the drain
		})
	}
}

// A failure in the start can be handled as well.
func TestFailureInTheStartIsHandled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		bad, good, dst := &source{}, &source{counting: true, limit: 2}, newSink()
		bad.onStart = func(context.Context) error { return errOops }
		c := consumer(dst, "C")
		p := producer(bad, stage.ProducerConfig[int]{})
		subscribe(t, c, p, stage.SubscribeConfig{Cancel: stage.Temporary})
		var line *stage.Pipeline
		line = stage.Must(stage.NewPipeline(stage.PipelineConfig{Failed: func(s stage.Stage, err error) bool {
			p := producer(good, stage.ProducerConfig[int]{})
			subscribe(t, c, p, stage.SubscribeConfig{})
			add(t, line, p)
			return s.Name() == "P" && errors.Is(err, errOops)
		}}, p, c))
		if err := line.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		equal(t, "events", dst.events(), []int{0, 1})
	})
}

// What a lost subscriber of a broadcast misses is abandoned until the program has handled
// its failure, and no longer.
func TestHandledFailureOfABranch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, one, two := &acking{}, newSink(), newSink()
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
		a, b := consumer(one, "A"), consumer(two, "B")
		subscribe(t, a, p, stage.SubscribeConfig{})
		subscribe(t, b, p, stage.SubscribeConfig{})
		handle := make(chan struct{})
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{Failed: func(stage.Stage, error) bool {
			<-handle
			return true
		}}, p, a, b))
		done := run(t.Context(), line)
		push(t, p, &src.source, 1)
		b.Do(func() { panic(errOops) })
		synctest.Wait()
		push(t, p, &src.source, 2)
		close(handle)
		synctest.Wait()
		push(t, p, &src.source, 3)
		equal(t, "receipts", ended(src.receipts), []string{"0 done", "1 abandoned", "2 done"})
		line.Drain()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// Stages that were added and have ended leave with the next Add; the others stay.
func TestStagesThatHaveEndedLeave(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rec := metricstest.New()
		line, _, p, done := short(t, stage.PipelineConfig{Metrics: rec})
		for i := range 3 {
			one := &source{counting: true, limit: 5}
			q, c := producer(one, stage.ProducerConfig[int]{Name: fmt.Sprint("Q", i)}), consumer(newSink(), fmt.Sprint("D", i))
			subscribe(t, c, q, stage.SubscribeConfig{})
			add(t, line, q, c)
			synctest.Wait()
			died(t, c, nil)
			equal(t, "members", members(t, line), []string{"C", fmt.Sprint("D", i), "P", fmt.Sprint("Q", i)})
		}
		lives(t, p)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for i := range 3 {
			equal(t, "events", rec.Count("stage.events", metrics.Tag{Key: "stage", Value: fmt.Sprint("Q", i)}), 5)
		}
		line.Drain()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// Add, Snapshot, Drain and Stop may be called at the same time.
func TestAddRaces(t *testing.T) {
	for i := range 50 {
		first := producer(&source{}, stage.ProducerConfig[int]{Name: "first"})
		line, stages := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, first)), make(chan stage.Stage, 100)
		done := make(chan error, 1)
		go func() { done <- line.Run(t.Context()) }()
		var all sync.WaitGroup
		for k := range 4 {
			all.Go(func() {
				for n := range 10 {
					p := producer(&source{counting: true, limit: 10}, stage.ProducerConfig[int]{Name: fmt.Sprint("P", k, n)})
					c := consumer(newSink(), fmt.Sprint("C", k, n))
					if _, err := c.Subscribe(p, stage.SubscribeConfig{}); err != nil {
						t.Error(err)
					}
					err := line.Add(p, c)
					switch {
					case err == nil:
						stages <- p
						stages <- c
					case errors.Is(err, stage.ErrDraining) || errors.Is(err, stage.ErrStopped):
					default:
						t.Error(err)
					}
				}
			})
		}
		all.Go(func() { line.Snapshot(t.Context()) })
		all.Go(func() {
			switch i % 3 {
			case 0:
				line.Drain()
			case 1:
				line.Stop(nil)
			}
		})
		all.Wait()
		line.Drain()
		if err := <-done; err != nil && !(i%3 == 1 && errors.Is(err, stage.ErrStopped)) { // stopped before it ran
			t.Fatal(err)
		}
		close(stages)
		for s := range stages {
			died(t, s, nil) // none was forgotten
		}
	}
}
