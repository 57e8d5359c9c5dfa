package stagetest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/stage/stagetest"
)

// full has every function that a handler may have.
type full struct{ calls []string }

func (f *full) note(call string) error { f.calls = append(f.calls, call); return nil }

func (f *full) HandleStart(context.Context, *stage.Handle) error { return f.note("start") }
func (f *full) HandleEmitter(*stage.Emitter[int])                { _ = f.note("emitter") }
func (f *full) HandleEvents(context.Context, []int, *stage.Emitter[int]) error {
	return f.note("events")
}
func (f *full) HandleWake(context.Context, *stage.Emitter[int]) error { return f.note("wake") }
func (f *full) HandleFlush(context.Context) error                     { return f.note("flush") }
func (f *full) HandleInfo(_ context.Context, msg any) error           { return f.note(msg.(string)) }
func (f *full) HandleReceipts(context.Context, []stage.Receipt) error { return f.note("receipts") }
func (f *full) HandleSubscribe(_ context.Context, s stage.SubscriptionInfo) error {
	if s.Upstream {
		return f.note("subscribe up")
	}
	return f.note("subscribe")
}
func (f *full) HandleCancel(context.Context, stage.SubscriptionInfo, error) error {
	return f.note("cancel")
}
func (f *full) HandleInspect() any { return len(f.calls) }
func (f *full) HandleTerminate(ctx context.Context, reason error) error {
	if reason != context.Cause(ctx) {
		return errors.New("the context's cause is not the reason")
	}
	return f.note("terminate")
}

// Every function is called, those of the start first.
func TestEveryFunction(t *testing.T) {
	f := &full{}
	k, err := stagetest.NewProducerConsumer[int, int](t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	k.Handle().Wake()
	k.Handle().Send("one")
	k.Handle().SendBehind("two")
	for _, call := range []func() (stagetest.Result[int], error){
		func() (stagetest.Result[int], error) { return k.Events(1) }, k.Wake, k.Flush,
		func() (stagetest.Result[int], error) { return k.Info("info") },
		func() (stagetest.Result[int], error) { return k.Receipts() },
		func() (stagetest.Result[int], error) { return k.Subscribe(stage.SubscriptionInfo{}) },
		func() (stagetest.Result[int], error) { return k.Cancel(stage.SubscriptionInfo{}, nil) },
		func() (stagetest.Result[int], error) { return k.Next(t.Context()) },
		func() (stagetest.Result[int], error) { return k.Next(t.Context()) },
		func() (stagetest.Result[int], error) { return k.Next(t.Context()) },
	} {
		if _, err := call(); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "inspect", k.Inspect(), 13)
	if err := errors.Join(k.Stop(errOops), k.Stop(nil)); err != nil {
		t.Fatal(err)
	}
	equal(t, "calls", strings.Join(f.calls, ", "),
		"emitter, start, subscribe up, events, wake, flush, info, receipts, subscribe, cancel, one, two, wake, terminate")
	if k.Handle().Send("late") {
		t.Error("a message was taken after the end")
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := k.Next(gone); err != context.Canceled {
		t.Error(err)
	}
}

// The constructors refuse what they cannot use.
func TestRefused(t *testing.T) {
	var none context.Context
	for name, f := range map[string]func() error{
		"no context":     func() error { _, err := stagetest.NewProducer[int](none, &producer.Queue[int]{}); return err },
		"no producer":    func() error { _, err := stagetest.NewProducer[int](t.Context(), nil); return err },
		"nil queue":      func() error { _, err := stagetest.NewProducer(t.Context(), (*producer.Queue[int])(nil)); return err },
		"empty table":    func() error { _, err := stagetest.NewProducer(t.Context(), &stage.ProducerHandlers[int]{}); return err },
		"no consumer":    func() error { _, err := stagetest.NewConsumer[int](t.Context(), nil); return err },
		"empty consumer": func() error { _, err := stagetest.NewConsumer(t.Context(), &stage.ConsumerHandlers[int]{}); return err },
		"no transform":   func() error { _, err := stagetest.NewProducerConsumer[int, int](t.Context(), nil); return err },
		"empty transform": func() error {
			_, err := stagetest.NewProducerConsumer(t.Context(), &stage.ProducerConsumerHandlers[int, int]{})
			return err
		},
		"no events": func() error { _, err := transform(t, nil).Events(); return err },
	} {
		var refused *stagetest.OptionError
		if err := f(); !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
