// Package metrics is the one way in which every part of penstock reports what
// it measures.
//
// A [Recorder] hands out instruments ([Counter], [Gauge], [Timer]) that are
// bound to a name and a fixed set of tags once, at set-up time; using an
// instrument afterwards costs no allocation, never blocks and may be done from
// any goroutine. [Nop] records nothing and is what every room uses when it was
// given no recorder. [NewStatsD] sends to a StatsD server.
//
// Tags must have few distinct values. A user id is never a tag: it would make
// one time series per user in the server behind.
package metrics

import "time"

// Tag is one dimension of a measurement, such as status:success.
type Tag struct {
	Key, Value string
}

// Recorder makes instruments. Asking twice for the same name and tags answers
// instruments that add up to one series. All methods are safe for concurrent
// use and none blocks; make instruments once and keep them, since making one
// may allocate.
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
