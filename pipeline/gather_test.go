package pipeline

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/internal/option"
)

// oddOrEven is the key of the number that a tests' event is.
func oddOrEven(n int) string { return strconv.Itoa(n % 2) }

// ownWeight counts a number as so many bytes.
func ownWeight(n int) int { return n }

// sixteen reports whether the numbers of a batch add up to 16 at least.
func sixteen(events []int) bool {
	sum := 0
	for _, n := range events {
		sum += n
	}
	return sum >= 16
}

// closed takes what was closed, as texts such as "[1 2 3] size".
func closedBatches(g *gatherer[int, int]) (list []string) {
	for b := g.take(); b != nil; b = g.take() {
		list = append(list, fmt.Sprintf("%v %v", b.events, b.trigger))
		if !slices.Equal(b.events, b.places) {
			list = append(list, fmt.Sprintf("places %v", b.places))
		}
	}
	return list
}

func TestGathererClosesBatches(t *testing.T) {
	for _, tc := range []struct {
		name string
		rule batchRule[int]
		// steps are numbers to add, "@5" for a time, "flush" and "oldest"
		steps string
		want  string
	}{
		{"size", batchRule[int]{size: 2}, "1 2 3 4 5 flush", "[1 2] size,[3 4] size,[5] flush"},
		{"one at a time", batchRule[int]{size: 1}, "1 2", "[1] size,[2] size"},
		{"bytes reached", batchRule[int]{bytes: 10, sizeOf: ownWeight}, "4 6 1", "[4 6] bytes"},
		{"bytes exceeded", batchRule[int]{bytes: 10, sizeOf: ownWeight}, "4 5 3 flush", "[4 5] bytes,[3] flush"},
		{"larger than bytes", batchRule[int]{bytes: 10, sizeOf: ownWeight}, "4 50 3 flush", "[4] bytes,[50] bytes,[3] flush"},
		{"larger than bytes, first", batchRule[int]{bytes: 10, sizeOf: ownWeight}, "50 3 flush", "[50] bytes,[3] flush"},
		{"weights below zero", batchRule[int]{bytes: 10, sizeOf: ownWeight}, "9 -5 2 flush", "[9 -5] bytes,[2] flush"},
		{"two at once", batchRule[int]{size: 2, bytes: 10, sizeOf: ownWeight}, "4 10", "[4] bytes,[10] bytes"},
		{"cut", batchRule[int]{cut: sixteen}, "40 1 13 3", "[40] cut,[1 13 3] cut"},
		{"cut before size", batchRule[int]{cut: sixteen, size: 3}, "1 2 3 16 1 1 16", "[1 2 3] size,[16] cut,[1 1 16] cut"},
		{"age of the first", batchRule[int]{timeout: 10}, "@0 1 @9 2 @10 3 @19 @20", "[1 2] timeout,[3] timeout"},
		{"no timeout", batchRule[int]{timeout: NoTimeout}, "@0 1 @9223372036854775806 2 flush", "[1 2] flush"},
		{"keys", batchRule[int]{key: oddOrEven, size: 2}, "1 2 3 4 5 6 flush", "[1 3] size,[2 4] size,[5] flush,[6] flush"},
		{"keys age alone", batchRule[int]{key: oddOrEven, timeout: 10}, "@0 1 @5 2 @10 @14 @15", "[1] timeout,[2] timeout"},
		{"keys age together", batchRule[int]{key: oddOrEven, timeout: 10}, "@0 1 @5 2 @20", "[1] timeout,[2] timeout"},
		{"most keys", batchRule[int]{key: strconv.Itoa, maxKeys: 2}, "1 2 1 3 2 4", "[1 1] keys,[2 2] keys"},
		{"a full batch makes room", batchRule[int]{key: strconv.Itoa, maxKeys: 2, size: 2}, "1 2 2 3 flush", "[2 2] size,[1] flush,[3] flush"},
		{"oldest", batchRule[int]{key: oddOrEven}, "1 2 3 oldest oldest oldest", "[1 3] window,[2] window"},
		{"nothing to flush", batchRule[int]{}, "flush", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newGatherer[int, int](tc.rule.orDefaults())
			now := time.Duration(0)
			var got []string
			for _, step := range strings.Fields(tc.steps) {
				switch at, timed := strings.CutPrefix(step, "@"); {
				case timed:
					now = time.Duration(option.Must(strconv.ParseInt(at, 10, 64)))
					g.expire(now)
				case step == "flush":
					g.flush()
				case step == "oldest":
					g.passOldest(TriggerWindow)
				default:
					n := option.Must(strconv.Atoi(step))
					g.add(now, g.plan(n), n)
				}
				got = append(got, closedBatches(g)...)
			}
			if list := strings.Join(got, ","); list != tc.want {
				t.Errorf("%s, want %s", list, tc.want)
			}
		})
	}
}

// orDefaults returns the rule of a test with its bounds filled in.
func (r batchRule[T]) orDefaults() batchRule[T] {
	if r.size == 0 {
		r.size = 1000
	}
	if r.maxKeys == 0 {
		r.maxKeys = 1000
	}
	if r.timeout == 0 {
		r.timeout = NoTimeout
	}
	return r
}

// A function of the program that panics for an event leaves the gatherer as it was.
func TestGathererSurvivesPanics(t *testing.T) {
	bad := func(n int) int {
		if n < 0 {
			panic("bad")
		}
		return n
	}
	for name, r := range map[string]batchRule[int]{
		"Key":    {key: func(n int) string { return strconv.Itoa(bad(n) % 2) }},
		"SizeOf": {bytes: 100, sizeOf: bad},
		"Cut":    {cut: func(events []int) bool { return bad(events[len(events)-1]) == 99 }},
		"Cut of a new batch": {
			key: func(n int) string { return strconv.Itoa(max(n, 0) % 2) },
			cut: func(events []int) bool { return bad(events[len(events)-1]) == 99 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGatherer[int, int](r.orDefaults())
			for _, n := range []int{-1, 1, -1, 3, -1} {
				func() {
					defer func() {
						if p := recover(); (p != nil) != (n < 0) {
							t.Errorf("panic %v for %d", p, n)
						}
					}()
					g.add(0, g.plan(n), n)
				}()
			}
			if g.flush(); g.events != 0 || g.count != 0 {
				t.Errorf("%d events in %d batches are left", g.events, g.count)
			}
			if got := closedBatches(g); !slices.Equal(got, []string{"[1 3] flush"}) {
				t.Errorf("%v", got)
			}
		})
	}
}

// A slice belongs to its receiver: nothing is written to it later.
func TestGathererDoesNotUseASliceAgain(t *testing.T) {
	g := newGatherer[int, int](batchRule[int]{size: 3}.orDefaults())
	var kept [][]int
	for n := range 30 {
		g.add(0, g.plan(n), n)
		for b := g.take(); b != nil; b = g.take() {
			kept = append(kept, b.events)
		}
	}
	for i, events := range kept {
		if want := []int{3 * i, 3*i + 1, 3*i + 2}; !slices.Equal(events, want) {
			t.Errorf("batch %d is %v now, want %v", i, events, want)
		}
	}
}

// plainGatherer is the same as a gatherer, in the simplest way: batches in a list, and a look at
// each of them.
type plainGatherer struct {
	rule batchRule[int]
	open []plainBatch
	full []string
}

type plainBatch struct {
	key    string
	begun  time.Duration
	events []int
	bytes  int
}

func (p *plainGatherer) pass(i int, why Trigger) {
	p.full = append(p.full, fmt.Sprintf("%v %v", p.open[i].events, why))
	p.open = slices.Delete(p.open, i, i+1)
}

func (p *plainGatherer) add(now time.Duration, n int) {
	key := ""
	if p.rule.key != nil {
		key = p.rule.key(n)
	}
	find := func() int {
		return slices.IndexFunc(p.open, func(b plainBatch) bool { return b.key == key })
	}
	bytes := 0
	if p.rule.bytes > 0 {
		bytes = p.rule.sizeOf(n)
		if i := find(); i >= 0 && p.open[i].bytes+bytes > p.rule.bytes {
			p.pass(i, TriggerBytes)
		}
	}
	i := find()
	if i < 0 {
		i = len(p.open)
		p.open = append(p.open, plainBatch{key: key, begun: now})
	}
	b := &p.open[i]
	b.events, b.bytes = append(b.events, n), b.bytes+bytes
	switch {
	case p.rule.cut != nil && p.rule.cut(b.events):
		p.pass(i, TriggerCut)
	case len(b.events) == p.rule.size:
		p.pass(i, TriggerSize)
	case p.rule.bytes > 0 && b.bytes >= p.rule.bytes:
		p.pass(i, TriggerBytes)
	case len(p.open) > p.rule.maxKeys:
		p.pass(0, TriggerKeys)
	}
}

func (p *plainGatherer) expire(now time.Duration) {
	for i := 0; i < len(p.open); {
		if p.rule.timeout != NoTimeout && now-p.open[i].begun >= p.rule.timeout {
			p.pass(i, TriggerTimeout)
			continue
		}
		i++
	}
}

// The gatherer closes the same batches as the plainGatherer one, in the same order, in random
// runs with random rules. Nothing is lost, and batches of a key are in order.
func TestGathererModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for run := range 300 {
		r := batchRule[int]{size: 1 + rnd.IntN(6), maxKeys: 1 + rnd.IntN(5), timeout: NoTimeout}
		keys := 1 + rnd.IntN(8)
		if rnd.IntN(3) > 0 {
			r.key = func(n int) string { return strconv.Itoa(n % keys) }
		}
		if rnd.IntN(3) == 0 {
			r.bytes, r.sizeOf = 1+rnd.IntN(20), func(n int) int { return n % 7 }
		}
		if rnd.IntN(3) == 0 {
			r.cut = func(events []int) bool { return events[len(events)-1]%5 == 0 }
		}
		if rnd.IntN(2) == 0 {
			r.timeout = time.Duration(1 + rnd.IntN(20))
		}
		g, p := newGatherer[int, int](r), &plainGatherer{rule: r}
		now, next := time.Duration(0), 0
		for range 400 {
			switch rnd.IntN(10) {
			case 0, 1:
				now += time.Duration(rnd.IntN(12))
				g.expire(now)
				p.expire(now)
			case 2:
				if got := g.passOldest(TriggerWindow); got != (len(p.open) > 0) {
					t.Fatalf("run %d: passOldest is %v with %d open", run, got, len(p.open))
				} else if got {
					p.pass(0, TriggerWindow)
				}
			case 3:
				if rnd.IntN(10) == 0 {
					g.flush()
					for len(p.open) > 0 {
						p.pass(0, TriggerFlush)
					}
				}
			default:
				g.add(now, g.plan(next), next)
				p.add(now, next)
				next++
			}
			if got := closedBatches(g); !slices.Equal(got, p.full) {
				t.Fatalf("run %d, rule %+v: closed %v, want %v", run, r, got, p.full)
			}
			p.full = nil
			events := 0
			for _, b := range p.open {
				events += len(b.events)
			}
			if g.count != len(p.open) || g.events != events {
				t.Fatalf("run %d: %d events in %d batches, want %d in %d", run, g.events, g.count, events, len(p.open))
			}
			due, timed := g.deadline()
			if want := len(p.open) > 0 && r.timeout != NoTimeout; timed != want || timed && due != p.open[0].begun+r.timeout {
				t.Fatalf("run %d: deadline %v %v", run, due, timed)
			}
		}
	}
}

// A million keys: no operation looks at more than a few of them, and what was closed is
// forgotten.
func TestGathererWithAMillionKeys(t *testing.T) {
	const keys = 1_000_000
	g := newGatherer[int, struct{}](batchRule[int]{size: 100, maxKeys: keys, key: strconv.Itoa, timeout: time.Second})
	began := time.Now()
	for n := range keys {
		g.add(time.Duration(n), g.plan(n), struct{}{})
	}
	for n := range keys { // each event closes one of them, and opens another
		g.expire(time.Second + time.Duration(n))
		if b := g.take(); b == nil || b.events[0] != n || g.take() != nil {
			t.Fatalf("at %d: %+v", n, b)
		}
		g.add(time.Second+time.Duration(n), g.plan(keys+n), struct{}{})
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("took %v", took)
	}
	if g.count != keys || len(g.open) != keys {
		t.Errorf("%d open, %d in the table", g.count, len(g.open))
	}
}

func TestTriggersHaveNames(t *testing.T) {
	want := []string{"size", "bytes", "cut", "timeout", "keys", "window", "flush"}
	var got []string
	for tr := TriggerSize; tr <= TriggerFlush; tr++ {
		got = append(got, tr.String())
	}
	if !reflect.DeepEqual(got, want) {
		t.Error(got)
	}
}
