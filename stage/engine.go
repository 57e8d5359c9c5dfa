package stage

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/internal/mailbox"
)

// engine is one stage of any kind, with its goroutine. The goroutine owns all that stands
// under "The rest" below and receives mail through its mailbox, in the order in which the
// mail was posted. A producer has only out, a consumer only in, and a producer-consumer
// both.
//
// A stage works in rounds: it takes all mail, acts on each in turn (takeAll), then serves,
// produces and ends what the mail made possible (settle), and waits for more. Other
// goroutines reach it by mail alone, except for the fields in the first two groups.
//
// What every round of a consumer uses comes first and fills few cache lines: the memory of
// thousands of consumers does not fit into the caches, so that a round costs as much as
// lines were touched.
type engine[In, Out any] struct {
	box mailbox.Mailbox[mail[In, Out]] // for any goroutine
	_   [8]byte                        // to the end of the cache line

	// These belong to the stage's goroutine, as do those under "The rest".
	round[In, Out]

	// These do not change after init, and other goroutines may read them.
	name    string
	id      uint64
	node    node
	handler any
	log     *slog.Logger

	mu       sync.Mutex      // guards rejected, killed, unread, and cancel until the stage runs
	rejected error           // of the first Subscribe that was refused before the start
	killed   error           // stopped while it was being started
	unread   []chan Snapshot // asked for by callers that have gone since
	started  atomic.Bool
	ready    chan struct{} // closed when the start has succeeded or failed
	start    readiness     // read by others once ready is closed
	stopped  chan struct{}
	cancel   context.CancelCauseFunc
	err      error    // why it stopped; written before stopped is closed
	last     Snapshot // as err

	// The rest belongs to the stage's goroutine.
	handle Handle
	taken  []bool // scratch of descend
	reason error
	timers timers

	ignored   int // messages for a handler without HandleInfo
	ignoredAt time.Time
}

// round is the part of an engine that a round works with.
type round[In, Out any] struct {
	in  *inlet[In]
	out *outlet[Out]

	// These are the state of the loop. If the goroutine ends in the middle of a round,
	// finish looks at mails from at on.
	mails     []mail[In, Out] // of this round
	at        int             // the first of them that was not taken
	again     bool            // another round is due even without mail
	brisk     bool            // the last round moved as much as it could: more is likely to come at once
	progress  progress
	draining  bool         // the orderly end has begun
	failed    bool         // a handler has failed, which ends the stage
	gathering bool         // events have arrived since HandleFlush
	ebbing    bool         // of a BusyHandler: nothing more can arrive, and HandleFlush was called for that
	pressed   bool         // a producer waits for receipts: relieve is due
	lineage   *lineage[In] // of a producer-consumer whose inputs want receipts

	running string          // the handler that is being called
	ctx     context.Context // of the handlers; cancelled by Stop, or at the end
	do      table[In, Out]  // what the handler does
}

// lastID and lastSubscription number the stages and subscriptions of the process.
var lastID, lastSubscription atomic.Uint64

// init fills in what every kind of stage has. The name is set before the handler is
// checked, since the error names the stage.
func (e *engine[In, Out]) init(name string, handler any, log *slog.Logger) error {
	e.id = lastID.Add(1)
	e.handler = handler
	e.name = name
	if name == "" {
		e.name = defaultName(handler, e.id)
	}
	e.node.id, e.node.name = e.id, e.name
	if err := ownerOf(e.name).Needs("handler", handler, "a handler"); err != nil {
		return err
	}
	if log == nil {
		log = slog.Default()
	}
	e.log = log
	e.box.Init()
	e.ready = make(chan struct{})
	e.stopped = make(chan struct{})
	e.handle = Handle{name: e.name, wake: e.box.Poke, post: func(k kind, x any) bool {
		return e.box.Post(mail[In, Out]{kind: k, x: x})
	}}
	return nil
}

// run is the stage's goroutine.
func (e *engine[In, Out]) run() {
	// What the handlers start has the label too.
	pprof.SetGoroutineLabels(e.ctx)
	clean := false
	defer func() { e.finish(recover(), clean) }()
	if e.begin(); !e.isOver() {
		e.loop()
	}
	clean = true
}

// begin runs HandleStart and takes the mail that was there before the start, so
// that earlier subscriptions have been sent when Start returns: a drain after that
// includes the subscribers.
func (e *engine[In, Out]) begin() {
	// From here on HandleTerminate is called at the end, even if HandleStart fails.
	e.start = greeted
	if e.out != nil {
		e.out.emit.wake = e.box.Poke
	}
	e.beginTracing()
	if e.out != nil {
		e.out.sayDrops(e.log)
	}
	if f := e.do.emitter; f != nil {
		e.running = "HandleEmitter"
		f(&e.out.emit)
	}
	if f := e.do.Start; f != nil {
		e.running = "HandleStart"
		e.check(f(e.ctx, &e.handle))
	}
	if e.isOver() {
		return
	}
	var poked bool
	e.mails, poked = e.box.Take(nil)
	if e.takeAll(); e.isOver() {
		return
	}
	e.start = ready
	// e.start is read by launch once ready is closed, and so is set first.
	close(e.ready)
	e.settle(poked)
}

// loop runs rounds until the stage is over. It rests only if there is no mail, no Wake and
// nothing left of the last round, and if HandleFlush has nothing to pass on.
func (e *engine[In, Out]) loop() {
	for !e.isOver() {
		var poked bool
		if e.mails, poked = e.box.Take(e.mails); e.idle(poked) && e.brisk {
			// Only after a brisk round: an idle stage parks at once.
			runtime.Gosched() // costs less than to park and be woken
			e.mails, poked = e.box.Take(e.mails)
		}
		if e.idle(poked) && !e.flushIdle() && !e.relieve() {
			e.awaitMail()
			if e.mails, poked = e.box.Take(e.mails); len(e.mails) == 0 && !poked && e.out != nil {
				e.out.changed = true // a deadline of the dispatcher has come
			}
		}
		e.again, e.brisk = false, false
		if e.takeAll(); !e.isOver() {
			e.settle(poked)
		}
	}
}

// takeAll takes the mails of a round. If the stage ends in the middle, those from
// e.at on are left.
func (e *engine[In, Out]) takeAll() {
	for i := 0; i < len(e.mails) && !e.isOver(); i++ {
		m := &e.mails[i]
		e.at = i + 1
		// The usual mail of a consumer, without the stack frame of take.
		if m.kind == mailEvents {
			e.arrived(m.up, m.batch)
			*m = mail[In, Out]{}
			continue
		}
		if m.kind == mailSubscribe || m.kind == mailJoin {
			e.at = i // its sender waits for a reply, also if a handler panics now
		}
		e.take(m)
		e.at = i + 1
		// The slice is used again: it must not keep events and functions alive, and the
		// mailbox wants it cleared.
		*m = mail[In, Out]{}
	}
	if !e.isOver() {
		e.mails, e.at = e.mails[:0], 0
	}
}

// take acts on one mail. Nothing is delivered here: settle does that once for all mail of
// the round, so that the demand of several subscribers is served together.
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
		e.left(m.down, int(m.done), m.x.(farewell))
	case mailEnded:
		e.upstreamEnded(m.up, m.x.(error))
	case mailJoin:
		e.join(m.up)
	case mailDo:
		e.running = "Do"
		// The function may have changed the dispatcher, which is asked again.
		m.x.(func())()
		if e.out != nil {
			e.out.changed = true
		}
	case mailInfo:
		e.inform(m.x)
	case mailInfoBehind:
		e.informBehind(m.x)
	case mailEvery:
		e.tickEvery(m.x.(time.Duration))
	case mailTick:
		e.tick(m.n)
	case mailWakeAt:
		e.wakeAt(m.x.(time.Time))
	case mailStalled:
		e.pressed = true
		if !m.up.stalled && m.up.intake < intakeOver {
			m.up.stalled = true
			e.in.stalled++
		}
	case mailMode:
		e.out.paused = DemandMode(m.n) == Accumulate && !e.draining
		e.out.changed = true
	case mailDrain:
		members, _ := m.x.(map[*node]bool)
		e.drain(members)
	case mailHandled:
		if e.out != nil {
			e.out.consoled(m.x.(*node))
		}
	case mailWithdraw:
		e.withdraw(m.x.(spans))
	case mailWithdrawTails:
		e.withdrawTails(m.x.([]spans))
	case mailWithdrawn:
		e.recalled(m.up)
	case mailStop:
		reason, _ := m.x.(error)
		e.stop(reason)
	}
}

// settle ends a round: everything that the mails made possible is done.
func (e *engine[In, Out]) settle(poked bool) {
	if e.out != nil {
		if poked && e.do.wake != nil && !e.isDry() {
			e.running = "HandleWake"
			e.check(e.do.wake(e.ctx, &e.out.emit))
			e.stirred()
		}
		e.produce()
	}
	if e.in != nil && !e.isOver() {
		e.consumeQueued()
		if poked || e.in.waiting > 0 {
			e.farewell()
		}
	}
	// What is emitted is dispatched, and its lineage entered, before the end is
	// considered: completing now would leave it behind.
	if !e.isOver() && e.out != nil && (e.out.emit.Len() > 0 || e.out.emit.told()) {
		e.again = true // a handler has used the emitter since it was last read
		return
	}
	if e.complete(); e.lineage != nil {
		e.sendPending()
	}
	if e.out != nil {
		e.out.noteLosses()
		e.logTallies(false)
	}
}
