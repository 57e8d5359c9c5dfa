package consumer

import "github.com/penstock-go/penstock/metrics"

// meters record the failures of the functions that a consumer calls.
type meters struct {
	retries  metrics.Counter
	failures metrics.Counter
}

// newMeters returns meters for r, which may be nil.
func newMeters(r metrics.Recorder) meters {
	if r == nil {
		r = metrics.Nop()
	}
	return meters{retries: r.Counter("consumer.retries"), failures: r.Counter("consumer.failures")}
}
