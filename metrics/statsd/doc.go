// Package statsd sends measurements to a StatsD server. Its [Recorder] is a
// [metrics.Recorder].
//
//	Observe ─▶ atomics ─┐
//	Add     ─▶ atomics ─┼─ every FlushInterval ─▶ lines ─▶ datagrams ─▶ server
//	Set     ─▶ atomics ─┘      (the recorder's own goroutine)
//
// # Tags
//
// A recorder keeps at most [Config.MaxSeries] series. One that was not used for five
// minutes is removed, unless it is a gauge that is not 0. When MaxSeries is reached,
// those give way to others that their owners have ended (metrics.End), then
// those that were not used for a minute, the least recently used first, and at last gauges
// that were not set for five minutes; the first time is logged. If there is none, an
// instrument records nothing: each use of it counts in [Recorder.Dropped], and its
// name is logged once. [Recorder.Snapshot] has the counts.
//
// Instruments of a removed series stay valid. The next use makes it again, and an
// instrument that was refused works as soon as there is room.
//
// # Gauges
//
// A gauge is sent when it was set, and again every five seconds. One that was set to 0
// and not again for a minute is no longer sent: its owner has ended.
//
// Bytes that would break a line of the protocol (control characters, spaces
// and any of : | @ # , ; =) become an underscore in names and tags.
//
// # Blocking
//
// The instruments take no lock, except for the first use of one whose series was removed
// or refused; no lock is held while something is sent. Sockets are opened, names resolved and datagrams
// written by one goroutine, for which only [Recorder.Close] waits.
//
// # Loss
//
// Counters and gauges are exact. A timer sends every observation of an
// interval as long as there are no more than [Config.TimerSamples]. Beyond that
// it sends a uniform sample marked with its rate, from which the server computes
// the exact count, and always the largest observation.
//
// Lines that could not be sent are counted in [Recorder.Dropped] and reported as
// the counter metrics.dropped once a server can be reached. That number is a
// lower bound: UDP does not report losses on the way or in a receiver's full
// socket buffer. Until the server's name is resolved for the first time nothing
// is lost for ten seconds: counters and timers continue to collect.
//
// # Concurrency
//
// Everything may be used from any goroutine at any time. Values recorded while
// [Recorder.Close] runs may or may not be part of the last flush, and values
// recorded after it are ignored.
//
// # Cost
//
// Using an instrument allocates nothing. A counter and a gauge are some tens of
// bytes, a timer is 16 bytes for each observation of its busiest interval, up to
// TimerSamples.
package statsd
