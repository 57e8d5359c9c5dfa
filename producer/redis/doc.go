// Package redis is a source of entries of Redis streams: a consumer of a consumer group
// that reads on demand and acknowledges what has its receipt.
//
// # Demand
//
// A read asks for at most as many entries as the stage has asked for and not received,
// and no entry is read while [Config.Window] of them have no end in Redis. Without
// demand nothing is read.
//
// # Delivery
//
// At least once, through any pipeline, as far as Redis keeps what it has accepted. An
// entry is acknowledged (XACK) after its receipt with the outcome Done, Failed or
// Discarded, and never earlier. What the receipt of an event waits for, and so what is
// stored before the entry is acknowledged, is as with every source with receipts: all that
// the stages have made of it, and its dead letter if its step has a sink for them.
// An entry with the outcome Abandoned is claimable at once, and is delivered again.
//
// An entry stays with its consumer for [Config.Lease]. The producer renews that for all
// entries in work (XCLAIM with JUSTID, every third of the lease), so that a slow handler
// keeps its entries however long it takes. The entries of a process that has died are
// claimed by others (XAUTOCLAIM) when the lease is over, or, with a [Config.Consumer] that
// stays the same, by its successor at once.
//
// After a crash exactly those entries are delivered again that were in flight or whose
// acknowledgement had not reached Redis: together never more than Window.
// A process that was cut off from Redis for longer than the lease goes on with what it
// has while others may have claimed it: then an entry is handled twice.
//
// # What Redis itself may lose
//
// Redis acknowledges a write before it is on disk, unless appendonly is yes and
// appendfsync always. With the usual everysec a power failure or a kill of Redis loses the
// last second: entries that [Writer.Append] has reported as accepted, and acknowledgements,
// whose entries are delivered again. A fail-over to a replica loses what it did not have.
//
// Redis drops entries that are trimmed (XTRIM, or MAXLEN and MINID of XADD), handled or not.
// The package trims nothing: bound a stream by age (MINID) at an age beyond the longest
// outage that is to be survived, or in a job that trims below the first entry that is
// pending or was not delivered to any group. Claimed entries that were trimmed are counted
// as [Snapshot].Trimmed and logged; what was trimmed before its delivery cannot be seen.
//
// # Order
//
// Entries of a stream are emitted in the order of their IDs as long as one process reads.
// Several processes of a group share a stream entry by entry, so that there is no order
// between them, and what is claimed or delivered again comes later than entries behind it.
// For an order of each key use one stream for each partition of the keys, each read by one
// process at a time, or package kafka or postgres.
//
// # Bad entries
//
// An entry is poison if [Config.Decode] returns an error or panics, or if it was delivered
// more than [Config.MaxDeliveries] times, as one that kills its process each time. It is
// counted, logged and acknowledged; with [Config.DeadLetters] not before its letter is
// stored.
//
// # Failure
//
// A Redis that is absent or refuses requests is tried again without end, with the pauses
// of [Config.Retry], logged at most once a second, counted and shown by
// [Producer.Snapshot]. A group that is missing is made. Nothing busy-loops.
//
// # Shutdown
//
// A drain reads nothing more; entries that were read and not emitted are claimable by
// others at once. When the stage ends, all acknowledgements are sent, what has no receipt
// is made claimable, and a consumer with nothing pending is removed from its group, within
// [Config.CloseTimeout]. Consumers that have crashed stay in the group, with nothing
// pending after a while: XGROUP DELCONSUMER removes them.
package redis
