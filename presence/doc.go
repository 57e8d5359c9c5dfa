// Package presence tracks which users are online in which topics, from how many
// places and with which data, on all nodes.
//
//	Track(ctx, topic, key, meta) ──▶ Tracker ──▶ presence_diff on the topic
//	                                 │    ▲
//	                          deltas ▼    │ deltas, heartbeats, states
//	                            pubsub.Hub ◀──▶ trackers of other nodes
//
// A presence is a key, such as a user's id, in a topic, with a meta for each
// place where that user is tracked: a tab, a device. It lives as long as a
// context, usually [the context of a channel]: when that ends the presence
// leaves. Changes are broadcast on the topic as presence_diff, and
// [Tracker.PushState] sends a client presence_state; the class Presence of
// phoenix.js understands both.
//
// # Delivery
//
// Each node broadcasts diffs to its own clients only, about presences on all
// nodes. A diff holds the metas that changed, not all metas of their key. An
// update is one diff with the new meta among the joins and the old one among the
// leaves. A diff holds about 64 KiB of metas: a crowd is told in several. A client
// that joins gets the list with [Tracker.PushState], in parts if it is large, in
// order with the diffs:
//
//	err := tracker.PushState(ctx, ch.Topic(), ch.PushWritten)
//
// Changes of the same moment are merged into one diff: those made until the diff
// before has been broadcast, or within Config.DiffPeriod. Without a period the changes
// of a crowd, of four or more at a time in one topic, are gathered for up to 25 ms after
// the diffs before; those of other topics do not wait. A meta that came and went in
// between is not mentioned.
//
// # Order
//
// Diffs of one node are broadcast one after another, those of a topic in the order of
// the changes, by a goroutine that runs while there are any. Track, Update and Untrack do not
// wait for it: what List and Get return has changed when they return, and
// [Tracker.Settle] waits until the diffs have been broadcast as well.
//
// # Other nodes
//
// With a hub of several nodes a tracker takes part while [Tracker.Run] runs. End
// it before the hub's Run, so that its goodbye is still sent:
//
//	tracker, err := presence.New(presence.Config{Hub: hub})
//	go tracker.Run(ctx)
//
// At the end of a node, end Run first, then close the clients, then end the hub's Run.
// After the goodbye the node's users have left everywhere, so that those who come to
// other nodes are shown once. If clients are closed before, the first ones are shown
// twice, with a meta of each node, until the leave is announced. So is a user who moves
// from a node that goes on, for BroadcastPeriod at the longest, and one whose node was
// killed, until that is back or for DownPeriod.
//
// The presences of a node are written by that node alone, so that a version
// number for each node keeps copies in step: changes are sent as deltas every
// BroadcastPeriod, and a heartbeat with the version when there are none. A node
// that finds by the version that it missed something asks the sender for all of
// its presences. A node that is silent for DownPeriod is down: its presences
// leave, and come back when it does. They are forgotten after PermDownPeriod, when
// the node says goodbye, and when it comes back as a new process. A process knows
// from the others that it is a later one, whatever its clock shows. Copies converge
// once messages pass.
//
// # Blocking
//
// No method waits for other nodes, clients, OnDiff or other callers. List waits for
// Fetch, for Config.FetchTimeout at the longest, as does each diff. A Fetch that
// fails, panics, hangs or ends its goroutine costs clients its fields and nothing
// else. Fetch is called for up to eight topics at a time. A subscriber or an OnDiff
// that blocks holds up later diffs, of all topics, which is logged after ten
// seconds. What comes from other nodes is taken at once; the goroutine of Run sends
// for it.
//
// # Concurrency
//
// All methods of [Tracker] but Settle may be called from any goroutine, also from
// Fetch, OnDiff and subscribers of the hub.
//
// # Errors
//
// [ErrAlreadyTracked], [ErrNotTracked], and those of encoding the meta. What could
// not be sent to other nodes is logged, counted in [Tracker.Snapshot] and sent
// again.
//
// # Cost
//
// A tracked presence costs memory on each node, no goroutine and no timer. A
// tracker without other nodes needs a goroutine only while diffs are broadcast; Run
// holds one. Each call of Fetch has a goroutine.
//
// [the context of a channel]: https://pkg.go.dev/github.com/penstock-go/penstock/sinks/websocket#Channel.Context
package presence
