package metrics

import (
	"time"

	"github.com/penstock-go/penstock/trace"
)

// Tee returns a recorder that records everything in each of recorders, in the
// order given. Nil recorders are left out; Tee of none records nothing.
func Tee(recorders ...Recorder) Recorder {
	var live tee
	for _, r := range recorders {
		if r != nil {
			live = append(live, r)
		}
	}
	switch len(live) {
	case 0:
		return Nop()
	case 1:
		return live[0]
	}
	return live
}

// tee is two recorders or more, none of them nil. Its instruments have one of each
// recorder, made once, so recording allocates nothing.
type tee []Recorder

func (t tee) Counter(name string, tags ...Tag) Counter {
	all := make(teeCounter, len(t))
	for i, r := range t {
		all[i] = r.Counter(name, tags...)
	}
	return all
}

func (t tee) Gauge(name string, tags ...Tag) Gauge {
	all := make(teeGauge, len(t))
	for i, r := range t {
		all[i] = r.Gauge(name, tags...)
	}
	return all
}

func (t tee) Timer(name string, tags ...Tag) Timer {
	all := make(teeTimer, len(t))
	for i, r := range t {
		all[i] = r.Timer(name, tags...)
	}
	return all
}

// The instruments of a tee, in the order of its recorders. All are Enders, and end those
// of theirs that are: a recorder without series that end is left alone.
type (
	teeCounter []Counter
	teeGauge   []Gauge
	teeTimer   []Timer
)

func (t teeCounter) Add(n int64) {
	for _, c := range t {
		c.Add(n)
	}
}

func (t teeGauge) Set(v float64) {
	for _, g := range t {
		g.Set(v)
	}
}

func (t teeTimer) Observe(d time.Duration) {
	for _, o := range t {
		o.Observe(d)
	}
}

// ObserveTraced implements TracedTimer.
func (t teeTimer) ObserveTraced(d time.Duration, tc trace.Context) {
	for _, o := range t {
		ObserveTraced(o, d, tc)
	}
}

// End implements Ender.
func (t teeCounter) End() {
	for _, c := range t {
		End(c)
	}
}

// End implements Ender.
func (t teeGauge) End() {
	for _, g := range t {
		End(g)
	}
}

// End implements Ender.
func (t teeTimer) End() {
	for _, o := range t {
		End(o)
	}
}
