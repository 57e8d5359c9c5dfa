package pipeline

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
)

// coreModel drives a core with random inputs, in the place of a pool, a source and an
// owner, and checks what it promises after each.
type coreModel struct {
	t      *testing.T
	seed   uint64
	rnd    *rand.Rand
	core   core[int] // the data is the number of the event
	acc    account
	window int
	now    int64
	keys   int

	added   int
	all     map[int]*job[int]
	keyOf   map[int]string
	runs    [][]*job[int] // of the busy goroutines
	woken   int           // goroutines that were woken or started, and have not come yet
	idle    int
	ended   map[int]int    // events that were given a last verdict
	buried  map[int]bool   // they were letters
	lastKey map[string]int // the newest event of a key that has ended
	results []int
	last    int // the newest result that was no letter
	pauses  map[int]int64
}

func newCoreModel(t *testing.T, seed uint64) *coreModel {
	rnd := rand.New(rand.NewPCG(seed, 1))
	m := &coreModel{
		t: t, seed: seed, rnd: rnd, window: 1 + rnd.IntN(20), keys: 1 + rnd.IntN(5),
		all: map[int]*job[int]{}, keyOf: map[int]string{}, ended: map[int]int{}, buried: map[int]bool{}, lastKey: map[string]int{}, last: -1,
		pauses: map[int]int64{},
	}
	mode := rnd.IntN(3)
	m.core.rules = coreRules{workers: 1 + rnd.IntN(4), maxHeld: rnd.IntN(30), ordered: mode == 0, keyed: mode == 1}
	if rnd.IntN(4) == 0 {
		m.core.rate.set(Rate{PerSecond: 1e8, Burst: 1 + rnd.IntN(5)}, 0) // one each 10 units of time
	}
	if mode == 1 && rnd.IntN(3) == 0 {
		m.core.rate.each = newKeyLimiter[string](Rate{PerSecond: 3e7, Burst: 1 + rnd.IntN(3)}, 100)
	}
	if rnd.IntN(2) == 0 {
		m.core.size.note(1, int64(rnd.IntN(20_000)))
	}
	m.acc.credit = m.window
	return m
}

func (m *coreModel) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("seed %d: %s\n%+v", m.seed, fmt.Sprintf(format, args...), m.core.rules)
}

// step makes one random input. calm is the end of the run: no new events, no pauses of the
// program, and what fails is not repeated.
func (m *coreModel) step(calm bool) {
	switch p := m.rnd.IntN(100); {
	case p < 25 && !calm:
		m.acc.due(m.rnd.IntN(3) == 0)
		for n := m.rnd.IntN(m.acc.asked + 1); n > 0; n-- {
			m.add()
		}
	case p < 75:
		m.goroutine(calm)
	case p < 85:
		m.now += int64(m.rnd.IntN(30))
		if at := m.core.due(m.now); at != noTime && m.rnd.IntN(2) == 0 {
			m.now = max(m.now, at)
		}
		m.core.tick(m.now)
	case p < 90:
		for n, there := range m.buried {
			if there {
				m.buried[n] = false
				m.core.stored(m.all[n])
				break
			}
		}
	case p < 93:
		m.reclaim()
	case p < 95 && !calm:
		m.core.rules.workers = 1 + m.rnd.IntN(4)
		c := m.core.surplus()
		m.woken, m.idle = m.woken+c.wake, m.idle-c.wake
	case p < 97:
		m.core.paused = !calm && m.rnd.IntN(2) == 0
	case p < 98 && !calm:
		m.withdraw()
	}
	c := m.core.summon(m.now)
	m.woken += c.wake + c.start
	m.idle -= c.wake
	m.take()
	m.check()
}

func (m *coreModel) add() {
	n := m.added
	m.added++
	m.acc.asked--
	key := ""
	if m.core.rules.keyed {
		key = strconv.Itoa(m.rnd.IntN(m.keys))
	}
	j := &job[int]{data: n, account: &m.acc, weight: 1, arrived: m.now}
	m.all[n], m.keyOf[n] = j, key
	m.core.add(j, key)
}

// goroutine lets one goroutine come: one that was woken, or one whose run has ended.
func (m *coreModel) goroutine(calm bool) {
	switch {
	case m.woken > 0 && (len(m.runs) == 0 || m.rnd.IntN(2) == 0):
		m.woken--
		m.core.crew.waking--
	case len(m.runs) > 0:
		i := m.rnd.IntN(len(m.runs))
		run := m.runs[i]
		m.runs = append(m.runs[:i], m.runs[i+1:]...)
		m.end(run, calm)
	default:
		return
	}
	var room [maxRun]*job[int]
	n, do := m.core.seek(room[:], m.now)
	switch do {
	case orderRun:
		run := append([]*job[int](nil), room[:n]...)
		for _, j := range run {
			m.begins(j)
		}
		m.runs = append(m.runs, run)
	case orderPark:
		m.idle++
	}
}

// begins checks that an attempt may begin.
func (m *coreModel) begins(j *job[int]) {
	if due, paused := m.pauses[j.data]; paused && m.now < due {
		m.fail("event %d runs at %d, paused until %d", j.data, m.now, due)
	}
	delete(m.pauses, j.data)
	if m.ended[j.data] > 0 {
		m.fail("event %d runs again after its end", j.data)
	}
	if !m.core.rules.keyed {
		return
	}
	key := m.keyOf[j.data]
	for _, run := range m.runs {
		for _, other := range run {
			if m.keyOf[other.data] == key {
				m.fail("events %d and %d of key %s run at once", other.data, j.data, key)
			}
		}
	}
}

// end ends the run of a goroutine: some jobs are successful, then one may fail.
func (m *coreModel) end(run []*job[int], calm bool) {
	did := len(run)
	if m.rnd.IntN(3) == 0 {
		did = m.rnd.IntN(len(run))
	}
	for _, j := range run[:did] {
		m.ends(j)
		m.core.done(j, nil)
	}
	if did == len(run) {
		return
	}
	for i := len(run) - 1; i > did; i-- {
		m.core.back(run[i])
	}
	j := run[did]
	switch p := m.rnd.IntN(4); {
	case p < 2 && !calm:
		due := m.now + int64(m.rnd.IntN(100))
		m.pauses[j.data] = due
		j.attempt++
		m.core.retry(j, errTest, due)
	case p == 2:
		m.ends(j)
		m.buried[j.data] = true
		m.core.bury(j, errTest)
	default:
		m.ends(j)
		m.core.done(j, errTest)
	}
}

// ends checks that an event may end now: of a key they end in order.
func (m *coreModel) ends(j *job[int]) {
	m.ended[j.data]++
	if m.core.rules.keyed {
		key := m.keyOf[j.data]
		if last, some := m.lastKey[key]; some && last > j.data {
			m.fail("event %d of key %s ends after %d", j.data, key, last)
		}
		m.lastKey[key] = j.data
	}
}

// reclaim takes a part of a run away from its goroutine.
func (m *coreModel) reclaim() {
	if len(m.runs) == 0 {
		return
	}
	i := m.rnd.IntN(len(m.runs))
	run := m.runs[i]
	keep := 1 + m.rnd.IntN(len(run))
	for k := len(run) - 1; k >= keep; k-- {
		m.core.back(run[k])
	}
	m.runs[i] = run[:keep]
}

// withdraw gives a part of the events back that no goroutine has.
func (m *coreModel) withdraw() {
	of := 1 + m.rnd.IntN(4)
	m.core.withdraw(func(n *int) bool {
		if m.rnd.IntN(4) >= of {
			return false
		}
		m.ended[*n]++
		m.buried[*n] = false // as a letter its result waits for no other
		delete(m.pauses, *n)
		return true
	}, errTest)
}

// take takes the results.
func (m *coreModel) take() {
	for j := m.core.results.first; j != nil; j = j.next {
		if m.ended[j.data] != 1 {
			m.fail("a result of event %d, which has ended %d times", j.data, m.ended[j.data])
		}
		m.ended[j.data]++ // a second result is found by the line above
		m.results = append(m.results, j.data)
		if _, letter := m.buried[j.data]; m.core.rules.ordered && !letter {
			if j.data < m.last {
				m.fail("the result of event %d leaves after that of %d", j.data, m.last)
			}
			m.last = j.data
		}
		delete(m.all, j.data)
	}
	m.core.results = jobList[int]{}
}

// check compares the figures of the core with what it has.
func (m *coreModel) check() {
	c := &m.core
	counted, held := 0, 0
	for _, j := range m.all {
		if j.held {
			held++
		} else {
			counted++
		}
	}
	queued := 0
	for _, j := range m.all {
		if j.state == jobWaiting && (j.key == nil || !j.key.pausing) {
			queued++
		}
	}
	running := 0
	for _, run := range m.runs {
		running += len(run)
	}
	switch {
	case c.unfinished != len(m.all):
		m.fail("unfinished %d, there are %d", c.unfinished, len(m.all))
	case c.held != held:
		m.fail("held %d, there are %d", c.held, held)
	case held > c.rules.maxHeld:
		m.fail("held %d, more than %d", held, c.rules.maxHeld)
	case counted+m.acc.asked+m.acc.credit != m.window:
		m.fail("window: %d + %d asked + %d credit, not %d", counted, m.acc.asked, m.acc.credit, m.window)
	case m.acc.credit < 0 || counted > m.window:
		m.fail("window exceeded: %d, credit %d", counted, m.acc.credit)
	case c.running != running:
		m.fail("running %d, there are %d", c.running, running)
	case c.crew.size != len(m.runs)+m.woken+m.idle, c.crew.idle != m.idle, c.crew.waking != m.woken:
		m.fail("crew %+v, there are %d runs, %d woken, %d idle", c.crew, len(m.runs), m.woken, m.idle)
	case c.queued != queued:
		m.fail("queued %d, there are %d", c.queued, queued)
	case c.queued < 0 || c.troubled < 0 || c.burying < 0:
		m.fail("queued %d, troubled %d, burying %d", c.queued, c.troubled, c.burying)
	}
}

// Random inputs: nothing is lost or twice, the promised order holds, the bounds are kept,
// and at the end all is done.
func TestCoreAgainstRandomInputs(t *testing.T) {
	seeds := 3000
	if testing.Short() {
		seeds = 300
	}
	base := rand.Uint64()
	t.Logf("seeds from %d on", base)
	for i := range seeds {
		m := newCoreModel(t, base+uint64(i))
		for range 50 + m.rnd.IntN(300) {
			m.step(false)
		}
		m.core.paused = false
		for steps := 0; m.core.unfinished > 0; steps++ {
			if steps > 100_000 {
				m.fail("no progress: %d unfinished, crew %+v, woken %d, due %d at %d", m.core.unfinished, m.core.crew, m.woken, m.core.due(m.now), m.now)
			}
			m.step(true)
		}
		if len(m.results) != m.added {
			m.fail("%d results of %d events", len(m.results), m.added)
		}
		if n := len(m.core.keys); n > 0 {
			m.fail("%d keys are left", n)
		}
		// What is asked for when nothing is there is the whole window.
		m.acc.due(true)
		if m.acc.asked != m.window {
			m.fail("asked for %d of %d", m.acc.asked, m.window)
		}
	}
}

// A job that pauses holds no worker and, within MaxHeld, no room, nor do those behind it.
func TestCorePauseHoldsNothing(t *testing.T) {
	for _, tc := range []struct {
		name    string
		rules   coreRules
		results int // that may leave while the first event pauses
		credit  int // that may be asked for then
	}{
		{"ordered", coreRules{workers: 1, maxHeld: 10, ordered: true}, 0, 4},
		{"unordered", coreRules{workers: 1, maxHeld: 10}, 3, 4},
		{"of one key", coreRules{workers: 1, maxHeld: 10, keyed: true}, 0, 4},
		{"bounded", coreRules{workers: 1, maxHeld: 2, ordered: true}, 0, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var acc account
			c := core[int]{rules: tc.rules}
			for i := range 4 {
				c.add(&job[int]{data: i, account: &acc, weight: 1}, "k")
			}
			c.summon(0)
			c.crew.waking--
			var run [1]*job[int]
			if n, _ := c.seek(run[:], 0); n != 1 || run[0].data != 0 {
				t.Fatal("the first event does not run first")
			}
			c.retry(run[0], errTest, 100)
			for {
				n, do := c.seek(run[:], 1)
				if n == 0 {
					if do != orderPark {
						t.Fatal("the goroutine does not rest")
					}
					break
				}
				c.done(run[0], nil)
			}
			if c.results.n != tc.results || acc.credit != tc.credit {
				t.Errorf("%d results, credit %d, want %d and %d", c.results.n, acc.credit, tc.results, tc.credit)
			}
			if c.due(1) != 100 {
				t.Errorf("due at %d", c.due(1))
			}
			c.tick(100)
			for c.summon(100); ; {
				n, _ := c.seek(run[:], 100)
				if n == 0 {
					break
				}
				c.done(run[0], nil)
			}
			if c.results.n != 4 || acc.credit != 4 || c.held != 0 {
				t.Errorf("at the end %d results, credit %d, %d held", c.results.n, acc.credit, c.held)
			}
		})
	}
}
