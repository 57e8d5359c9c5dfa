package pipeline

import (
	"context"
	"errors"
	"log/slog"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/internal/complain"
	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/stage"
)

// Fair hands out the events so that their keys share what comes after it, one event of a
// key at a time and in order: see package fair. It is the dispatcher of the step before,
// and adds no stage unless that step has a dispatcher already or there are several, as with
// [Merge]. An event for which key panics has the zero key. So has one for which it calls
// runtime.Goexit, but directly below a source other than [FromFunc], or a branch, that ends
// the pipeline: see [Partition].
//
// What the next step has taken is not shared any more. For weights, or for keys that have
// several events at once (UnorderedInFlight), set its Window to its Workers. An event that
// waits for a retry still counts as one of its key's: let UnorderedInFlight be larger than
// Workers.
func Fair[T any, K comparable](from *Flow[T], key func(event T) K, cfg fair.Config[T]) *Flow[T] {
	const kind = "fair"
	if !from.valid() {
		return nowhere[T](kind)
	}
	name := from.s.label(kind)
	var n *node
	makeDispatcher := func() (dispatcher.Dispatcher[T], error) {
		switch {
		case key == nil:
			return fair.New(key, cfg) // which refuses it
		case n != nil && n.wary.Load():
			return fair.New(keyOrZero(from, name, wary1(key)), cfg)
		}
		return fair.New(keyOrZero(from, name, key), cfg)
	}
	_, err := makeDispatcher()
	from.s.note(owned(name, err))
	var out *outlet[T]
	n, out = hand(from, kind, name, makeDispatcher)
	n.sorts = true
	return &Flow[T]{s: from.s, ports: []port[T]{{n: n, out: out}}, use: from.s.open(stepOwner(name), `the events of "`+name+`"`)}
}

// keyOrZero returns key with the zero value for an event over which it panics: that would
// stop the stage over one bad event.
func keyOrZero[T any, K comparable](from *Flow[T], name string, key func(event T) K) func(event T) K {
	log, panics := from.s.p.cfg.Logger, new(complain.Limit)
	return func(event T) (k K) {
		defer func() {
			if p := recover(); p != nil {
				panics.Log(log, slog.LevelError, "the function of a key panicked: the event has the zero key", "step", name, "error", crash.Of(p))
			}
		}()
		return key(event)
	}
}

// owned makes name the owner of a refused option of another package.
func owned(name string, err error) error {
	if refused, ok := errors.AsType[*option.Error](err); ok {
		return &option.Error{Owner: string(stepOwner(name)), Option: refused.Option, Value: refused.Value, Allowed: refused.Allowed}
	}
	return err
}

// hand makes a dispatcher that of the step which the flow comes from, for something of
// this kind and name, which takes the flow. The step is one that passes the events on if
// the flow has several, or if its step has a dispatcher already.
func hand[T any](from *Flow[T], kind, name string, d func() (dispatcher.Dispatcher[T], error)) (*node, *outlet[T]) {
	at := from.ports[0]
	if len(from.ports) == 1 && at.out.dispatcher == nil {
		from.s.take(from.use, name)
	} else {
		passed := transform(from, spec{kind: kind}, func(*node) (stage.ProducerConsumer[T, T], error) { return pass[T](), nil })
		from.s.take(passed.use, name)
		at = passed.ports[0]
	}
	at.out.dispatcher = d
	return at.n, at.out
}

// pass returns a producer-consumer that emits what it gets.
func pass[T any]() stage.ProducerConsumer[T, T] {
	return stage.MapFunc[T, T](func(_ context.Context, event T) (T, error) { return event, nil })
}

// Merge makes one flow of several. There is no order between events of different flows, and
// no stage: the step that takes the flow is subscribed to the steps of all of them.
func Merge[T any](flows ...*Flow[T]) *Flow[T] {
	const kind = "merge"
	var s *scope
	for _, f := range flows {
		if f.valid() {
			s = f.s
			break
		}
	}
	if s == nil {
		return nowhere[T](kind)
	}
	name := s.label(kind)
	merged := &Flow[T]{s: s, use: s.open(stepOwner(name), `the events of "`+name+`"`)}
	seen := make(map[*use]bool)
	for i, f := range flows {
		option := "flows[" + itoa(i) + "]"
		switch {
		case !f.valid():
			s.note(stepOwner(name).Refuse(option, nil, "a flow of a step"))
		case f.s.p != s.p:
			s.note(stepOwner(name).Refuse(option, f.use.from, "a flow of the same pipeline"))
		case f.s != s:
			s.note(stepOwner(name).Refuse(option, f.use.from, "a flow of the same branch: one that is added while the pipeline runs stands alone"))
		case seen[f.use]:
			s.note(stepOwner(name).Refuse(option, f.use.from, "a flow that is not merged with itself"))
		default:
			seen[f.use] = true
			s.take(f.use, name)
			merged.ports = append(merged.ports, f.ports...)
		}
	}
	return merged
}
