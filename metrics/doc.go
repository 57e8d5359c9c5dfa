// Package metrics is the interface through which every part of Penstock reports
// its measurements. It uses the standard library only; recorders that need a
// client, such as package metrics/statsd, are packages of their own.
//
// A [Recorder] hands out instruments ([Counter], [Gauge], [Timer]) that are
// bound to a name and a fixed set of tags once, at set-up time. Using an
// instrument afterwards costs no allocation, never blocks and may be done from
// any goroutine. [Nop] records nothing and is the default of every package,
// [Tee] records in several places, and metricstest.Recorder keeps everything for
// a test.
//
// # Tags
//
// Tags must have few distinct values. A user id is never a tag: it would make
// one time series per user in the server. Those that end, such as the stage names
// of pipelines that come and go, are ended with [End].
//
// # Blocking
//
// No method of a recorder or an instrument blocks.
package metrics
