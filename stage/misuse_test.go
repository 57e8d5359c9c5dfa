package stage_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/stage"
)

// refusedOption fails unless a stage has stopped with a refused option.
func refusedOption(t *testing.T, s stage.Stage, option string) {
	t.Helper()
	synctest.Wait()
	if !stopped(s) {
		t.Fatalf("%s has not stopped", s.Name())
	}
	var refused *stage.OptionError
	if err := s.Err(); !errors.As(err, &refused) || refused.Option != option {
		t.Fatalf("got %v, want a refused %s", err, option)
	}
}

// What a handler says wrongly of its inputs stops its stage, so that no input has
// two receipts, or none.
func TestMisusedEmitter(t *testing.T) {
	var other stage.Held // of another stage
	for _, c := range []struct {
		name, option string
		handle       func(emit *stage.Emitter[int])
	}{
		{"Hold twice", "Emitter.Hold", func(emit *stage.Emitter[int]) { emit.Finish(nil, emit.Hold(0), emit.Hold(0)) }},
		{"Hold after Fail", "Emitter.Hold", func(emit *stage.Emitter[int]) { emit.Fail(0, errOops); emit.Hold(0) }},
		{"Fail after Hold", "Emitter.Hold", func(emit *stage.Emitter[int]) { emit.Hold(0); emit.Fail(0, errOops) }},
		{"Hold beyond the chunk", "Emitter.Hold", func(emit *stage.Emitter[int]) { emit.Hold(1) }},
		{"Hold before the chunk", "Emitter.Hold", func(emit *stage.Emitter[int]) { emit.Hold(-1) }},
		{"From beyond the chunk", "Emitter.From", func(emit *stage.Emitter[int]) { emit.From(1); emit.Emit(1) }},
		{"FromEach beyond the chunk", "Emitter.FromEach", func(emit *stage.Emitter[int]) { emit.FromEach(1) }},
		{"FromEach for too many events", "Emitter.FromEach", func(emit *stage.Emitter[int]) { emit.FromEach(0); emit.EmitAll([]int{1, 2}) }},
		{"For of another stage", "Emitter.For", func(emit *stage.Emitter[int]) { emit.For(other) }},
		{"Finish of another stage", "Emitter.Finish", func(emit *stage.Emitter[int]) { emit.Finish(nil, other) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				k := newChain(t, stage.SubscribeConfig{Cancel: stage.Temporary},
					stage.ProducerConsumerFunc[int, int](func(_ context.Context, events []int, emit *stage.Emitter[int]) error {
						other = emit.Hold(0)
						emit.Emit(events[0]) // of no input
						return nil
					}),
					stage.ProducerConsumerFunc[int, int](func(_ context.Context, _ []int, emit *stage.Emitter[int]) error {
						c.handle(emit)
						return nil
					}))
				k.push(1)
				refusedOption(t, k.mid[1], c.option)
			})
		})
	}
}

// A handler without events of its own has none that could fail.
func TestFailOutsideOfHandleEvents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newPipe(1)
		src := &source{}
		p, m := producer(src, stage.ProducerConfig[int]{}), between(h, stage.ProducerConfig[int]{})
		subscribePC(t, m, p, stage.SubscribeConfig{Cancel: stage.Temporary})
		start(t, p, m)
		m.Do(func() { h.emit.Fail(0, errOops) })
		refusedOption(t, m, "Emitter.Fail")
		equal(t, "failed", snap(t, m).Failed, 0)
		p.Do(func() { src.emit.Fail(0, errOops) })
		refusedOption(t, p, "Emitter.Fail")
	})
}

// returning holds its inputs until a copy that it has emitted has a receipt.
type returning struct {
	emit *stage.Emitter[int]
	held []stage.Held
}

func (r *returning) HandleEmitter(emit *stage.Emitter[int]) { r.emit = emit }

func (r *returning) HandleEvents(_ context.Context, events []int, emit *stage.Emitter[int]) error {
	for i, v := range events {
		r.held = append(r.held, emit.Hold(i))
		emit.Emit(v)
	}
	return nil
}

func (r *returning) HandleReceipts(context.Context, []stage.Receipt) error {
	r.emit.Finish(nil, r.held...)
	return nil
}

// Any handler can finish held inputs, and the receipt waits for nothing else.
func TestFinishInHandleReceipts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newChain(t, stage.SubscribeConfig{}, &returning{})
		k.push(1)
		k.want()
		k.w.settle(k.sub, 0, nil, 0)
		k.want("0 done")
	})
}

func TestInputsNamedInDescendingOrderEndTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newChain(t, stage.SubscribeConfig{}, stage.ProducerConsumerFunc[int, int](func(_ context.Context, events []int, emit *stage.Emitter[int]) error {
			for i := len(events) - 1; i >= 0; i-- {
				emit.From(i)
				emit.Emit(events[i])
			}
			return nil
		}))
		k.push(1, 2, 3)
		k.w.settle(k.sub, 0, nil, 0, 1)
		k.want()
		k.w.settle(k.sub, 0, nil, 2)
		k.want("0 done", "1 done", "2 done")
	})
}

// An index that names no event is noticed also where no source wants receipts.
func TestWrongIndexWithoutReceipts(t *testing.T) {
	for option, handle := range map[string]func(emit *stage.Emitter[int]){
		"Emitter.From": func(emit *stage.Emitter[int]) { emit.From(1); emit.Emit(1) },
		"Emitter.Hold": func(emit *stage.Emitter[int]) { emit.Hold(-1) },

		"Emitter.FromEach": func(emit *stage.Emitter[int]) { emit.FromEach(1) },
	} {
		bubble(t, func(t *testing.T) {
			src := &source{}
			p := producer(src, stage.ProducerConfig[int]{})
			h := stage.ProducerConsumerFunc[int, int](func(_ context.Context, _ []int, emit *stage.Emitter[int]) error {
				handle(emit)
				return nil
			})
			m := between(h, stage.ProducerConfig[int]{})
			subscribePC(t, m, p, stage.SubscribeConfig{Cancel: stage.Temporary})
			start(t, p, m)
			join(t, m, newSink(), stage.SubscribeConfig{Cancel: stage.Temporary})
			push(t, p, src, 1)
			refusedOption(t, m, option)
		})
		// Nor have other handlers events that could be named.
		bubble(t, func(t *testing.T) {
			h := newPipe(1)
			m := between(h, stage.ProducerConfig[int]{})
			start(t, m)
			m.Do(func() { handle(h.emit) })
			refusedOption(t, m, option)
		})
	}
}

// Events beside inputs that are all held belong to none of them, unless For says so:
// the log has it.
func TestEventsOfNoInputAreLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		src := &acking{}
		p := producer(src, stage.ProducerConfig[int]{})
		var held []stage.Held
		m := between(stage.ProducerConsumerFunc[int, int](func(_ context.Context, events []int, emit *stage.Emitter[int]) error {
			for i := range events {
				held = append(held, emit.Hold(i))
			}
			if events[0] == 0 {
				emit.For(held...)
			}
			emit.EmitAll(events)
			return nil
		}), stage.ProducerConfig[int]{Logger: log.logger()})
		subscribePC(t, m, p, stage.SubscribeConfig{})
		start(t, p, m)
		join(t, m, newSink(), stage.SubscribeConfig{})
		push(t, p, &src.source, 0)
		equal(t, "lines", len(log.with("for no input")), 0)
		push(t, p, &src.source, 1, 2)
		equal(t, "lines", len(log.with("level=WARN", "for no input", "events=2")), 1)
	})
}
