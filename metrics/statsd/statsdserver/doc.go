// Package statsd is a small StatsD server: what the example program sends its
// measurements to when no other server is named, and the receiver in tests.
//
// [Aggregate] is the arithmetic without a network: it takes datagrams and keeps
// counters, gauges and timers for each name and set of tags. [Server] feeds one
// from a UDP socket.
//
// # Protocol
//
// Lines of the form name:value|type, separated by newlines, with an optional
// |@rate and with tags as |#key:value,key:value, ;key=value or ,key=value. The
// types are c (counter), g (gauge; as in DogStatsD a sign belongs to the value) and
// ms, h and d (timers, in milliseconds). A line that is none of these is
// counted as malformed and changes nothing.
//
// # Timers
//
// A timer is kept in two HdrHistograms of two significant digits, from one
// microsecond to one hour: one over the whole life and one over a sliding
// window of the last ten seconds. An observation with |@rate counts 1/rate
// times.
//
// # Bounds
//
// No more than a fixed number of series is kept. For a further one, series that have
// had no line for a minute give way, the least recently used first; a gauge that is
// not 0 does so after five minutes. If there is none, the line is counted as refused.
// What a series has collected is lost when it gives way. A timer takes about 170 KB.
//
// # Concurrency
//
// All methods may be used from any goroutine.
package statsdserver
