package stage_test

import (
	"bytes"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// While a subscription is paused its producer delivers what it was asked for before, and
// then nothing. The demand of that time is asked for when it is resumed.
func TestPausedSubscription(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, dst := &source{}, newSink()
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		sub := subscribe(t, c, p, stage.SubscribeConfig{MaxDemand: 4})
		start(t, p, c)
		push(t, p, src, 1)
		sub.Pause()
		sub.Pause()
		push(t, p, src, upTo(2, 10)...)
		equal(t, "events", dst.events(), []int{1, 2, 3, 4})
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, p, c)).Snapshot(t.Context())
		equal(t, "paused", [3]bool{line.Edges[0].Paused, snap(t, p).Subscriptions[0].Paused, snap(t, c).Subscriptions[0].Paused}, [3]bool{true, true, true})
		sub.Resume()
		sub.Resume()
		synctest.Wait()
		equal(t, "events", dst.events(), upTo(1, 10))
		equal(t, "paused", snap(t, c).Subscriptions[0].Paused, false)
		equal(t, "demand", snap(t, p).Subscriptions[0].Outstanding, snap(t, c).Subscriptions[0].Outstanding)
	})
}

// A subscription that is paused before the start asks for nothing before it is resumed, nor
// for what its handler or the program asks for meanwhile. Receipts pass.
func TestPausedDemandIsKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, w := &acking{}, &pool{}
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(w, "W")
		sub := subscribe(t, c, p, stage.SubscribeConfig{MaxDemand: 2})
		sub.Pause()
		start(t, p, c)
		push(t, p, &src.source, 1, 2, 3)
		equal(t, "events", len(w.events()), 0)
		sub.Resume()
		synctest.Wait()
		sub.Pause()
		w.settle(sub, 1, nil, 0)
		equal(t, "events, receipts", [2]int{len(w.events()), len(ended(src.receipts))}, [2]int{2, 1})
		sub.Resume()
		synctest.Wait()
		equal(t, "events", w.events(), []int{1, 2, 3})
	})
	bubble(t, func(t *testing.T) {
		src, dst := &source{}, newSink()
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		sub := subscribe(t, c, p, stage.SubscribeConfig{Manual: true})
		start(t, p, c)
		sub.Pause()
		for range 3 {
			if err := sub.Ask(1 << 62); err != nil { // the sum saturates
				t.Fatal(err)
			}
		}
		push(t, p, src, 1)
		equal(t, "events", len(dst.events()), 0)
		sub.Resume()
		synctest.Wait()
		equal(t, "events", dst.events(), []int{1})
	})
}

// A drain resumes what is paused, and nothing is paused after that.
func TestADrainResumes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, dst := &draining{}, newSink()
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		sub := subscribe(t, c, p, stage.SubscribeConfig{MaxDemand: 2})
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, p, c))
		done := run(t.Context(), line)
		sub.Pause()
		push(t, p, src.get(), 1, 2, 3, 4)
		equal(t, "events", dst.events(), []int{1, 2})
		line.Drain()
		synctest.Wait()
		equal(t, "events", dst.events(), []int{1, 2, 3, 4})
		sub.Pause()
		push(t, p, src.get(), 5, 6, 7, 8)
		equal(t, "events", dst.events(), upTo(1, 9))
		line.Stop(nil)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func (s *draining) get() *source { return &s.source }

// A broadcast waits for a subscriber that is paused, which is logged; with an eager stage
// that drops between them it does not.
func TestPauseBehindABroadcast(t *testing.T) {
	for _, eager := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			var log bytes.Buffer
			src, one, two := &source{}, newSink(), newSink()
			p := producer(src, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int](), Logger: slog.New(slog.NewTextHandler(&log, nil))})
			a, b := consumer(one, "A"), consumer(two, "B")
			stages := []stage.Stage{p, a, b}
			subscribe(t, a, p, stage.SubscribeConfig{MaxDemand: 2})
			var from stage.Output[int] = p
			if eager {
				m := between(newPipe(1), stage.ProducerConfig[int]{Eager: true, Keep: stage.KeepLast, BufferSize: 3})
				subscribePC(t, m, p, stage.SubscribeConfig{MaxDemand: 2})
				from, stages = m, append(stages, m)
			}
			sub := subscribe(t, b, from, stage.SubscribeConfig{MaxDemand: 2})
			sub.Pause()
			start(t, stages...)
			push(t, p, src, upTo(0, 10)...)
			time.Sleep(11 * time.Second)
			synctest.Wait()
			if eager {
				equal(t, "events", one.events(), upTo(0, 10))
				sub.Resume()
				synctest.Wait()
				equal(t, "events", two.events(), []int{7, 8, 9})
				return
			}
			equal(t, "events", len(one.events()), 0)
			equal(t, "logged", strings.Contains(log.String(), "a subscriber is paused: B"), true)
		})
	}
}

// No demand is lost, and none is asked for twice, however often a subscription is paused
// and resumed.
func TestPauseWhileEventsFlow(t *testing.T) {
	const n = 200_000
	dst, stop, quit := newSink(), make(chan struct{}), make(chan struct{})
	p, c := producer(&source{counting: true, limit: n}, stage.ProducerConfig[int]{}), consumer(dst, "C")
	sub := subscribe(t, c, p, stage.SubscribeConfig{MaxDemand: 5})
	go func() {
		defer close(quit)
		for {
			select {
			case <-stop:
				sub.Resume()
				return
			default:
				sub.Pause()
				sub.Resume()
				runtime.Gosched() // with one processor the stages would have a turn each 10 ms only
			}
		}
	}()
	err := stage.Run(t.Context(), p, c)
	close(stop)
	<-quit
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "events", len(dst.events()), n)
}

// An eager producer-consumer handles events without demand, and its buffer keeps or drops
// what it has emitted; a drain and receipts are as ever.
func TestEagerStage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, h, dst := &acking{}, newPipe(1), newSink()
		p, m, c := producer(src, stage.ProducerConfig[int]{}), between(h, stage.ProducerConfig[int]{Eager: true, Keep: stage.KeepFirst, BufferSize: 2}), consumer(dst, "C")
		subscribePC(t, m, p, stage.SubscribeConfig{MaxDemand: 3})
		sub := subscribe(t, c, m, stage.SubscribeConfig{Manual: true})
		start(t, p, m, c)
		push(t, p, &src.source, 1, 2, 3)
		equal(t, "handled, buffered", [2]int{len(h.events()), snap(t, m).Buffered}, [2]int{3, 2})
		equal(t, "receipts", ended(src.receipts), []string{"2 discarded buffer_full"})
		if err := sub.Ask(10); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		equal(t, "events", dst.events(), []int{1, 2})
		equal(t, "receipts", len(ended(src.receipts)), 3)
		equal(t, "refused", refusal(stage.NewProducer(src, stage.ProducerConfig[int]{Name: "E", Eager: true})).Error(),
			`stage "E": option Eager refused: true; allowed: false for a producer`)
	})
	bubble(t, func(t *testing.T) {
		src, h := &source{}, newPipe(1)
		p, m, c := producer(src, stage.ProducerConfig[int]{}), between(h, stage.ProducerConfig[int]{Eager: true, Demand: stage.Accumulate}), consumer(newSink(), "C")
		subscribePC(t, m, p, stage.SubscribeConfig{})
		subscribe(t, c, m, stage.SubscribeConfig{Manual: true})
		start(t, p, m, c)
		push(t, p, src, 1)
		equal(t, "accumulating", len(h.events()), 0)
		m.SetDemand(stage.Forward)
		synctest.Wait()
		equal(t, "handled, buffered", [2]int{len(h.events()), snap(t, m).Buffered}, [2]int{1, 1})
	})
}
