package consumer

import (
	"errors"
	"testing"
	"time"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

var errPool = errors.New("oops")

// newPool returns a pool with one account.
func newPool(r rules, slots, group int, tracked bool) (*pool[int], *account[int]) {
	p := &pool[int]{rules: r}
	p.rules.processors = max(1, r.processors)
	a := &account[int]{slots: slots, group: group, tracked: tracked, deferred: make(map[uint64]struct{})}
	p.accounts = append(p.accounts, a)
	return p, a
}

// taken delivers n events and has one goroutine take the first.
func taken(p *pool[int], a *account[int], n int) *task[int] {
	var o orders[int]
	p.deliver(a, 0, make([]int, n), &o)
	t := new(task[int])
	p.step(t, &event{what: woken}, &o)
	return t
}

// What follows from the end of an attempt.
func TestPoolEndOfAnAttempt(t *testing.T) {
	const unlimited = stage.Unlimited
	failed := func(e *event) { e.err, e.now = errPool, time.Second }
	again := func(e *event) { failed(e); e.decision = decision{again: true, counts: true} }
	later := func(e *event) { failed(e); e.decision = decision{again: true} }
	for name, tc := range map[string]struct {
		rules    rules
		deferred bool
		attempt  int
		end      func(*event)
		do       deed
		again    bool
		halts    bool
		receipts int
	}{
		"returns":            {rules{}, false, 1, func(*event) {}, park, false, false, 1},
		"discards":           {rules{}, false, 1, func(e *event) { e.err = stage.Discard(receipt.Expired) }, park, false, false, 1},
		"defers":             {rules{}, true, 1, func(*event) {}, park, false, false, 0},
		"fails":              {rules{maxRestarts: unlimited}, false, 1, again, report, true, false, 0},
		"fails deferred":     {rules{maxRestarts: unlimited}, true, 1, again, report, false, false, 0},
		"fails temporary":    {rules{restart: Temporary}, false, 1, again, report, false, false, 0},
		"fails the last":     {rules{maxRestarts: unlimited}, false, 3, failed, report, false, false, 0},
		"too many restarts":  {rules{maxRestarts: 0, window: time.Hour}, false, 1, again, park, false, true, 0},
		"comes later":        {rules{maxRestarts: 0, window: time.Hour}, false, 1, later, report, true, false, 0},
		"while it is ended":  {rules{maxRestarts: unlimited}, false, 1, func(e *event) { again(e); e.cancelled = true }, park, false, false, 0},
		"returns meanwhile":  {rules{}, false, 1, func(e *event) { e.cancelled = true }, park, false, false, 1},
		"discards meanwhile": {rules{}, false, 1, func(e *event) { e.err, e.cancelled = stage.Discard(""), true }, park, false, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p, a := newPool(tc.rules, 10, 1, true)
			task := taken(p, a, 1)
			task.attempt = tc.attempt
			if tc.deferred && (!p.postpone(task) || p.postpone(task)) {
				t.Error("postponed not once")
			}
			var o orders[int]
			e := &event{what: ended}
			tc.end(e)
			p.step(task, e, &o)
			got := 0
			for _, h := range o.settle {
				got += len(h.list)
			}
			if o.do != tc.do || got != tc.receipts || (o.halt != nil) != tc.halts || o.do == report && task.again != tc.again {
				t.Errorf("deed %d, again %v, halt %v, receipts %d", o.do, task.again, o.halt, got)
			}
			if tc.halts && (!errors.Is(o.halt, ErrTooManyRestarts) || !errors.Is(o.halt, errPool)) {
				t.Error(o.halt)
			}
		})
	}
}

// How many goroutines are woken and started for jobs that wait.
func TestPoolWakes(t *testing.T) {
	for name, tc := range map[string]struct {
		waiting, idle, waking int
		slow                  bool
		phase                 phase
		wake, start           int
	}{
		"nothing waits":      {0, 5, 0, false, working, 0, 0},
		"one at a time":      {9, 5, 0, false, working, 1, 0},
		"none is idle":       {9, 0, 0, false, working, 0, 1},
		"one is on its way":  {9, 5, 1, false, working, 0, 0},
		"slow jobs":          {9, 5, 0, true, working, 4, 0},
		"few slow jobs":      {2, 5, 0, true, working, 2, 0},
		"slow, some on way":  {9, 5, 3, true, working, 1, 0},
		"slow, too few idle": {9, 1, 0, true, working, 1, 3},
		"stopping":           {9, 5, 0, true, stopping, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p, a := newPool(rules{processors: 4}, 10, 1, false)
			p.idle, p.waking, p.slow, p.phase = tc.idle, tc.waking, tc.slow, tc.phase
			p.running = p.idle + p.waking
			var o orders[int]
			p.deliver(a, 0, make([]int, tc.waiting), &o)
			if o.wake != tc.wake || o.start != tc.start {
				t.Errorf("woke %d and started %d, want %d and %d", o.wake, o.start, tc.wake, tc.start)
			}
			if p.waking != tc.waking+tc.wake+tc.start || p.running != tc.idle+tc.waking+tc.start || p.idle != tc.idle-tc.wake {
				t.Errorf("%d waking, %d running, %d idle", p.waking, p.running, p.idle)
			}
		})
	}
}

// Which slots are asked for, and when receipts are handed over.
func TestPoolSettles(t *testing.T) {
	for name, tc := range map[string]struct {
		group, bound     int
		freed, ended     int
		deferred, queued int
		hurry, tracked   bool
		ask, receipts    int
	}{
		"nothing":                 {group: 1},
		"a slot":                  {group: 1, freed: 1, ended: 1, ask: 1, receipts: 1},
		"less than a group":       {group: 5, freed: 4, ended: 4, receipts: 4},
		"a group":                 {group: 5, freed: 5, ended: 1, ask: 5, receipts: 1},
		"more than a group":       {group: 5, freed: 8, ask: 8},
		"few, and jobs wait":      {group: 1, freed: 9, ended: 9, queued: 1},
		"many, and jobs wait":     {group: 1, freed: 64, ended: 64, queued: 1, ask: 64, receipts: 64},
		"hurry":                   {group: 1, freed: 9, ended: 9, queued: 1, hurry: true, ask: 9, receipts: 9},
		"hurry, only a number":    {group: 99, freed: 9, ended: 9, queued: 1, hurry: true},
		"hurry, receipts":         {group: 99, freed: 9, ended: 9, queued: 1, hurry: true, tracked: true, receipts: 9},
		"deferred below a bound":  {group: 1, bound: 200, freed: 10, deferred: 50, ask: 10},
		"deferred near the bound": {group: 1, bound: 200, freed: 10, deferred: 105, ask: 5},
		"deferred at the bound":   {group: 1, bound: 200, freed: 10, deferred: 110},
		"a bound below the slots": {group: 1, bound: 1, freed: 10, deferred: 4, ask: 6},
	} {
		t.Run(name, func(t *testing.T) {
			p, a := newPool(rules{maxDeferred: tc.bound}, 100, tc.group, tc.tracked)
			a.freed = tc.freed
			for range tc.ended {
				a.receipt(stage.Finished{})
			}
			for i := range tc.deferred {
				a.deferred[uint64(i)] = struct{}{}
			}
			for range tc.queued {
				p.waiting.Push(job[int]{})
			}
			var o orders[int]
			p.settle(a, tc.hurry, &o)
			ask, ended := 0, 0
			for _, h := range o.settle {
				ask, ended = ask+h.ask, ended+h.ended
			}
			if ask != tc.ask || ended != tc.receipts || a.freed != tc.freed-ask || a.ended != tc.ended-ended {
				t.Errorf("asked for %d, %d receipts", ask, ended)
			}
		})
	}
}

// A restart counts for as long as the window says.
func TestPoolRestarts(t *testing.T) {
	p, _ := newPool(rules{maxRestarts: 2, window: 10}, 1, 1, false)
	for i, step := range []struct {
		at  time.Duration
		may bool
	}{{0, true}, {5, true}, {10, false}, {11, false}, {22, true}, {30, true}, {31, false}} {
		if got := p.mayRestart(step.at); got != step.may {
			t.Errorf("restart %d, at %d: %v", i, step.at, got)
		}
	}
}
