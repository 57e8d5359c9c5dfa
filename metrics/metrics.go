package metrics

import "time"

// Tag is one dimension of a measurement, such as status:success.
type Tag struct {
	Key, Value string
}

// Recorder makes instruments. Two instruments of the same name and tags add up to
// one series. All methods are safe for concurrent use and none blocks; make
// instruments once and keep them, since making one may allocate.
type Recorder interface {
	// Counter counts occurrences.
	Counter(name string, tags ...Tag) Counter
	// Gauge holds the latest value of something that goes up and down.
	Gauge(name string, tags ...Tag) Gauge
	// Timer collects durations.
	Timer(name string, tags ...Tag) Timer
}

// Counter counts occurrences.
type Counter interface {
	// Add adds n, which may be zero but not negative.
	Add(n int64)
}

// Gauge holds the latest value of something that goes up and down.
type Gauge interface {
	// Set replaces the value.
	Set(v float64)
}

// Timer collects durations.
type Timer interface {
	// Observe adds one measurement. A negative duration is recorded as zero.
	Observe(d time.Duration)
}
