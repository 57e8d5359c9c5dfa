// Package metrics is the interface through which every part of Penstock reports
// its measurements.
//
// A [Recorder] hands out instruments ([Counter], [Gauge], [Timer]) that are
// bound to a name and a fixed set of tags once, at set-up time; using an
// instrument afterwards costs no allocation, never blocks and may be done from
// any goroutine. [Nop] records nothing and is the default of every package, [Tee] records in several places, [StatsD] sends to a
// StatsD server and metricstest.Recorder keeps everything for a test to look
// at.
//
//	Observe ─▶ atomics ─┐
//	Add     ─▶ atomics ─┼─ every FlushInterval ─▶ lines ─▶ datagrams ─▶ server
//	Set     ─▶ atomics ─┘      (the recorder's own goroutine)
//
// # Tags
//
// Tags must have few distinct values. A user id is never a tag: it would make
// one time series per user in the server. [StatsD] keeps at most
// [StatsDConfig.MaxSeries] series; an instrument beyond that records nothing,
// and each use of it is counted in [StatsD.Dropped].
//
// Bytes that would break a line of the protocol (control characters, spaces
// and any of : | @ # , ; =) become an underscore in names and tags.
//
// # Blocking
//
// No method of a recorder or an instrument blocks. The instruments of [StatsD]
// take no lock; sockets are opened, names resolved and datagrams written by
// one goroutine, for which only [StatsD.Close] waits.
//
// # Loss
//
// Counters and gauges are exact. A timer sends every observation of an
// interval as long as there are no more than [StatsDConfig.TimerSamples];
// beyond that it sends a uniform sample marked with its rate, from which the
// server computes the exact count, and always the largest observation.
//
// Lines that could not be sent are counted in [StatsD.Dropped] and reported as the
// counter metrics.dropped once a server can be reached. That number is a lower
// bound: UDP does not report losses on the way or in a receiver's full socket
// buffer. Until the server's name is resolved for the first time nothing is lost
// for ten seconds: counters and timers continue to collect.
//
// # Concurrency
//
// Everything may be used from any goroutine at any time. Values recorded while
// [StatsD.Close] runs may or may not be part of the last flush, and values recorded
// after it are ignored.
//
// # Cost
//
// Using an instrument of [StatsD] allocates nothing. A counter and a gauge are
// some tens of bytes, a timer is 16 bytes times TimerSamples.
package metrics
