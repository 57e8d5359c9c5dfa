// Package websocket serves channels: clients join topics over one connection
// and exchange events with the handlers behind them, in the protocol of Phoenix
// Channels, so that the client library named phoenix works with it unchanged.
//
//	            ┌───────────────── Endpoint ─────────────────┐
//	client ◀──▶ │ connection ── session ──┬── Channel ── Handler   (yours, one per join)
//	            │      ▲    outbound queue├── Channel ── Handler
//	            │      └── writers        └── …           │
//	client ◀──▶ │ …                                        │ ◀── Broadcast(topic, event, payload)
//	            └────────────── pubsub.Hub ────────────────┘
//
// An [Endpoint] is an http.Handler with [Socket]s mounted at paths. A socket says
// who may connect and which topics lead to which [Handler]. A handler is asked
// to join, gets the client's events, may intercept what is broadcast, and talks
// back through its [Channel].
//
// # Delivery
//
// To a client: at most once. A push or broadcast that was taken is written to
// the client's socket unless the connection ends or the queue's policy gives it
// up. [Channel.PushWritten] tells which of it happened, exactly once. Broadcast
// answers how many took the event on this node: zero means that nobody did.
// From a client: every message that was read is handled, unless its channel or
// connection ended before.
//
// # Order
//
// A connection's messages are handled in the order sent; one channel's strictly
// one after another, those of different channels side by side. A client sees
// what one channel pushes and replies in the order in which it was said, the
// reply to a join first, and broadcasts made by one goroutine in their order. A
// broadcast made in HandleIn comes before its reply; an intercepted one goes
// through the handler and so comes after.
//
// # Blocking
//
// No push, reply or broadcast waits for a client. A handler that takes long
// holds up its own channel, then, when Limits.Inbox messages wait, the reading of
// its own connection, and nobody else; [Channel.Go] is for what takes long, a
// bounded number at a time. Join and Connect hold up the connection they are
// about.
//
// # Loss
//
// Outbound queues are bounded in events and bytes. What happens beyond is the
// [Overflow] policy of the mount or the channel: close the connection (the
// default), or give up the newest or the oldest; each event given up is counted
// in websocket.discarded. A channel may conflate: a waiting event gives way to
// a newer one with the same key.
// Replies and control messages are never given up: they may use twice the room,
// and then the connection is closed. Intercepted broadcasts beyond Limits.Inbox are
// refused, which their receivers count tells, and counted. A client that takes
// nothing for Timeouts.Write is disconnected.
//
// # Resume
//
// Beyond Phoenix, and off unless asked for: the broadcasts on topics of a
// channel with ChannelConfig.Resume are numbered, and kept for a while by the
// [pubsub.History] of the endpoint's hub. A client that was away says in its join
// params where it was, and gets what it missed, or is told that it cannot.
//
//	join params   {"resume": {"epoch": E, "offset": N}}            where it was
//	join reply    {…, "resume": {"epoch": E, "offset": N, "recovered": true}}
//	              {…, "resume": {"epoch": F, "offset": M, "recovered": false, "reason": R}}
//	broadcasts    {…, "resume_offset": N+1}, {…, "resume_offset": N+2}, …
//
// The reason R is "new" if the client has not said where it was, "epoch" if it
// was on another node or before a restart, "history" if what it missed is not
// kept any more. The offset of the reply, and then that of each broadcast, is
// where the client is; it need not count. A recovered client gets all that was
// kept after its offset, in order and once, before anything newer; one that is
// not recovered gets what comes after the offset of the reply. There is no
// silent gap: a client whose queue is full gets the rest from the history when
// it has drained, and one that has fallen behind the history is closed with
// 1013, joins again and is told. A broadcast that is longer than the whole
// queue is sent when nothing else waits. What a channel broadcast to the others itself it is not given
// while it is joined: it gets {"resume_offset": N} in an event of that name
// instead, so that it does not ask for it later.
//
// These broadcasts carry the join ref, so that clients can tell those of an
// earlier join; version 1 of the protocol has no place for it. Payloads are JSON
// objects; binary ones are refused, such a channel cannot intercept, and the
// response of HandleJoin must be an object. Events that the history excepts,
// and pushes, are neither numbered nor kept.
//
// # Slow clients
//
// SocketConfig.QueueFull and QueueDrained tell when a connection's queue passes
// three quarters of a bound, and when it has fallen below half again: so whoever
// feeds it can stop in time.
//
// # Failure
//
// A handler that panics or returns an error ends its own channel: the client
// gets phx_error, joins again, and other channels go on. A message that cannot
// be read closes the connection with 1011.
//
// # Shutdown
//
// [Endpoint.Shutdown] refuses new connections, closes all others with 1001
// after what is queued, lets the handlers terminate and waits for all that,
// bounded by its context. No goroutine of the endpoint is left.
//
// # Close codes
//
//	1001  the endpoint shuts down, or the socket's id was told to disconnect
//	1002  a breach of the WebSocket protocol, or Timeouts.Idle without a byte
//	1007  text that is no UTF-8
//	1008  too many or empty fragments, or a message that takes too long
//	1009  a message larger than Limits.MessageBytes
//	1011  a message that is none of the protocol's
//	1013  the client does not keep up with what is queued for it
//	4001  the credentials have expired
//	4002  nothing was joined for Timeouts.Join
//	4429  more was sent than is allowed, for Timeouts.Throttle
//
// Phoenix.js connects again after all of them.
//
// # Concurrency
//
// All methods of [Endpoint], [Channel] and [Ref] may be called from any
// goroutine, except [Channel.Ref]. A handler's methods never overlap.
//
// # Security
//
// Pages of other hosts are refused unless an [OriginCheck] allows them. Messages
// are bounded (64 KiB) before memory is taken for them, fragments by number,
// slow messages by time, channels and waiting messages by number, and what a
// client sends in a second by frames, bytes and joins. Topics have a grammar.
// Names of secrets in the parameters are redacted in logs, payloads never
// logged, what a client chose is escaped. Credentials can expire and be renewed
// while the connection lasts ([SocketConfig]). [NewServer] bounds what comes
// before the upgrade. docs/security.md has all of it, with the tests.
//
// # Cost
//
// An idle connection costs no buffer and one goroutine with the smallest stack;
// on Linux over plain TCP none, once its client has been silent for a second.
// A channel has a goroutine only while its handler works. A broadcast is encoded
// once per version of the protocol; each delivery allocates nothing, and on
// resumable topics two things, of which one is the frame. What is queued for a
// connection goes out in writes of up to 32 frames and 16 KiB; on
// plain TCP a few goroutines do that for all connections, or, while there is
// little to write, whoever has queued it. docs/performance-channels.md has figures.
package websocket
