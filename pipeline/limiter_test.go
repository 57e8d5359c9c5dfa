package pipeline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/penstock-go/penstock/internal/option"
)

const (
	ms     = int64(time.Millisecond)
	second = int64(time.Second)
)

func TestLimiterTable(t *testing.T) {
	type step struct {
		at, n, want int64 // take n at the time at
	}
	for name, tc := range map[string]struct {
		rate  Rate
		steps []step
		next  int64 // after the last step
	}{
		"no limit":                   {Rate{}, []step{{0, 1e9, 1e9}, {0, 5, 5}}, 0},
		"burst of one":               {Rate{PerSecond: 10}, []step{{0, 5, 1}, {0, 4, 0}, {99 * ms, 4, 0}, {100 * ms, 4, 1}}, 200 * ms},
		"burst of five":              {Rate{PerSecond: 10, Burst: 5}, []step{{0, 9, 5}, {0, 4, 0}, {100 * ms, 4, 1}}, 200 * ms},
		"a burst after a pause":      {Rate{PerSecond: 10, Burst: 5}, []step{{0, 5, 5}, {100 * second, 50, 5}, {100 * second, 45, 0}}, 100*second + 100*ms},
		"part of a burst":            {Rate{PerSecond: 10, Burst: 5}, []step{{0, 5, 5}, {200 * ms, 5, 2}}, 300 * ms},
		"a late timer":               {Rate{PerSecond: 10}, []step{{0, 2, 1}, {102 * ms, 2, 1}}, 200 * ms},
		"a timer that is too late":   {Rate{PerSecond: 1000}, []step{{0, 200, 1}, {200 * ms, 199, 101}, {200 * ms, 98, 0}}, 201 * ms},
		"nothing waits":              {Rate{PerSecond: 1000}, []step{{0, 1, 1}, {100 * ms, 9, 1}, {100 * ms, 8, 0}}, 101 * ms},
		"served, and soon the next":  {Rate{PerSecond: 1000}, []step{{0, 2, 1}, {9 * ms, 1, 1}, {9 * ms, 20, 8}}, 10 * ms},
		"served, and later the next": {Rate{PerSecond: 1000}, []step{{0, 2, 1}, {9 * ms, 1, 1}, {119 * ms, 20, 1}}, 120 * ms},
		"one in a thousand years":    {Rate{PerSecond: 1e-12}, []step{{0, 2, 1}, {second, 1, 0}}, second + 1<<61},
		"a billion a second":         {Rate{PerSecond: 1e9}, []step{{0, 2, 1}, {1, 2, 1}, {5 * ms, 1e9, 5*ms - 1}}, 5*ms + 1},
		"a clock that goes back":     {Rate{PerSecond: 10}, []step{{second, 2, 1}, {0, 1, 0}}, 100 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			l, last := newLimiter(tc.rate), int64(0)
			for i, s := range tc.steps {
				if got := l.take(s.at, int(s.n)); got != int(s.want) {
					t.Fatalf("step %d: %d of %d, want %d", i, got, s.n, s.want)
				}
				last = s.at
			}
			if got := l.next(last); got != tc.next {
				t.Errorf("next at %v, want %v", time.Duration(got), time.Duration(tc.next))
			}
		})
	}
}

// The rate is changed while it is used: what was saved up stays within the new burst,
// nothing jumps.
func TestLimiterSet(t *testing.T) {
	for name, tc := range map[string]struct {
		before, after Rate
		use           int   // at the time 0
		at            int64 // of the change
		want          int   // of 1000, at once after it
		next          int64
	}{
		"faster":             {Rate{PerSecond: 0.1}, Rate{PerSecond: 100_000}, 2, second, 0, second + 9000},
		"slower":             {Rate{PerSecond: 100_000}, Rate{PerSecond: 0.1}, 2, second, 1, 11*second - maxLateness},
		"a larger burst":     {Rate{PerSecond: 10}, Rate{PerSecond: 10, Burst: 50}, 1, second, 1, second + 100*ms},
		"a smaller burst":    {Rate{PerSecond: 10, Burst: 50}, Rate{PerSecond: 10}, 1, second, 1, second + 100*ms},
		"no limit any more":  {Rate{PerSecond: 10}, Rate{}, 5, 0, 1000, 0},
		"a limit from now":   {Rate{}, Rate{PerSecond: 10, Burst: 3}, 5, second, 3, second + 100*ms},
		"what waits is kept": {Rate{PerSecond: 1}, Rate{PerSecond: 2}, 2, second / 2, 0, second/2 + second/4},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLimiter(tc.before)
			l.take(0, tc.use)
			l.set(tc.after, tc.at)
			if got := l.take(tc.at, 1000); got != tc.want {
				t.Errorf("%d at once, want %d", got, tc.want)
			}
			if got := l.next(tc.at); got != tc.next {
				t.Errorf("next at %v, want %v", time.Duration(got), time.Duration(tc.next))
			}
		})
	}
}

// A rate is reached within a percent although timers come late and events are taken in
// bulk, with events that always wait and with events that are asked for in portions.
func TestLimiterReachesItsRate(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for _, perSecond := range []float64{10, 1000, 100_000} {
		for _, portion := range []int{1, 500, 1 << 40} {
			for _, late := range []int64{1, 2 * ms, 90 * ms} {
				if float64(late/2)*perSecond > float64(portion)*float64(second) {
					continue // a portion in each timer: not this rate
				}
				t.Run(fmt.Sprint(perSecond, " a second, portions of ", portion, ", late by ", time.Duration(late)), func(t *testing.T) {
					l, passed := newLimiter(Rate{PerSecond: perSecond}), 0
					open := portion
					for now := int64(0); now < 10*second; {
						n := l.take(now, open)
						passed += n
						if open -= n; open == 0 {
							open = portion // as soon as they were handled
							now += 100
							continue
						}
						now = max(l.next(now), now) + rnd.Int64N(late)
					}
					if want := 10 * perSecond; float64(passed) < 0.99*want || float64(passed) > 1.01*want {
						t.Errorf("%d in 10 s, want %v", passed, want)
					}
				})
			}
		}
	}
}

// With random rates, demands, delays and changes: never more than allowed in any time,
// and what waits gets its rate.
func TestLimiterModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		rate := Rate{PerSecond: math.Exp(rnd.Float64()*16 - 3), Burst: rnd.IntN(20)}
		l := newLimiter(rate)
		type taken struct {
			at int64
			n  int
		}
		var all []taken
		now, open := int64(0), 0
		since, got := now, 0.0 // from when on something has waited, and what was allowed since
		for range 200 {
			if open == 0 || rnd.IntN(4) == 0 {
				open += 1 + rnd.IntN(1+rnd.IntN(2000))
			}
			n := l.take(now, open)
			if n < 0 || n > open {
				t.Fatalf("%d of %d", n, open)
			}
			all, open, got = append(all, taken{now, n}), open-n, got+float64(n)
			if open == 0 {
				now += rnd.Int64N(1 + int64(float64(10*second)/rate.PerSecond))
				since, got = now, 0
				continue
			}
			if want := perNano(rate)*float64(now-since) - 1; got < want*0.999999-0.001 {
				t.Fatalf("%+v: %v in %v in which events have waited, want %v", rate, got, time.Duration(now-since), want)
			}
			at := l.next(now)
			if at <= now {
				t.Fatalf("%d events wait at %d, and the next may pass at %d", open, now, at)
			}
			early := l
			if before := at - 2 - int64(2*whole/perNano(rate)); before > now && early.take(before, 1) > 0 {
				t.Fatalf("%+v: an event passes before its time", rate)
			}
			now = at + rnd.Int64N(maxLateness)
		}
		for i := range all {
			sum := 0.0
			for _, x := range all[i:] {
				sum += float64(x.n)
				if most := burst(rate) + perNano(rate)*float64(x.at-all[i].at+maxLateness); sum > most*1.000001+0.001 {
					t.Fatalf("%+v: %v in %v, at most %v", rate, sum, time.Duration(x.at-all[i].at), most)
				}
			}
		}
	}
}

// A limiter of keys does for each key what a limiter does, and forgets only keys for
// which that makes no difference.
func TestKeyLimiterModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 20 {
		rate := Rate{PerSecond: 1 + 20*rnd.Float64(), Burst: rnd.IntN(4)}
		keys := newKeyLimiter[int](rate, 1000)
		type user struct {
			limiter
			open, want int // events that wait, of the model and of the real limiter
		}
		model := map[int]*user{}
		now := int64(0)
		for range 20_000 {
			now += rnd.Int64N(5 * ms)
			if rnd.IntN(1000) == 0 {
				rate.PerSecond = 1 + 20*rnd.Float64()
				keys.set(rate, now)
				for _, u := range model {
					u.set(rate, now)
				}
			}
			key := rnd.IntN(100)
			u := model[key]
			if u == nil {
				u = &user{limiter: newLimiter(rate)}
				model[key] = u
			}
			if rnd.IntN(3) == 0 {
				n := 1 + rnd.IntN(3)
				u.open, u.want = u.open+n, u.want+n
			}
			u.open -= u.take(now, u.open)
			u.want -= keys.take(now, key, u.want)
			// A forgotten key has no lateness to make up for, which is up to two events. What it
			// lets through later than the model, it may also let through when that has none.
			if d := u.want - u.open; d < -3 || d > 3 {
				t.Fatalf("key %d: %d events wait, %d in the model", key, u.want, u.open)
			}
		}
		if keys.evicted != 0 || keys.len() > 101 {
			t.Fatal(keys.evicted, keys.len())
		}
	}
}

// The memory is that of the keys in use, and at the bound that many.
func TestKeyLimiterForgets(t *testing.T) {
	keys := newKeyLimiter[int](Rate{PerSecond: 1000}, 100_000)
	for i := range 1_000_000 {
		keys.take(int64(i)*ms/10, i, 1) // 10,000 keys a second, each full again after 1 ms
	}
	if n := len(keys.buckets); n > 100 || keys.evicted != 0 {
		t.Errorf("%d places for 10 keys in use, %d evicted", n, keys.evicted)
	}
	keys = newKeyLimiter[int](Rate{PerSecond: 1}, 1000)
	for i := range 5000 {
		keys.take(0, i, 1)
	}
	if keys.len() != 1000 || len(keys.buckets) != 1000 || keys.evicted != 4000 {
		t.Error(keys.len(), len(keys.buckets), keys.evicted)
	}
	// Events that were dropped by their owner leave nothing behind.
	keys = newKeyLimiter[int](Rate{PerSecond: 10}, 1000)
	for i := range 500 {
		keys.take(0, i, 2)
	}
	for i := range 500 {
		keys.take(int64(10*time.Second)+int64(i)*second, 1000+i, 1)
	}
	if keys.len() > 5 {
		t.Errorf("%d keys known", keys.len())
	}
	// No limit costs nothing.
	keys = newKeyLimiter[int](Rate{}, 1000)
	if keys.take(0, 1, 5) != 5 || keys.next(0, 1) != 0 || keys.len() != 0 {
		t.Error("limited without a rate")
	}
}

func TestLimitersAllocateNothing(t *testing.T) {
	keys, now := newKeyLimiter[int](Rate{PerSecond: 1000}, 1000), int64(0)
	for range 10_000 {
		now += ms
		keys.take(now, int(now/ms)%20, 1)
	}
	if n := testing.AllocsPerRun(1000, func() {
		now += ms
		keys.take(now, int(now/ms)%20, 1)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRatesThatAreRefused(t *testing.T) {
	for _, rate := range []Rate{
		{PerSecond: -1}, {PerSecond: math.NaN()}, {PerSecond: math.Inf(1)}, {PerSecond: 2e9},
		{PerSecond: 1, Burst: -1}, {PerSecond: 1, Burst: 1 << 31}, {Burst: 1},
	} {
		if err := checkRate("x", "Rate", rate); err == nil {
			t.Errorf("%+v is not refused", rate)
		}
	}
	for _, rate := range []Rate{{}, {PerSecond: 1e9}, {PerSecond: 5e-324}, {PerSecond: 1, Burst: 5}} {
		if err := checkRate(option.Owner("x"), "Rate", rate); err != nil {
			t.Error(err)
		}
	}
}
