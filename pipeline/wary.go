package pipeline

import (
	"context"
	"sync/atomic"

	"github.com/penstock-go/penstock/internal/crash"
)

// A function of the program that is called on the goroutine of a step's stage may end that
// goroutine with runtime.Goexit, and the stage with it. To expect that at each call would
// cost each event, so the step is made anew, and wary from then on: such functions are
// called on goroutines of their own, and Goexit fails one event, as a panic does.

// learns reports whether the step, which has just ended by runtime.Goexit, may have ended by a
// function that will be called warily once it is made anew. The caller holds Pipeline.mu.
func (n *node) learns() bool {
	switch n.kind {
	case "map", "filter", "flat-map", "each", "batch", "map-batch", "each-batch", "reduce",
		"route", "partition", "fair": // those pass events on to a dispatcher
	default: // its handler is the program's, and only its dispatcher can be wary
		if !n.sorts || n.once || n.restart.MaxRestarts == NoRestart {
			return false
		}
	}
	return n.wary.CompareAndSwap(false, true)
}

// wary1 returns f, which panics with crash.ErrGoexit instead of ending the goroutine.
func wary1[A, B any](f func(A) B) func(A) B {
	if f == nil {
		return nil
	}
	return func(a A) (b B) {
		apart(func() { b = f(a) })
		return b
	}
}

// wary2 is wary1 for two arguments.
func wary2[A, B, C any](f func(A, B) C) func(A, B) C {
	return func(a A, b B) (c C) {
		apart(func() { c = f(a, b) })
		return c
	}
}

func apart(f func()) {
	if err := crash.Apart(f); err != nil {
		panic(err)
	}
}

// exits notes that the function of a step has ended a worker's goroutine. The function is
// called on goroutines of its own then, so that the step has an error to judge.
type exits struct{ some atomic.Bool }

// call calls f and returns its error or its panic.
func (x *exits) call(ctx context.Context, f func(context.Context) error) (err error) {
	if x.some.Load() {
		return x.callApart(ctx, f)
	}
	returned := false
	defer func() {
		if p := recover(); p != nil {
			err = crash.Of(p)
		} else if !returned {
			x.some.Store(true)
		}
	}()
	err = f(ctx)
	returned = true
	return err
}

func (x *exits) callApart(ctx context.Context, f func(context.Context) error) (err error) {
	if exit := crash.Apart(func() { err = f(ctx) }); exit != nil {
		return exit
	}
	return err
}
