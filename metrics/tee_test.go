package metrics_test

import (
	"testing"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/metricstest"
)

func TestTeeRecordsEverywhere(t *testing.T) {
	a, b := metricstest.New(), metricstest.New()
	both := metrics.Tee(a, nil, b)
	tag := metrics.Tag{Key: "k", Value: "v"}
	both.Counter("c", tag).Add(2)
	both.Gauge("g", tag).Set(3)
	both.Timer("t", tag).Observe(time.Second)
	for _, r := range []*metricstest.Recorder{a, b} {
		v, _ := r.Value("g", tag)
		if d := r.Durations("t", tag); r.Count("c", tag) != 2 || v != 3 || len(d) != 1 || d[0] != time.Second {
			t.Errorf("one side has\n%v", r)
		}
	}
}

func TestTeeOfOneIsThatOne(t *testing.T) {
	a := metricstest.New()
	if got := metrics.Tee(nil, a); got != metrics.Recorder(a) {
		t.Errorf("Tee returned %T", got)
	}
	if metrics.Tee() != metrics.Nop() {
		t.Error("nothing to record into is not Nop")
	}
}

func TestTeeAllocatesNothing(t *testing.T) {
	c := metrics.Tee(metrics.Nop(), metrics.Nop()).Counter("c")
	if n := testing.AllocsPerRun(100, func() { c.Add(1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// ended is an instrument that counts how often it was ended.
type ended struct {
	metrics.Counter
	metrics.Gauge
	metrics.Timer
	r *endingRecorder
}

type endingRecorder struct{ ends int }

func (e ended) End() { e.r.ends++ }

func (r *endingRecorder) Counter(string, ...metrics.Tag) metrics.Counter { return ended{r: r} }
func (r *endingRecorder) Gauge(string, ...metrics.Tag) metrics.Gauge     { return ended{r: r} }
func (r *endingRecorder) Timer(string, ...metrics.Tag) metrics.Timer     { return ended{r: r} }

// End reaches each instrument behind a tee, and leaves alone those that have no end.
func TestEndReachesAllRecorders(t *testing.T) {
	var a, b endingRecorder
	both := metrics.Tee(&a, metrics.Nop(), &b)
	metrics.End(both.Counter("c"), both.Gauge("g"), both.Timer("t"), metrics.Nop().Counter("c"))
	if a.ends != 3 || b.ends != 3 {
		t.Errorf("%d and %d of 3 instruments were ended", a.ends, b.ends)
	}
}
