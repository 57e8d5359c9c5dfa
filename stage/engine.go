package stage

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/internal/mailbox"
)

// engine is one stage: a goroutine that owns everything below and is told
// things through its mailbox. A producer has only out, a consumer only in.
type engine[In, Out any] struct {
	name    string
	id      uint64
	handler any
	log     *slog.Logger
	box     *mailbox.Mailbox[mail[In, Out]]
	invalid error // a wrong option, reported by Start

	mu      sync.Mutex // guards cancel until the stage runs, and killed
	killed  error      // stopped while it was being started
	started atomic.Bool
	ready   chan struct{} // closed when HandleStart has returned
	stopped chan struct{}
	cancel  context.CancelCauseFunc
	err     error // why it stopped; written before stopped is closed

	// The rest belongs to the stage's goroutine.
	ctx    context.Context
	handle Handle
	in     *inlet[In]
	out    *outlet[Out]
	prod   Producer[Out]
	cons   Consumer[In]
	defr   DeferredConsumer[In]
	both   ProducerConsumer[In, Out]
	waker  Waker[Out]

	running  string // the handler that is being called
	begun    bool   // HandleStart was called, if there is one
	draining bool
	dry      bool // the source will emit nothing more
	ending   bool // subscribers have been told that this is the end
	end      bool // leave the loop
	reason   error
}

var lastID atomic.Uint64

func (e *engine[In, Out]) init(name string, handler any, log *slog.Logger) {
	e.id = lastID.Add(1)
	e.handler = handler
	e.name = name
	if name == "" {
		e.name = defaultName(handler, e.id)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	e.log = log
	e.box = mailbox.New[mail[In, Out]]()
	e.ready = make(chan struct{})
	e.stopped = make(chan struct{})
	e.waker, _ = handler.(Waker[Out])
	e.handle = Handle{name: e.name, wake: e.box.Poke, send: func(msg any) bool {
		return e.box.Post(mail[In, Out]{kind: mailInfo, x: msg})
	}}
}

// run is the stage's goroutine.
func (e *engine[In, Out]) run() {
	clean := false
	defer func() { e.finish(recover(), clean) }()
	e.begun = true
	if starter, ok := e.handler.(Starter); ok {
		e.running = "HandleStart"
		if err := starter.HandleStart(e.ctx, &e.handle); err != nil {
			e.fail(err)
			clean = true
			return
		}
	}
	close(e.ready)
	e.loop()
	clean = true
}

func (e *engine[In, Out]) loop() {
	var mails []mail[In, Out]
	for !e.end {
		var poked bool
		if mails, poked = e.box.Take(mails); len(mails) == 0 && !poked {
			e.box.Wait(e.patience())
			if mails, poked = e.box.Take(mails); len(mails) == 0 && !poked && e.out != nil {
				e.out.changed = true // a deadline of the dispatcher's has come
			}
		}
		for i := range mails {
			e.take(&mails[i])
			if e.end {
				return
			}
		}
		clear(mails)
		e.settle(poked)
	}
}

// patience is how long the stage may wait for mail: until its dispatcher's next
// deadline, or for ever, which is negative.
func (e *engine[In, Out]) patience() time.Duration {
	if e.out == nil || e.out.timed == nil {
		return -1
	}
	at, ok := e.out.timed.Wake()
	if !ok {
		return -1
	}
	return max(0, time.Duration(at-e.out.now()))
}

func (e *engine[In, Out]) take(m *mail[In, Out]) {
	switch m.kind {
	case mailEvents:
		e.arrived(m.up, m.batch)
	case mailAsk:
		e.asked(m.down, m.n, int(m.done), m.spent, m.x)
	case mailSubscribe:
		e.subscribed(m.down)
	case mailCancel:
		e.cancelled(m.down, m.x.(error))
	case mailBye:
		reason, _ := m.x.(error)
		e.left(m.down, int(m.done), reason)
	case mailEnded:
		e.upstreamEnded(m.up, m.x.(error))
	case mailJoin:
		e.join(m.up)
	case mailDo:
		e.running = "Do"
		m.x.(func())()
		if e.out != nil {
			e.out.changed = true
		}
	case mailInfo:
		if h, ok := e.handler.(Informed); ok {
			e.running = "HandleInfo"
			e.check(h.HandleInfo(e.ctx, m.x))
		}
	case mailDrain:
		e.drain()
	case mailStop:
		reason, _ := m.x.(error)
		e.stop(reason)
	}
}

// settle ends a round: everything that the mails made possible is done.
func (e *engine[In, Out]) settle(poked bool) {
	if e.out != nil {
		if poked && e.waker != nil && !e.dry {
			e.running = "HandleWake"
			e.check(e.waker.HandleWake(e.ctx, &e.out.emit))
		}
		e.produce()
	}
	if e.in != nil && !e.end {
		e.consumeQueued()
		if poked {
			e.farewell()
		}
	}
	e.complete()
}

// check stops the stage when a handler has failed, and remembers when a source
// has run dry. A handler that gave up since its context was cancelled has not
// failed: the stage ends for the reason for which it was cancelled.
func (e *engine[In, Out]) check(err error) {
	switch {
	case err == nil:
	case e.prod != nil && isDone(err):
		e.dry = true
	case e.ctx.Err() != nil && errors.Is(err, e.ctx.Err()):
		e.stop(context.Cause(e.ctx))
	default:
		e.fail(err)
	}
}

// fail stops the stage with a handler's error.
func (e *engine[In, Out]) fail(err error) {
	if !e.end {
		e.stop(&Error{Stage: e.name, Handler: e.running, Err: err})
	}
}

// stop leaves the loop with reason.
func (e *engine[In, Out]) stop(reason error) {
	if !e.end {
		e.end, e.reason = true, reason
	}
}

// finish runs at the end of the stage's goroutine, whatever ended it. Its steps
// are deferred, so that a handler that panics or exits in one of them does not
// keep the rest from being done.
func (e *engine[In, Out]) finish(panicked any, clean bool) {
	switch {
	case panicked != nil:
		e.end, e.reason = true, e.panicError(panicked)
	case !clean:
		e.end, e.reason = true, &Error{Stage: e.name, Handler: e.running, Err: ErrGoexit}
	}
	failure := e.reason
	if normal(failure) {
		failure = nil
	}
	if e.reason != nil {
		e.cancel(e.reason)
	}
	defer func() {
		e.cancel(ErrStopped)
		e.err = failure
		select {
		case <-e.ready:
		default:
			close(e.ready)
		}
		close(e.stopped)
	}()
	guard := func(step func()) {
		defer func() {
			if p := recover(); p != nil && failure == nil {
				failure = e.panicError(p)
			}
		}()
		step()
	}
	terminate := func() {
		if t, ok := e.handler.(Terminator); ok && e.begun {
			e.running = "HandleTerminate"
			t.HandleTerminate(e.ctx, failure)
		}
	}
	// What was posted until now is looked at once more, so that nobody waits
	// for an answer and no receipt that came in time is lost.
	rest := e.box.Close()
	if e.out != nil {
		if e.in == nil {
			defer guard(terminate)
		}
		defer guard(func() { e.endAll(orDone(e.reason)) })
	}
	if e.in != nil {
		// Workers end in HandleTerminate, and their receipts go before the
		// farewell.
		defer guard(func() { e.leaveAll(orDone(e.reason)) })
		defer guard(terminate)
	}
	guard(func() { e.refuseRest(rest) })
}

func (e *engine[In, Out]) panicError(p any) error {
	return &Error{Stage: e.name, Handler: e.running, Err: &PanicError{Value: p, Stack: debug.Stack()}}
}

// refuseRest answers mail that came too late.
func (e *engine[In, Out]) refuseRest(rest []mail[In, Out]) {
	for i := range rest {
		switch m := &rest[i]; m.kind {
		case mailSubscribe:
			m.down.down.postEnded(m.down, orDone(e.reason))
		case mailAsk:
			if m.down.slot >= 0 {
				e.receive(m.down, int(m.done), m.x)
			}
		case mailBye:
			if m.down.slot >= 0 {
				e.receive(m.down, int(m.done), nil)
			}
		case mailJoin:
			m.up.finish(orDone(e.reason))
		}
	}
	if e.out != nil {
		e.reportReceipts()
	}
}

func orDone(reason error) error {
	if reason == nil {
		return ErrDone
	}
	return reason
}
