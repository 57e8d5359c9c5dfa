package stage_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// late is a consumer that takes a second to start.
type late struct{ *sink }

func (l *late) HandleStart(ctx context.Context, self *stage.Handle) error {
	<-time.After(time.Second)
	return l.sink.HandleStart(ctx, self)
}

// A pipeline starts consumers before their producers, however they are listed.
func TestNoSubscriberMissesTheFirstEvent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &source{counting: true, limit: 100}
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
		middle := between(stage.ProducerConsumerFunc[int, int](twice), stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
		subscribePC(t, middle, p, stage.SubscribeConfig{})
		stages, sinks := []stage.Stage{p, middle}, []*sink{}
		for range 8 {
			s := newSink()
			c := consumer(s, "")
			subscribe(t, c, middle, stage.SubscribeConfig{})
			stages, sinks = append(stages, c), append(sinks, s)
		}
		direct := &late{sink: newSink()}
		c := consumer(direct, "")
		subscribe(t, c, p, stage.SubscribeConfig{})
		if err := stage.Run(t.Context(), append(stages, c)...); err != nil {
			t.Fatal(err)
		}
		for _, s := range sinks {
			equal(t, "events", s.events(), doubled(0, 100))
		}
		equal(t, "events", direct.events(), upTo(0, 100))
	})
}

// fanOut is a source that emits eight events at once to a consumer that handles them
// and to another branch, which takes two and fails over the first.
func fanOut(t *testing.T, cfg stage.PipelineConfig, throughStage bool) (src *acking, handled *sink) {
	t.Helper()
	src, handled = &acking{}, newSink()
	src.onDemand = func(int) error {
		if src.next == 0 {
			src.next = 8
			src.emit.EmitAll(upTo(1, 9))
		}
		return nil
	}
	p := producer(src, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
	a, b := consumer(handled, "A"), consumer(stage.ConsumerFunc[int](func(context.Context, []int) error { return errOops }), "B")
	subscribe(t, a, p, stage.SubscribeConfig{})
	stages := []stage.Stage{p, a, b}
	if throughStage {
		middle := between(newPipe(1), stage.ProducerConfig[int]{})
		subscribePC(t, middle, p, stage.SubscribeConfig{MaxDemand: 2, MinDemand: stage.None})
		subscribe(t, b, middle, stage.SubscribeConfig{MaxDemand: 2, MinDemand: stage.None})
		stages = append(stages, middle)
	} else {
		subscribe(t, b, p, stage.SubscribeConfig{MaxDemand: 2, MinDemand: stage.None})
	}
	pipeline := stage.Must(stage.NewPipeline(cfg, stages...))
	done := make(chan error, 1)
	go func() { done <- pipeline.Run(context.Background()) }()
	if cfg.KeepRunning {
		<-b.Stopped()
		pipeline.Drain()
	}
	if err := <-done; !errors.Is(err, errOops) {
		t.Errorf("Run returns %v", err)
	}
	return src, handled
}

// outcomes returns how the events ended, in the order of their numbers.
func (s *acking) outcomes() string {
	list := ended(s.receipts)
	slices.Sort(list)
	for i, text := range list {
		_, list[i], _ = strings.Cut(text, " ")
	}
	return strings.Join(list, " ")
}

// In a pipeline that ends with a failed branch, what only the other branches get is
// not finished: its source has it again after the end.
func TestWhatAFailedBranchDidNotGetIsAbandoned(t *testing.T) {
	for _, throughStage := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			src, handled := fanOut(t, stage.PipelineConfig{}, throughStage)
			equal(t, "events", handled.events(), upTo(1, 9))
			equal(t, "receipts", src.outcomes(), "abandoned abandoned abandoned abandoned abandoned abandoned abandoned abandoned")
		})
	}
}

// In a pipeline that goes on, the branch is no subscriber any more.
func TestAFailedBranchThatIsDoneWithout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, handled := fanOut(t, stage.PipelineConfig{KeepRunning: true}, false)
		equal(t, "events", handled.events(), upTo(1, 9))
		equal(t, "receipts", src.outcomes(), "abandoned abandoned done done done done done done")
	})
}
