package pipeline

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// remote is a source that emits what it was asked for a while after that, as a database does.
type remote struct {
	delay time.Duration
	owed  []int // what it was asked for at once
	self  *stage.Handle
}

func (r *remote) HandleStart(_ context.Context, self *stage.Handle) error { r.self = self; return nil }

func (r *remote) HandleDemand(_ context.Context, n int, _ *stage.Emitter[int]) error {
	if r.owed = append(r.owed, n); len(r.owed) == 1 {
		time.AfterFunc(r.delay, r.self.Wake)
	}
	return nil
}

// HandleWake emits for one question, and asks the next.
func (r *remote) HandleWake(_ context.Context, emit *stage.Emitter[int]) error {
	for range r.owed[0] {
		emit.Emit(0)
	}
	rest := 0
	for _, n := range r.owed[1:] {
		rest += n
	}
	if r.owed = r.owed[:0]; rest > 0 {
		r.owed = append(r.owed, rest)
		time.AfterFunc(r.delay, r.self.Wake)
	}
	return nil
}

// A source that takes its time, one question after the other, reaches its rate as well,
// whatever the burst is.
func TestRemoteSourcesReachTheirRate(t *testing.T) {
	for _, perSecond := range []int{10, 1000, 100_000} {
		for _, delay := range []time.Duration{5 * time.Millisecond, 15 * time.Millisecond, 40 * time.Millisecond} {
			for _, burst := range []int{0, 50, perSecond / 5} { // the last for twice 100 ms
				delay := delay
				if burst == perSecond/5 {
					delay = 100 * time.Millisecond
				}
				t.Run(fmt.Sprint(perSecond, " a second, ", delay, ", burst ", burst), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						r := runWithDemand(t, 100_000, Rate{PerSecond: float64(perSecond), Burst: burst}, nil, &remote{delay: delay})
						time.Sleep(time.Second)
						synctest.Wait()
						before := r.got[0].Load()
						time.Sleep(10 * time.Second)
						synctest.Wait()
						got, want := r.got[0].Load()-before, int64(10*perSecond)
						if got < want*99/100-1 || got > want*101/100+1 {
							t.Errorf("%d events in 10 s, %.2f %%", got, 100*float64(got)/float64(want))
						}
						r.end(t)
					})
				})
			}
		}
	}
}

// The rate is changed again and again while sources are slow, demand comes late and timers
// too: a second after each change the new rate holds within a percent.
func TestRatesFollowChanges(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 100 {
		rate := Rate{PerSecond: math.Exp(4 + rnd.Float64()*8), Burst: rnd.IntN(50)}
		m := &ratesWorld{rnd: rnd, rates: rates{limiter: newLimiter(rate), short: never}, late: 1 + rnd.Int64N(40*ms)}
		for range 1 + rnd.IntN(3) {
			m.valves = append(m.valves, &valveState{owed: 1e6})
			m.delay = append(m.delay, 1+rnd.Int64N(1+rnd.Int64N(40*ms)))
		}
		for range 4 {
			m.run(second)
			begun, before := m.now, m.passed
			m.run(10 * second)
			got, want := float64(m.passed-before), rate.PerSecond*float64(m.now-begun)/float64(second)
			// A window may begin before and end after what a delay holds back, or the other way round.
			slack := 0.01*want + 1 + perNano(rate)*float64(m.late+80*ms) + float64(rate.Burst)
			if math.Abs(got-want) > slack {
				t.Fatalf("%+v, timers late by up to %v, sources %v: %.0f events, want %.0f", rate, time.Duration(m.late), m.delay, got, want)
			}
			rate.PerSecond = min(max(rate.PerSecond*math.Exp(rnd.Float64()*2.6-1.3), 50), 200_000)
			m.set(rate, m.now)
		}
	}
}

// ratesWorld is rates with sources and timers that are late, in simulated time.
type ratesWorld struct {
	rates
	rnd    *rand.Rand
	now    int64
	late   int64   // bounds the lateness of timers
	delay  []int64 // bounds, of each source, the time from being asked to emitting
	coming []arrival
	passed int
}

// arrival is n events that a source emits at a time.
type arrival struct {
	at   int64
	from int
	n    int
}

// run lets a time pass.
func (m *ratesWorld) run(length int64) {
	for end := m.now + length; m.now < end; {
		next := m.share(m.now)
		for i, v := range m.valves {
			if v.granted > 0 {
				m.coming = append(m.coming, arrival{m.now + m.rnd.Int64N(m.delay[i]), i, v.granted})
			}
			v.granted = 0
		}
		m.noteWaiting(m.now)
		if next = min(next, end); next < end {
			next += m.rnd.Int64N(m.late)
		}
		at := -1
		for i, a := range m.coming {
			if a.at <= next {
				next, at = a.at, i
			}
		}
		m.now = max(m.now, next)
		if at >= 0 {
			a := m.coming[at]
			m.coming = append(m.coming[:at], m.coming[at+1:]...)
			m.emitted(m.valves[a.from], a.n, m.now)
			m.valves[a.from].addOwed(a.n)
			m.passed += a.n
		}
	}
}
