// Package kafka is the durable source: a member of a Kafka consumer group that
// polls on demand and commits what was finished.
//
//	broker ──▶ poller ──▶ stage ──▶ dispatcher ──▶ consumers
//	   ▲      (decode,      │                          │
//	   │       track)       ◀──────── receipts ────────┘
//	   └── committer ◀── tracker: the finished prefix of each partition
//
// # Demand
//
// The poller never polls for more records than the stage has asked for and has
// not got, so that what is decoded and waiting is bounded by demand. Behind it
// the client keeps at most one fetched response for each broker, of
// [Config.FetchMaxBytes] compressed bytes. Without demand nothing is polled;
// heartbeats go on by themselves, however long that lasts.
//
// # Delivery
//
// At least once. A record is committed when it and all records before it on
// its partition are finished, and never earlier: at every moment the committed
// offset is at or below the lowest unfinished one. Receipts that say done,
// failed or discarded finish a record, because a partition does not stop for a
// bad one; what shall become of failures is for the consumer to decide before
// it gives the receipt. A record that was abandoned, because its consumer died
// and did not ask for redelivery, is not finished: as soon as nothing of its
// partition is in flight, the partition is read again from the committed
// prefix.
//
// After a crash everything above the last commit is delivered again: what was
// in flight, and what had been finished since, at most [Config.Window] records
// and one poll for each partition. Commits happen every
// [Config.CommitInterval], when a partition is taken away and at the end.
//
// # Order
//
// Records of a partition are emitted in the order of their offsets. Who needs
// order for each key through a pool of workers uses fair.Dispatcher or
// dispatcher.Partition.
//
// # The window
//
// A partition is a queue. One record that is never finished holds up its
// commits, and after [Config.Window] further records its intake; everything
// else in that partition waits then, and only that partition. The default of
// 10,000 is ten thousand records of other keys that pass a stuck one. A flood
// for one key fills the window only if its records stay unfinished: bound the
// queue of a key in the dispatcher (its overflow is discarded, which is a
// receipt), give records a time to live, or make the window larger. The client
// is paused for a partition only then, and goes on when the window is half
// empty: each pause throws away what was fetched, so that doing it for every
// batch would fetch everything many times over.
//
// # Rebalancing
//
// When a partition is taken away, nothing more of it is emitted, receipts of
// what is in flight are waited for up to [Config.RevokeTimeout], and the
// finished prefix is committed; polling rests meanwhile. When it is lost (the
// group has already given it to somebody else) nothing is committed. Each
// assignment of a partition has a tracker of its own: receipts that come later
// than that find it gone and change nothing.
//
// # Bad records
//
// Input is not trusted. A record that [Config.Decode] refuses, over which it
// panics, or that exceeds [Config.Limits], is poison: it is counted, given to
// [Config.OnPoison], and finished, so that the partition goes on.
//
// # Failure
//
// Brokers that are absent, refuse or lose data are retried with back-off and
// jitter for ever, logged, counted and shown by [Producer.Stats]; nothing
// busy-loops. [Config.StartTimeout] turns an absent broker at the start into
// an error.
//
// # Shutdown
//
// Draining stops the poller at once; what was polled and not emitted is left
// for the next member. When the stage ends, the finished prefix is committed
// and the group is left, within [Config.CloseTimeout]. No goroutine outlives
// the stage, unless OnPoison or Decode does not return.
//
// # Concurrency
//
// A [Producer] belongs to one stage. [Producer.Stats] and all methods of
// [Writer] may be called from any goroutine.
package kafka
