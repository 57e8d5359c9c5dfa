package metrics_test

import (
	"testing"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/metricstest"
	"github.com/penstock-go/penstock/trace"
)

// keeper keeps the last trace.
type keeper struct {
	metrics.Timer
	last trace.Context
}

func (k *keeper) ObserveTraced(d time.Duration, tc trace.Context) {
	k.Observe(d)
	k.last = tc
}

type keeperRecorder struct {
	metrics.Recorder
	k *keeper
}

func (r keeperRecorder) Timer(string, ...metrics.Tag) metrics.Timer { return r.k }

// Every recorder has the duration, and those that can have the trace if it is sampled.
func TestObserveTraced(t *testing.T) {
	plain, below := metricstest.New(), metricstest.New()
	k := &keeper{Timer: below.Timer("t")}
	timer := metrics.Tee(plain, keeperRecorder{below, k}).Timer("t")
	tc := trace.Context{TraceID: [16]byte{1}, SpanID: [8]byte{2}}
	metrics.ObserveTraced(timer, time.Second, tc)
	if k.last.IsValid() {
		t.Error("an example of a trace that is not sampled")
	}
	tc.Flags = trace.Sampled
	metrics.ObserveTraced(timer, time.Second, tc)
	if k.last != tc {
		t.Errorf("the trace is %v", k.last)
	}
	if len(plain.Durations("t")) != 2 || len(below.Durations("t")) != 2 {
		t.Errorf("\n%v%v", plain, below)
	}
	if n := testing.AllocsPerRun(100, func() { metrics.ObserveTraced(metrics.Nop().Timer("t"), 1, tc) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
