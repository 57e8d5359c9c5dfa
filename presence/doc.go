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
// leaves. Changes are broadcast on the topic as presence_diff, and [Tracker.List]
// returns what clients expect as presence_state; the class Presence of phoenix.js
// understands both.
//
// # Delivery
//
// Each node broadcasts diffs to its own clients only, about presences on all
// nodes. A diff holds the metas that changed, not all metas of their key. An
// update is one diff with the new meta among the joins and the old one among the
// leaves. Changes of the same moment are merged into one diff: those made while
// another one is being broadcast, or within Config.DiffPeriod. A meta that came
// and went in between is not mentioned.
//
// # Order
//
// Diffs of one node are broadcast one after another, in the order of the
// changes. If no other change is made at the same time, the diff has been
// broadcast when Track returns, unless there is a DiffPeriod.
//
// # Other nodes
//
// With a hub of several nodes a tracker takes part while [Tracker.Run] runs. End
// it before the hub's Run, so that its goodbye is still sent:
//
//	tracker, err := presence.New(presence.Config{Hub: hub})
//	go tracker.Run(ctx)
//
// The presences of a node are written by that node alone, so that a version
// number for each node keeps copies in step: changes are sent as deltas every
// BroadcastPeriod, and a heartbeat with the version when there are none. A node
// that finds by the version that it missed something asks the sender for all of
// its presences. A node that is silent for DownPeriod is down: its presences
// leave, and come back when it does. They are forgotten after PermDownPeriod, when
// the node says goodbye, and when it comes back as a new process. Copies converge
// once messages pass; clocks of different nodes are not compared.
//
// # Blocking
//
// No method waits for other nodes or for clients. Fetch and OnDiff run in the
// goroutine that made a change, or in another one that is broadcasting: they
// should be quick. A caller of Track broadcasts one diff at most. What comes from
// other nodes is taken at once; the goroutines of Run send and broadcast for it.
//
// # Concurrency
//
// All methods of [Tracker] may be called from any goroutine, also from Fetch,
// OnDiff and subscribers of the hub.
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
// tracker without other nodes needs no goroutine at all; Run holds two.
//
// [the context of a channel]: https://pkg.go.dev/github.com/penstock-go/penstock/sinks/websocket#Channel.Context
package presence
