// Package delivery ends a pipeline at its users' channels: a [Consumer] takes
// events, sends each one to the clients that have joined the event's topic, and
// gives the receipt when the first client has it written.
//
//	sockets, err := delivery.New(endpoint, delivery.Config[Push]{
//		Topic: func(p Push) string { return "user:" + p.UserID }, Event: "push",
//	})
//	sink := stage.NewConsumer(sockets, stage.ConsumerConfig{})
//
// # Receipts
//
// An event is Done when the operating system has taken its frame for one client.
// It is Discarded when no client has it, with [NoSubscriber], [ClientFull],
// [Kept], receipt.Expired or receipt.Conflated as the reason, and Failed when its
// topic or payload cannot be made or sent. With WithdrawOnDrain what a client had taken
// and not got when it closed during the drain is Withdrawn. Each event has exactly one
// receipt, unless the stage is stopped: what was not delivered by then has none, so that
// the source, or Redeliver, has it again.
//
// # Waiting
//
// An event whose topic no client has joined waits for Grace, so that a client
// that reconnects misses nothing. An event whose clients all have a full queue
// waits until one of them has room. Neither polls, costs a goroutine, or needs
// code in a channel's handler; on a node of several the event is also sent again
// from time to time, since the clients of other nodes are not watched. Since the
// receipt is not given while an event waits, a fair dispatcher does not serve that
// key meanwhile: a user with a slow client delays only their own events. One client
// with room is enough: a tab that is stuck does not hold up another tab of the same
// user.
//
// # Demand
//
// A subscription has at most MaxDemand events on their way to sockets. An event
// that waits, or that a socket has held for longer than 100 ms, counts towards
// MaxWaiting instead, so that slow and absent clients do not use up the demand of
// the others. [Consumer.Resize] changes that number while the stage runs.
//
// # Order
//
// Events of one topic are sent in the order in which they arrived, and behind one
// that waits the later ones of its topic wait too. A client gets what was sent in
// that order. An event that is sent again because its connection closed comes
// after what was sent to other clients in between; with one event of a key in
// flight, as a fair dispatcher has by default, there is no such event.
//
// Events of one topic that arrive next to each other are sent together, to the clients of
// one moment, and a write can have several of them. They keep their order whatever becomes
// of the connections: with fair.Config.Turn, which hands out several events of a key and
// then none until all have their receipts, there is no such event either. That does not
// hold on a node of several, nor on resumable topics, where each goes by itself, nor for
// events of one topic that reach the consumer in separate calls and are on their way at
// the same time.
//
// # Resumable topics
//
// On a topic that keeps history an event is numbered and kept when it is sent. If
// the connections that took it close before they have it written it is discarded
// as [Kept]: a client that resumes gets it from the history. An event that finds
// no client is not kept while it waits, nor if it is discarded.
//
// # Other nodes
//
// With a hub of several nodes the clients may be connected to any of them. A user
// without a client anywhere is known at once. If another node does not answer, the
// event waits as it does for a client and is sent again, so that a client of that
// node may get it twice; at the end of the grace it is discarded as [NoAnswer]. A node
// that stood still does not write an old event after a newer one: it asks first.
//
// While other nodes cannot be asked, as pubsub.ReachRemote defines it, no grace ends:
// clients of this node have their events at once, and the others wait, so that the
// demand runs out and the source keeps the rest. Afterwards what waits is sent, and
// each grace goes on with what was left of it. Only Timeout and DiscardOnDrain discard
// something meanwhile.
//
// # Concurrency
//
// A Consumer belongs to one stage, whose goroutine makes all of its decisions and
// calls all functions of its Config. [Consumer.Snapshot] and
// [Consumer.Resize] may be called from any goroutine.
package delivery
