package consumer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// model drives a pool as a Supervisor does, one step of one random goroutine at a
// time, and keeps its own account of each event.
type model struct {
	t       *testing.T
	rnd     *rand.Rand
	retry   retry.Policy
	p       *pool[int]
	sides   []*modelSide
	active  []*modelWorker
	parked  []*modelWorker
	open    []order  // those that were not carried out
	finish  []func() // calls of Deferred.Finish that are still to come
	now     time.Duration
	alarm   time.Duration // when the timer of the pauses fires, or none
	halted  bool
	quieted int
}

// modelSide is one subscription with its producer.
type modelSide struct {
	a      *account[int]
	asked  int // what the producer may still deliver
	asking int // in hand-overs that are open
	inUse  int // slots of events that wait, run, or were left without a receipt
	events []modelEvent
}

// modelEvent is how far an event has come.
type modelEvent struct {
	attempts int
	deferred bool
	away     bool // it has given its slot back
	finished bool // its receipt is due
	given    bool // its producer has the receipt
}

// order is something that a goroutine carries out some time later, but before it
// comes back to the pool. by is nil for one that is not the pool's.
type order struct {
	by *modelWorker
	do func()
}

// modelWorker is a goroutine of the pool, and what it comes back from next.
type modelWorker struct {
	task *task[int] // nil once another worker has taken it over
	what happening
}

// Every event gets exactly one receipt or is left without one when the pool is
// stopped, the slots that are asked for are those that were freed, never more are
// in use than the subscription has, and nothing of the pool is left.
func TestPoolModel(t *testing.T) {
	for _, seed := range []uint64{rand.Uint64(), 1, 2} {
		t.Run(fmt.Sprint("seed_", seed), func(t *testing.T) {
			for round := range 300 {
				newModel(t, rand.New(rand.NewPCG(seed, uint64(round)))).run()
				if t.Failed() {
					t.Fatalf("seed %d, round %d", seed, round)
				}
			}
		})
	}
}

func newModel(t *testing.T, rnd *rand.Rand) *model {
	m := &model{t: t, rnd: rnd, p: &pool[int]{rules: rules{
		restart: Restart(rnd.IntN(2)), maxRestarts: []int{5, 50, stage.Unlimited}[rnd.IntN(3)],
		window: 100, maxDeferred: rnd.IntN(20), processors: 1 + rnd.IntN(3),
	}}}
	m.alarm = none
	m.retry = retry.Policy{MaxAttempts: []int{1, 2, 3, retry.Unlimited}[rnd.IntN(4)], Backoff: []time.Duration{retry.NoPause, 5, 30}[rnd.IntN(3)], MaxBackoff: 100}
	for range 1 + rnd.IntN(3) {
		slots := 1 + rnd.IntN(12)
		a := &account[int]{
			sub: new(stage.Subscription[int]), slots: slots, group: max(1, rnd.IntN(slots)), tracked: rnd.IntN(4) > 0,
			measured: rnd.IntN(2) == 0, deferred: make(map[uint64]struct{}),
		}
		m.p.accounts = append(m.p.accounts, a)
		m.sides = append(m.sides, &modelSide{a: a, asked: slots})
	}
	return m
}

// run makes random steps, then stops the pool and lets all that runs end.
func (m *model) run() {
	for step := 0; step < 400 && !m.halted && !m.t.Failed(); step++ {
		m.now++
		switch n := m.rnd.IntN(10); {
		case n < 2:
			m.deliver(m.sides[m.rnd.IntN(len(m.sides))])
		case n < 3:
			take(m.rnd, &m.finish)()
			if m.rnd.IntN(10) == 0 {
				m.withdraw()
			}
		case n < 4:
			m.carryOut()
			m.tick()
			m.alarmed()
		default:
			m.worker()
		}
		m.check()
	}
	if m.rnd.IntN(2) == 0 {
		m.exhaust()
	}
	var o orders[int]
	m.p.stop(&o)
	m.obey(nil, &o)
	for len(m.active)+len(m.open) > 0 {
		m.worker()
		m.carryOut()
		if m.rnd.IntN(9) == 0 {
			take(m.rnd, &m.finish)()
		}
		m.check()
	}
	if s := m.p.stats(); m.quieted != 1 || s.Goroutines+s.Busy+s.Stuck+s.Waiting+s.Pausing != 0 {
		m.t.Errorf("when all had ended it was quiet %d times, %+v", m.quieted, s)
	}
	o.reset()
	m.p.close(&o)
	m.obey(nil, &o)
	for len(m.open) > 0 {
		m.carryOut()
	}
	for len(m.finish) > 0 {
		take(m.rnd, &m.finish)() // they come too late
	}
	for _, side := range m.sides {
		for position, e := range side.events {
			if side.a.tracked && e.finished != e.given {
				m.t.Errorf("event %d: finished %v, receipt %v", position, e.finished, e.given)
			}
		}
	}
}

// exhaust lets all that was delivered end: nothing is lost, and nothing waits for good.
func (m *model) exhaust() {
	for step := 0; !m.halted && !m.t.Failed(); step++ {
		if len(m.active)+len(m.open)+len(m.finish) == 0 && len(m.p.pauses.due) == 0 {
			break
		}
		if step > 1_000_000 {
			m.t.Errorf("no end: %+v", m.p.stats())
		}
		m.now++
		m.worker()
		m.carryOut()
		m.alarmed()
		if m.rnd.IntN(9) == 0 {
			take(m.rnd, &m.finish)()
		}
		m.check()
	}
	for _, side := range m.sides {
		for position, e := range side.events {
			if !e.finished && !m.halted {
				m.t.Errorf("event %d is lost: %+v", position, e)
			}
		}
	}
}

// alarmed is the timer of the pauses.
func (m *model) alarmed() {
	if m.alarm == none || m.alarm > m.now {
		return
	}
	var o orders[int]
	m.p.alarm(m.now, &o)
	m.setAlarm()
	m.obey(nil, &o)
}

// setAlarm sets the timer of the pauses.
func (m *model) setAlarm() {
	m.alarm = none
	if at, ok := m.p.pauses.first(); ok {
		m.alarm = at
	}
}

// take removes a random one of list and returns it.
func take(rnd *rand.Rand, list *[]func()) func() {
	if len(*list) == 0 {
		return func() {}
	}
	i := rnd.IntN(len(*list))
	f := (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	return f
}

// carryOut carries out a random order.
func (m *model) carryOut() {
	if len(m.open) > 0 {
		i := m.rnd.IntN(len(m.open))
		do := m.open[i].do
		m.open = slices.Delete(m.open, i, i+1)
		do()
	}
}

// comeBack carries out what w was ordered.
func (m *model) comeBack(w *modelWorker) {
	var own []func()
	m.open = slices.DeleteFunc(m.open, func(o order) bool {
		if o.by == w {
			own = append(own, o.do)
		}
		return o.by == w
	})
	for _, do := range own {
		do()
	}
}

// deliver sends events against the demand.
func (m *model) deliver(side *modelSide) {
	n := min(side.asked, 1+m.rnd.IntN(5))
	if n == 0 {
		return
	}
	var o orders[int]
	m.p.deliver(side.a, uint64(len(side.events)), make([]int, n), &o)
	side.asked -= n
	side.inUse += n
	side.events = append(side.events, make([]modelEvent, n)...)
	m.obey(nil, &o)
}

// worker has a random goroutine come back.
func (m *model) worker() {
	if len(m.active) == 0 {
		return
	}
	i := m.rnd.IntN(len(m.active))
	w := m.active[i]
	m.active = slices.Delete(m.active, i, i+1)
	var o orders[int]
	if w.task == nil {
		m.p.stray(&o)
		m.obey(nil, &o)
		return
	}
	m.comeBack(w)
	e := event{what: w.what, now: m.now, cancelled: m.p.phase != working}
	if w.what == ended {
		m.attempt(w, &e)
	}
	if (w.what == ended || w.what == reported) && m.rnd.IntN(20) == 0 {
		// Its user function does not return: another goroutine comes back for it.
		next := &modelWorker{task: w.task, what: w.what}
		if e.err = errPool; w.what == ended && m.rnd.IntN(2) == 0 {
			w.task = nil
			m.p.lost()
			m.active = append(m.active, w)
		}
		w = next
	}
	e.decision, _ = decide(m.retry, w.task.attempt, e.err)
	side, at, pause := m.sideOf(w.task.account), w.task.position, w.task.pause
	m.p.step(w.task, &e, &o)
	if w.what == ended || w.what == reported {
		m.judge(w, side, at, pause, &e, &o)
	}
	switch o.do {
	case try:
		w.what = ended
		m.active = append(m.active, w)
	case report:
		w.what = reported
		m.active = append(m.active, w)
	case back:
		w.what = returned
		m.active = append(m.active, w)
	case park:
		m.parked = append(m.parked, w)
	}
	m.obey(w, &o)
}

// attempt is an attempt with a random end.
func (m *model) attempt(w *modelWorker, e *event) {
	side, at := m.sideOf(w.task.account), w.task.position
	if m.rnd.IntN(4) == 0 && m.p.postpone(w.task) {
		side.events[at].deferred = true
		m.finish = append(m.finish, func() { m.finishDeferred(side, at) })
	}
	e.timed, e.cost = m.rnd.IntN(2) == 0, time.Duration(m.rnd.IntN(10))*time.Microsecond
	switch m.rnd.IntN(6) {
	case 0, 1:
		e.err = errPool
	case 2:
		e.err = stage.Discard("")
	}
}

// judge checks what the pool has decided about an event whose attempt or report
// has ended, and notes it.
func (m *model) judge(w *modelWorker, side *modelSide, at uint64, pause time.Duration, e *event, o *orders[int]) {
	r, ev := m.p.rules, &side.events[at]
	if w.what == ended {
		ev.attempts++
	}
	again := r.restart == Transient && !ev.deferred && ev.attempts < m.retry.MaxAttempts
	switch {
	case w.what == ended && e.err != nil && !discarded(e.err):
		if !e.cancelled && o.do != report && !(again && o.halt != nil) {
			m.t.Errorf("a failure was neither reported nor one too many: deed %d", o.do)
		}
		if o.do == report && w.task.again != again {
			m.t.Errorf("attempt %d of %d, deferred %v: again %v", ev.attempts, m.retry.MaxAttempts, ev.deferred, w.task.again)
		}
	case w.what == reported && again && m.p.phase == working:
		if pause > 0 {
			m.rests(side, at)
		} else if o.do != try {
			m.t.Errorf("after attempt %d of %d: deed %d", ev.attempts, m.retry.MaxAttempts, o.do)
		}
	case w.what == reported && again:
	default:
		ev.finished = ev.finished || !ev.deferred
		if !ev.away {
			side.inUse--
		}
	}
}

// rests notes that an event waits for its next attempt, and checks that the pool has it.
func (m *model) rests(side *modelSide, at uint64) {
	if ev := &side.events[at]; !ev.away && side.a.slots > 1 {
		ev.away = true
		side.inUse--
	}
	if !slices.ContainsFunc(m.p.pauses.jobs, func(c comeback[int]) bool { return c.account == side.a && c.position == at }) {
		m.t.Errorf("event %d does not wait for its next attempt", at)
	}
}

// withdraw asks some of the events back that no worker has.
func (m *model) withdraw() {
	var o orders[int]
	m.p.withdraw(func(j *job[int]) bool {
		if m.rnd.IntN(2) == 0 {
			return false
		}
		side := m.sideOf(j.account)
		ev := &side.events[j.position]
		ev.finished = true
		if !ev.away {
			side.inUse--
		}
		return true
	}, &o)
	m.setAlarm()
	m.handOvers(&o)() // on the stage's goroutine, which also ends the pool
	o.settle = nil
	m.obey(nil, &o)
}

// finishDeferred gives a deferred receipt.
func (m *model) finishDeferred(side *modelSide, at uint64) {
	var o orders[int]
	ev := &side.events[at]
	ev.finished = ev.finished || m.p.phase != closed
	m.p.settleDeferred(side.a, stage.Finished{Position: at}, &o)
	m.outside(&o)
	if m.rnd.IntN(5) == 0 {
		var o orders[int]
		m.p.settleDeferred(side.a, stage.Finished{Position: at}, &o)
		m.outside(&o)
	}
}

// tick is the timer that was ordered.
func (m *model) tick() {
	if m.p.ticking {
		var o orders[int]
		m.p.tick(&o)
		m.outside(&o)
	}
}
