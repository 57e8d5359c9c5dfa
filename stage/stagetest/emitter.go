package stagetest

import (
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/stage/internal/probe"
)

// Emitter is an emitter without a stage, for functions that take one. It behaves as in
// HandleEvents until Take is called.
type Emitter[T any] struct {
	*stage.Emitter[T]
	probe *stage.EmitterProbe[T]
	next  int
}

// NewEmitter makes an emitter for a call with the given number of inputs, which From,
// Fail and Hold may name. With 0 it is that of a handler other than HandleEvents.
func NewEmitter[T any](inputs int) *Emitter[T] {
	p := stage.NewEmitterProbe[T](probe.Key{}, stageName)
	e := &Emitter[T]{Emitter: p.Emitter(), probe: p}
	e.begin(inputs)
	return e
}

func (e *Emitter[T]) begin(inputs int) {
	// The error is of an emitter that was used outside of a call, which this one never is.
	_ = e.probe.Begin(e.next, max(0, inputs))
	e.next += max(0, inputs)
}

// Take returns what was emitted and said since the emitter was made or last read, and
// begins another call with the given number of inputs. The error is that with which a
// stage stops for a wrong use of its emitter.
func (e *Emitter[T]) Take(inputs int) (r Result[T], err error) {
	report, err := e.probe.End(false)
	for i, event := range report.Events {
		r.Emitted = append(r.Emitted, Emitted[T]{event, report.Inputs[i]})
	}
	for _, end := range report.Ended {
		r.Ended = append(r.Ended, endOf(end.Input, end.Err))
	}
	r.Held = report.Held
	e.begin(inputs)
	return r, err
}
