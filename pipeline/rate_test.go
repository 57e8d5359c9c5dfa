package pipeline

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// Random sources, prompt, slow and idle, behind one rate: no source is asked for more
// than may pass, what passes stays within the rate, and all of it is used if there are
// events.
func TestRatesModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		rate := Rate{PerSecond: math.Exp(3 + rnd.Float64()*9), Burst: rnd.IntN(50)}
		r := &rates{limiter: newLimiter(rate), short: never}
		sources := 1 + rnd.IntN(4)
		delay := make([]int64, sources) // from being asked to emitting; below 0 for ever
		busy := 0
		for i := range sources {
			r.valves = append(r.valves, &valveState{})
			switch rnd.IntN(3) {
			case 0:
				delay[i] = -1
				continue
			case 1:
				delay[i] = rnd.Int64N(ms)
			}
			busy++
		}
		type emission struct {
			at   int64
			from int
			n    int
		}
		var coming []emission
		var passed []emission
		total := make([]int, sources)
		const length = 3 * second
		for _, v := range r.valves {
			v.addOwed(1000)
		}
		for now, calls := int64(0), 0; now < length; calls++ {
			if calls > 100_000 {
				t.Fatalf("%+v: called for ever", rate)
			}
			again := r.share(now)
			for i, v := range r.valves {
				if v.out < 0 || v.owed < 0 || v.granted < 0 || v.granted > v.out {
					t.Fatalf("%+v: %+v", rate, v)
				}
				if most := burst(rate) + perNano(rate)*float64(maxLateness); float64(v.out) > most+1 {
					t.Fatalf("%+v: a source was asked for %d events, at most %v may pass", rate, v.out, most)
				}
				if v.granted > 0 && delay[i] >= 0 {
					coming = append(coming, emission{now + delay[i], i, v.granted})
				}
				v.granted = 0
			}
			next := again
			if next != math.MaxInt64 {
				next += rnd.Int64N(2 * ms) // a late timer
			}
			at := -1
			for i, e := range coming {
				if e.at <= next {
					next, at = e.at, i
				}
			}
			if next == math.MaxInt64 {
				break // only idle sources
			}
			now = max(now, next)
			if at >= 0 {
				e := coming[at]
				coming = append(coming[:at], coming[at+1:]...)
				r.emitted(r.valves[e.from], e.n, now)
				r.valves[e.from].addOwed(e.n)
				passed = append(passed, emission{now, e.from, e.n})
				total[e.from] += e.n
			}
		}
		sum := 0
		for i := range sources {
			sum += total[i]
		}
		want := rate.PerSecond * 3
		if busy > 0 && (float64(sum) < 0.985*want-1 || float64(sum) > 1.01*want+burst(rate)*float64(sources)) {
			t.Fatalf("%+v, delays %v: %d events in 3 s, want %.0f", rate, time.Duration(delay[0]), sum, want)
		}
		for i := range sources {
			if delay[i] >= 0 && float64(total[i]) < 0.8*float64(sum)/float64(busy)-2 {
				t.Fatalf("%+v, delays %v: %d events of %d, unfair", rate, delay, total, sum)
			}
		}
		for i := 0; i < len(passed); i += 1 + len(passed)/50 {
			sum := 0.0
			for _, e := range passed[i:] {
				sum += float64(e.n)
				once := burst(rate) + perNano(rate)*float64(maxLateness)
				if most := once*float64(sources) + perNano(rate)*float64(e.at-passed[i].at); sum > most+1 {
					t.Fatalf("%+v: %v in %v, at most %v", rate, sum, time.Duration(e.at-passed[i].at), most)
				}
			}
		}
	}
}
