// Package presence tells who is online where: who has joined a topic, from how
// many places, and with what about him worth knowing, on all nodes.
//
//	Track(ctx, topic, key, meta) ──▶ Tracker ──▶ presence_diff on the topic
//	                                 │    ▲
//	                          deltas ▼    │ deltas, heartbeats, states
//	                            pubsub.Hub ◀──▶ trackers of other nodes
//
// A presence is a key, such as a user's id, in a topic, with a meta for each
// place where that user is tracked: a tab, a device. Its life is that of a
// context, usually [the context of a channel]: when that ends the presence
// leaves. Changes are broadcast on the topic as presence_diff, and what
// [Tracker.List] answers is what clients expect as presence_state; the class
// Presence of phoenix.js understands both.
//
// # Delivery
//
// Each node broadcasts diffs to its own clients only, about presences on all
// nodes. A diff holds the metas that changed, not all of their key. An update
// is one diff with the new meta among the joins and the old one among the
// leaves. Changes of the same moment are merged into one diff: those made while
// another one is being broadcast, or within Config.DiffPeriod. Who came and went
// in between is not mentioned.
//
// # Order
//
// Diffs of one node are broadcast one after another, in the order of the
// changes. Who calls Track alone has its diff broadcast when Track returns,
// unless there is a DiffPeriod.
//
// # Replication
//
// The presences of a node are written by that node alone, so that a version
// number for each node is all that keeps copies in step: changes are sent as
// deltas every BroadcastPeriod, and a heartbeat with the version when there are
// none; who finds that he missed something asks that node for all of its
// presences. A node not heard of for DownPeriod is down: its presences leave,
// and come back when it does. After PermDownPeriod, when it said goodbye, and
// when it comes back as a new process, they are forgotten. Copies converge as
// soon as messages pass; nothing is decided by clocks of different nodes.
//
// # Blocking
//
// No method waits for other nodes or for clients. Fetch and OnDiff run in the
// goroutine that made a change, or in that of another one that is just
// broadcasting: they should be quick.
//
// # Concurrency
//
// All methods of [Tracker] may be called from any goroutine, also from Fetch,
// OnDiff and subscribers of the hub.
//
// # Errors
//
// [ErrAlreadyTracked], [ErrNotTracked], and those of encoding the meta.
//
// # Cost
//
// A tracked presence costs memory on each node, no goroutine and no timer. A tracker without other nodes needs no goroutine at all.
//
// [the context of a channel]: https://pkg.go.dev/github.com/penstock-go/penstock/sinks/websocket#Channel.Context
package presence
