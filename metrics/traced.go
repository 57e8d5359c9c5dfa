package metrics

import (
	"time"

	"github.com/penstock-go/penstock/trace"
)

// TracedTimer is a [Timer] that can keep a trace as an example of a measurement, so that a
// chart of latencies leads to the trace of a slow event.
type TracedTimer interface {
	Timer
	// ObserveTraced adds one measurement, of an event that belongs to a sampled trace.
	ObserveTraced(d time.Duration, tc trace.Context)
}

// ObserveTraced adds one measurement of an event that belongs to a trace. It is the same
// as Observe if the trace is not sampled, or if t is no [TracedTimer].
func ObserveTraced(t Timer, d time.Duration, tc trace.Context) {
	if tc.IsSampled() {
		if traced, ok := t.(TracedTimer); ok {
			traced.ObserveTraced(d, tc)
			return
		}
	}
	t.Observe(d)
}
