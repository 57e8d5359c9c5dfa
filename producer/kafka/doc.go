// Package kafka is the durable source: a member of a Kafka consumer group that
// polls on demand and commits finished records.
//
//	broker ──▶ poller ──▶ stage ──▶ dispatcher ──▶ consumers
//	   ▲      (decode,      │                          │
//	   │       track)       ◀──────── receipts ────────┘
//	   └── committer ◀── tracker: the finished prefix of each partition
//
// # Demand
//
// No more records are decoded than the stage has asked for and not received. The
// poller polls when there is demand and nothing to decode; then it takes what the
// client has fetched, which fetches more meanwhile. Without demand nothing is polled;
// the client's heartbeats continue, however long that lasts.
//
// Decode is called between polls, when the group may be rebalanced: slow decoding
// delays no heartbeat, no revocation and no drain by more than one call.
//
// # Memory
//
// Responses are bounded before and after they are unpacked, so that a small topic of
// zeros does not fill the memory. With B brokers, U for [Config.FetchMaxUnpackedBytes],
// F for [Config.FetchMaxBytes], H partitions whose window is full, and M the largest
// batch in memory, a producer keeps at most
//
//	2 × B × (max(U, F) + M) + H × (2 × U + M)
//
// bytes of records that were not decoded: one response of each broker in the client and
// one with the poller, and of a partition whose window is full what came before it was
// paused. A record counts with 240 bytes beside its key, value and headers. No batch may
// unpack to more than 64 MiB. What a response has beyond U is fetched again; if that
// happens, less is fetched at a time. A decompressor of [Config.Options] is not bounded.
//
// # Delivery
//
// At least once, through any pipeline. A record is committed when it and all
// records before it on its partition are finished, and never earlier: at every
// moment the committed offset is at or below the lowest unfinished one. A record is
// finished when everything that the stages have made of it is: each part of it, in
// each branch of a fan-out, and what it was gathered with. It does not matter which
// dispatchers and stages are in between.
//
// Receipts with the outcome Done, Failed or Discarded finish a record, because a
// partition does not stop for a bad one: a record that a filter drops, for which
// stage.MapFunc returns an error, or that a policy discards is not delivered again.
// Handle a failure before you give the receipt. A record that was abandoned, since
// its consumer died and no subscription with Redeliver took it back, is not finished:
// as soon as nothing of its partition is in flight, the partition is read again from
// its finished prefix.
//
// The tests of the package hold this. TestNothingIsLost ends a member at every one of
// its steps, before and after each event, receipt and commit, by a crash, a stop and a
// panic, behind filters, windows, fair and partitioned dispatchers and fan-outs, and
// has another member take over: no record is lost, and no commit passes one that was
// not handled. TestStoreThatFails has a store behind a transform and a batch fail.
//
// The exception is a choice of the program: in a pipeline with KeepRunning a failed
// branch of a fan-out is no subscriber any more, and the others finish the records.
//
// After a crash all records above the last commit are delivered again: those in
// flight and those finished since. Of each partition that are at most Window records,
// so that a member with P partitions repeats at most
//
//	P × Window
//
// whatever happened before. Commits happen every [Config.CommitInterval], when the
// finished records since the last one are a quarter of the window, when a partition is
// revoked and at the end. While a rebalance is going on the group accepts none; then
// intake stops when the windows are full.
//
// # Order
//
// Records of a partition are emitted in the order of their offsets. To keep the
// order of each key through a pool of workers, use fair.Dispatcher or
// dispatcher.Partition.
//
// # The window
//
// A partition is a queue. One record that is never finished stops its commits,
// and [Config.Window] records from the last commit on its intake; then all later records
// of that partition wait, and only those. With the default of 10,000, ten thousand
// records of other keys pass a stuck one. A flood for one key fills the window only
// if its records stay unfinished: bound the queue of a key in the dispatcher (its overflow is discarded, which is a
// receipt), give records a time to live, or make the window larger. A partition goes on
// when an eighth of its window is free. What the client has fetched of it by then is kept and not
// fetched twice; the client is paused for it only if there is demand, and nothing of it is
// finished soon.
//
// # Where a group begins
//
// A group begins at [Config.Start], on partitions of which it has committed nothing, or at
// a time: [Config.StartAt], [Config.StartAgo]. If the broker no longer has what is due, the
// partition goes on at [Config.Reset] or [Config.ResetAgo]. [Config.TopicPatterns] reads
// topics by their names, also those that are made later.
//
// [Producer.Pause] stops the intake of single partitions, until [Producer.Resume].
//
// # Transactions
//
// With [Config.ReadCommitted] a record is delivered when its transaction is committed.
// Aborted records and the marks that end transactions are passed: the group's offset moves
// over them, so that the lag of a quiet topic is 0. The client finds a partition's
// position behind them by their marks.
//
// A pipeline of stages is at least once. From topics to topics a [Transactor] is exactly
// once: the results of a batch and its offsets are one transaction. What it does not cover
// is anything that its function does elsewhere, and readers that do not read committed
// records only.
//
// # The group's protocol
//
// The default is the classic protocol with the client's cooperative-sticky balancer. With
// [ServerProtocol] the broker assigns partitions (KIP-848). It is not the default: it
// needs Kafka 4.0, the client's makers advise it from 4.3 on since commits can be refused
// for a stale epoch before that, and at an older broker the client would fall back to an
// eager balancer, which stops all members in each rebalance. A producer may start before
// any broker responds, so it cannot choose by the broker's version. In the server's
// protocol the session timeout is the broker's (group.consumer.session.timeout.ms), not the
// client's. Members of a running group may be moved over one by one: a broker of 4.0
// or later has both kinds in one group meanwhile.
//
// # Share groups
//
// A [Share] is the second mode, for jobs without an order: the broker hands the records of
// a partition out to any number of members, each under a lock, and takes a verdict for
// each record. [VerdictOf] makes it of the receipt: a record is accepted, rejected if its
// event has failed for good, and released, which is delivered again, if it was abandoned.
// [ShareConfig.Verdict] may decide otherwise, for example release it until its third
// delivery. A released record comes again at once and without a pause, so that an outage is
// better waited for in the pipeline; after five deliveries (the broker's
// group.share.delivery.count.limit) it is lost.
//
// Delivery is at least once. What a killed member had is delivered again at once when the
// broker sees that its connection is closed, which is what the end of a process does, and
// after the lock's time (share.record.lock.duration.ms, 30 s by default) if the machine or
// the network has gone in silence. Locks of records that take longer are renewed, which
// needs Kafka 4.2. A member has one batch at a time, of [ShareConfig.Size] records at most,
// and fetches the next one when all of these have their verdict: one slow record stops this
// member, and no other.
//
// The broker needs the feature share.version=1, which a new cluster of 4.4 has. A group
// begins behind the newest record unless its setting share.auto.offset.reset is earliest.
//
// # Rebalancing
//
// When a partition is revoked, nothing more of it is emitted, and what was read ahead is
// taken back out of dispatchers, buffers and mailboxes (see stage.Handle.Withdraw). If
// records end out of order, or fewer have ended in order than are in flight or than a
// thousand, only what is behind the last one that a consumer has had is taken back at first,
// and what is in front of it is finished, so that nothing comes twice. If half of that is not
// finished in a quarter of [Config.RevokeTimeout], or not all of it in half of that time, the
// rest that no handler has started is taken back as well, which is logged: then the next
// member has those again that were finished behind it.
//
// The producer waits up to RevokeTimeout in all for the receipts of events in flight, and
// the finished prefix is committed; meanwhile nothing is polled. The group gives the partition to another member after that, so that
// the records of a key are begun in order over both, unless a handler takes longer. When a partition is
// lost (the group has already given it to another member) nothing is committed.
// Each assignment of a partition has a tracker of its own: a receipt that comes
// after the end of its assignment has no effect.
//
// # Bad records
//
// Input is not trusted. A record is poison if it exceeds [Config.Limits], or if
// [Config.Decode] returns an error, panics or calls runtime.Goexit: it is counted, passed to
// [Config.OnPoison], and finished, so that the partition continues. With
// [Config.DeadLetters] it is finished when its letter is stored, and not committed
// before. [NewDeadLetters] makes a sink that stores letters in a topic.
//
// # Retries
//
// A step retries an event that fails, and holds it meanwhile. For pauses of minutes or
// hours there are topics: [Retries] is a sink of dead letters that writes an event to the
// topic of its next round, before its record is committed, and a producer with
// [Config.Delay] reads it there when the pause is over. A partition of such a topic waits as
// a whole, in the client: nothing is in flight, so that rebalances and drains do not wait.
//
// # Failure
//
// Brokers that are absent, refuse requests or lose data are retried with back-off
// and jitter without end, counted and shown by [Producer.Snapshot]; nothing
// busy-loops. A partition whose fetches fail is left out of them for a while, up to 5 s,
// and does not hold up the others. [Config.StartTimeout] turns an absent broker at the start into
// an error.
//
// Nothing fails in silence. Besides the client, which repeats most failures without a
// word, a watcher asks the brokers every two seconds for the topics and their newest
// records, and reads itself from partitions whose records were asked for and do not come.
// So a wrong password, a certificate that is not accepted, a missing topic or a partition
// without a leader is logged, and one of Snapshot's troubles, within five seconds; then it
// is logged every ten seconds. [Producer.Ready] returns an error meanwhile: it is for the
// program's readiness probe. A topic that was deleted and made again is read from its start
// position, with what was in flight of the old one forgotten.
//
// A batch that cannot be read, since it is damaged or has more than 64 MiB uncompressed, is
// one poison record after three attempts, with its bytes as the value; see
// [Config.BadBatches].
//
// # Shutdown
//
// Draining stops the poller at once; what was read ahead is left for the next member, as
// in a revocation, and what is in flight is finished. When the stage ends, the finished prefix is committed
// and the group is left, within [Config.CloseTimeout]. No goroutine outlives
// the stage, unless OnPoison, Decode or DeadLetters does not return.
//
// # Concurrency
//
// A [Producer] belongs to one stage. [Producer.Snapshot] and all methods of
// [Writer] may be called from any goroutine.
package kafka
