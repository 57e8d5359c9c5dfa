package stagetest

import (
	"context"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/stage/internal/probe"
)

// stageName is the name of the stage that a bench stands for.
const stageName = "test"

// owner names this package in the errors of what a test has passed.
const owner = option.Owner("stagetest")

// OptionError reports an argument that no stage would pass to a handler. The type is
// the same in every package of this module.
type OptionError = stage.OptionError

// phase is how far a handler has come.
type phase uint8

const (
	fresh   phase = iota // no function was called
	running              // HandleStart has succeeded
	dry                  // a function has returned ErrDone: nothing more is asked of it
	over                 // it has failed or was stopped: only HandleTerminate is left
	gone                 // HandleTerminate was called
)

// bench calls the functions of one handler. The inbox aside, it belongs to the test's
// goroutine. probe is nil for a consumer, which has no emitter.
type bench[Out any] struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	do     stage.Handlers
	greet  func() error // what follows HandleStart
	probe  *stage.EmitterProbe[Out]
	report stage.EmitterReport[Out] // of the calls since it was taken
	phase  phase
	why    error // why it is over
	inbox  *inbox
	handle *stage.Handle
}

// newBench makes a bench for the functions do of handler.
func newBench[Out any](ctx context.Context, handler any, emits bool) (*bench[Out], error) {
	if err := option.First(owner.Needs("ctx", ctx, "a context"), owner.Needs("handler", handler, "a handler")); err != nil {
		return nil, err
	}
	b := &bench[Out]{inbox: newInbox()}
	b.ctx, b.cancel = context.WithCancelCause(ctx)
	if emits {
		b.probe = stage.NewEmitterProbe[Out](probe.Key{}, stageName)
	}
	b.handle = stage.NewHandle(probe.Key{}, stage.HandleProbe{
		Name: stageName, Wake: b.inbox.wake, Send: b.inbox.send, Tick: b.inbox.tick, WakeAt: b.inbox.wakeLater,
	})
	return b, nil
}

// emit returns the emitter.
func (b *bench[Out]) emit() *stage.Emitter[Out] { return b.probe.Emitter() }

// start calls HandleEmitter and HandleStart, unless they were called before.
func (b *bench[Out]) start(emitter func(*stage.Emitter[Out])) error {
	if b.phase != fresh {
		return nil
	}
	b.phase = running
	if emitter != nil {
		if err := b.call("HandleEmitter", 0, 0, func() error { emitter(b.emit()); return nil }); err != nil {
			return err
		}
	}
	if b.do.Start != nil {
		if err := b.call("HandleStart", 0, 0, func() error { return b.do.Start(b.ctx, b.handle) }); err != nil {
			return err
		}
	}
	if b.greet != nil {
		return b.call("HandleSubscribe", 0, 0, b.greet)
	}
	return nil
}

// call calls a function of the handler, which has n inputs from number first on, and
// takes what it has emitted into report. The error is ErrDone, or a *stage.Error after
// which nothing more is called.
func (b *bench[Out]) call(name string, first, n int, f func() error) error {
	if b.phase >= over {
		return stage.ErrStopped
	}
	if b.probe != nil {
		if err := b.probe.Begin(first, n); err != nil {
			return b.fail("Emit", err)
		}
	}
	err := guard(f)
	if b.probe != nil {
		r, misuse := b.probe.End(err != nil && err != stage.ErrDone)
		if b.collect(r); misuse != nil && (err == nil || err == stage.ErrDone) {
			err = misuse
		}
	}
	switch err {
	case nil:
		return nil
	case stage.ErrDone:
		b.phase = max(b.phase, dry)
		return err
	}
	return b.fail(name, err)
}

// collect adds to what was emitted and said since the test has last taken it.
func (b *bench[Out]) collect(r stage.EmitterReport[Out]) {
	b.report.Events = append(b.report.Events, r.Events...)
	b.report.Inputs = append(b.report.Inputs, r.Inputs...)
	b.report.Ended = append(b.report.Ended, r.Ended...)
	b.report.Held = r.Held
}

// fail ends the handler with its error.
func (b *bench[Out]) fail(name string, err error) error {
	e := &stage.Error{Stage: stageName, Handler: name, Err: err, Stack: nil}
	if stack := crash.StackOf(err); stack != "" {
		e.Stack = []byte(stack)
	}
	b.end(e)
	return e
}

// end makes a reason the end, and cancels the handler's context if there is one.
func (b *bench[Out]) end(reason error) {
	b.phase, b.why = over, reason
	b.inbox.close()
	if reason != nil {
		b.cancel(reason)
	}
}

// guard calls f. A panic is an error; a handler that ends the test's goroutine ends it.
func guard(f func() error) (err error) {
	defer crash.Catch(&err)
	return f()
}

// Stop ends the handler and calls its HandleTerminate, once. With nil it ends in good
// order, as after a drain, and its context is cancelled afterwards; with a reason the
// context is cancelled before, with the reason as its cause. After a failure the reason
// is that failure. The error is that of HandleTerminate.
func (b *bench[Out]) Stop(reason error) error {
	if b.phase == gone {
		return nil
	}
	begun := b.phase != fresh
	if b.phase < over {
		b.end(reason)
	}
	defer b.cancel(stage.ErrStopped)
	b.phase = running // for one more call
	defer func() { b.phase = gone }()
	if b.do.Terminate == nil || !begun {
		return nil
	}
	return b.call("HandleTerminate", 0, 0, func() error { return b.do.Terminate(b.ctx, b.why) })
}

// Handle returns the handle that HandleStart gets.
func (b *bench[Out]) Handle() *stage.Handle { return b.handle }

// Inspect returns what HandleInspect does, nil without it.
func (b *bench[Out]) Inspect() any {
	if b.do.Inspect == nil {
		return nil
	}
	return b.do.Inspect()
}
