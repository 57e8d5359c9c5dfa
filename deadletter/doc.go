// Package deadletter keeps events that have failed for good: a [Letter] is such an
// event with its error, and a [Sink] is where letters go. An event gets its receipt
// only when its letter is stored, so that it is in one of two places at every moment:
// at its source or in the sink.
//
// A [File] is a sink of JSON lines, kafka.DeadLetters one of records in a topic, and a
// [Memory] is for tests. A [Writer] puts the letters of a stage into a sink, in batches,
// and repeats a write until it has succeeded. While a sink fails, events wait for their
// receipts, and their source delivers no more when too many do.
//
// A letter is stored at least once: a write that has failed may have stored some of
// its letters, and an event whose receipt was lost in a crash fails again.
//
// The command cmd/deadletters, which docs/deadletters.md describes, lists letters and
// plays their events back.
package deadletter
