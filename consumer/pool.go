package consumer

import (
	"time"

	"github.com/penstock-go/penstock/internal/pace"
	"github.com/penstock-go/penstock/internal/ring"
)

// pool decides what a Supervisor does: which job runs next, how many goroutines
// are woken for it, what follows from an attempt's end, and which slots and
// receipts are handed to the producer.
//
// It has no lock, goroutine, clock or channel. The Supervisor holds its lock
// during every call and carries out the orders after it has released the lock.
type pool[T any] struct {
	rules rules
	phase phase
	// waiting holds the jobs that no goroutine has taken, in the order of their arrival. Those
	// of due come before them, and pauses holds those that are not to be taken yet.
	waiting  ring.Ring[job[T]]
	due      ring.Ring[comeback[T]]
	pauses   pauses[T]
	accounts []*account[T]
	restarts ring.Ring[time.Duration] // when, within the window

	// Counts of goroutines. Each of the pool's own is idle, waking, or busy.
	running int // all that belong to the pool
	idle    int // of them those that wait to be woken
	waking  int // of them those that were woken and have not taken a job yet
	busy    int // of them those with a task
	stuck   int // left the pool without their task and have not returned yet

	restarted int64         // attempts that followed a failed one
	failed    int64         // events that have failed for good
	again     pace.Failures // of the log
	forGood   pace.Failures

	buried  int        // events that wait for their letter
	exhumed bool       // they are not waited for any more
	handing int        // hand-overs that are under way outside of the pool's goroutines
	ticking bool       // tick is called some time later
	ticks   int        // calls of tick
	tasks   []*task[T] // of all goroutines
	slow    bool       // the last attempt that was timed took longer than slowJob
}

// rules are the part of a Supervisor's config that the pool decides by.
type rules struct {
	stage       string // its name, for errors
	restart     Restart
	maxRestarts int // stage.Unlimited: no bound
	window      time.Duration
	maxDeferred int
	processors  int
}

// phase is how far the life of a pool has come.
type phase uint8

const (
	working  phase = iota
	stopping       // no job is begun; what runs may end, with a receipt
	closed         // the stage has left its producers: receipts go nowhere
)

const (
	// slowJob is how long a job takes that is long compared with waking a
	// goroutine.
	slowJob = 5 * time.Microsecond
	// company is how many receipts, or slots to ask for, are handed over at
	// once while jobs wait. Fewer are kept back until then.
	company = 64
	// patience is how long slots that do not make up a group wait for others.
	patience = 100 * time.Millisecond
	// longTicks is how many ticks a worker has run for that takes long.
	longTicks = 2
	none      = -1
)

// job is an event that waits for a goroutine.
type job[T any] struct {
	account  *account[T]
	position uint64
	event    T
	first    time.Duration // when it has failed for the first time, 0: it has not
}

// task is a job in the hands of a goroutine. It passes to another goroutine when an
// attempt does not return. Between jobs it stays with its goroutine, empty.
type task[T any] struct {
	job[T]
	known    bool          // the task is in pool.tasks
	begun    int           // the tick at which the job was taken, or none
	attempt  int           // of this job, from 1; those that do not count have the number of the next
	counts   bool          // the last attempt counts
	tries    uint64        // attempts of all jobs that this task has held
	trying   bool          // an attempt is under way
	deferred bool          // the caller of Defer gives the receipt
	away     bool          // the event has given its slot back
	failure  error         // a *WorkerError that is being reported
	again    bool          // another attempt follows the report
	pause    time.Duration // before that attempt
	line     pace.Failure  // for the log
	cost     time.Duration
	sight    sight // of the looks for workers that do not return
}

// begin starts an attempt. tries grows with it, so that the timer of an earlier attempt
// can see that it is late.
func (t *task[T]) begin() {
	t.tries++
	t.trying = true
}

// deliver adds the events of one delivery, the first of which has the position first, and
// orders goroutines for them.
func (p *pool[T]) deliver(a *account[T], first uint64, events []T, o *orders[T]) {
	for i, event := range events {
		p.waiting.Push(job[T]{account: a, position: first + uint64(i), event: event})
	}
	p.wake(o)
}

// step decides what a goroutine does next, to which e has happened. t is its
// task.
func (p *pool[T]) step(t *task[T], e *event, o *orders[T]) {
	switch e.what {
	case woken:
		p.waking--
		if !t.known {
			t.known, t.begun = true, none
			p.tasks = append(p.tasks, t)
		}
	case ended:
		if p.ended(t, e, o) {
			return
		}
	case reported:
		if p.reported(t, e, o) {
			return
		}
	}
	p.next(t, o)
}

// next gives a goroutine without a task its next job, or lets it park or leave. A
// goroutine that takes a job wakes the next one before it begins.
func (p *pool[T]) next(t *task[T], o *orders[T]) {
	switch {
	case p.phase != working && len(o.settle) > 0:
		o.do = back // the end must not overtake what is handed over
		return
	case p.phase != working:
		p.running--
		o.do = leave
		p.hush(o)
		return
	}
	ok, held := p.take(t)
	if p.jobs() == 0 && (ok || held) {
		// What was kept back for company must not wait for the end of the last
		// job.
		for _, a := range p.accounts {
			p.settle(a, true, o)
		}
		o.yield = p.slow && len(o.settle) > 0
	}
	if !ok {
		// The goroutine is in the stack of idle ones before the lock is released.
		p.idle++
		*t = task[T]{known: true, begun: none, tries: t.tries} // a parked goroutine keeps no event alive
		o.do = park
		return
	}
	t.begun, t.deferred = p.ticks, false
	t.begin()
	p.busy++
	t.account.workers++
	p.wake(o)
	o.do = try
	// Attempts are timed when it matters whether jobs are slow: while others are woken.
	o.timed = o.wake+o.start > 0 || t.account.measured
}

// wake orders goroutines for waiting jobs. As long as jobs are short one is woken
// at a time, which wakes the next when it has taken its job, so that events which
// one goroutine gets through alone do not cost a wake-up each. Of slow jobs as
// many are given away at once as there are processors.
func (p *pool[T]) wake(o *orders[T]) {
	limit := 1
	if p.slow {
		limit = p.rules.processors
	}
	n := min(limit, p.jobs()) - p.waking
	if n <= 0 || p.phase != working {
		return
	}
	o.some = true
	o.wake = min(n, p.idle)
	o.start = n - o.wake
	// They count as running from now on, so that the pool does not end before they have
	// come.
	p.waking += n
	p.idle -= o.wake
	p.running += o.start
}

// stop begins the end: waiting jobs are dropped without a receipt, and idle
// goroutines are woken in order to leave.
func (p *pool[T]) stop(o *orders[T]) {
	p.phase = stopping
	// The farewell of the stage counts these as unhandled, and their producer has them
	// again.
	p.waiting.Drop(p.waiting.Len())
	p.due.Drop(p.due.Len())
	p.pauses = pauses[T]{}
	for _, a := range p.accounts {
		a.held.Drop(a.held.Len())
	}
	o.some = true
	o.wake, p.idle = p.idle, 0
	p.waking += o.wake
	p.hush(o)
}

// hush closes a pool that is stopping when nothing of it runs any more.
func (p *pool[T]) hush(o *orders[T]) {
	if p.phase == stopping && p.running+p.stuck+p.handing == 0 && (p.buried == 0 || p.exhumed) {
		p.phase = closed
		o.some, o.quiet = true, true
	}
}

// close ends the pool, whatever still runs, and orders the last hand-overs.
func (p *pool[T]) close(o *orders[T]) {
	for _, a := range p.accounts {
		if a.ended > 0 {
			a.hand(0, o)
		}
	}
	p.phase = closed
}

// lost notes that a goroutine has lost its task while its attempt still runs.
// stray is called when it has returned.
func (p *pool[T]) lost() { p.stuck++ }

// stray is the end of a goroutine that has lost its task.
func (p *pool[T]) stray(o *orders[T]) {
	p.stuck--
	o.do = leave
	p.hush(o)
}

// stats are the pool's figures.
func (p *pool[T]) stats() SupervisorSnapshot {
	s := SupervisorSnapshot{
		Busy: p.busy, Waiting: p.jobs(), Pausing: len(p.pauses.due), Goroutines: p.running, Stuck: p.stuck,
		Restarts: p.restarted, Failed: p.failed,
	}
	for _, a := range p.accounts {
		s.Deferred += len(a.deferred)
		s.Waiting += a.held.Len()
	}
	return s
}
