// Package websocket serves channels: clients join topics over one connection
// and exchange events with the handlers of those topics, in the protocol of
// Phoenix Channels. The client library named phoenix works with it unchanged.
//
//	            ┌───────────────── Endpoint ─────────────────┐
//	client ◀──▶ │ connection ── session ──┬── Channel ── Handler   (yours, one per join)
//	            │      ▲    outbound queue├── Channel ── Handler
//	            │      └── writers        └── …           │
//	client ◀──▶ │ …                                        │ ◀── Broadcast(topic, event, payload)
//	            └────────────── pubsub.Hub ────────────────┘
//
// An [Endpoint] is an http.Handler with [Socket]s mounted at paths. A socket
// decides which clients may connect and which topics lead to which [Handler]. A
// handler decides whether a client may join its topic, takes the client's events,
// may intercept broadcasts, and sends through its [Channel].
//
// # Delivery
//
// To a client: at most once. A push or broadcast that was taken is written to the
// client's socket unless the connection ends or the queue's policy discards it.
// [Channel.PushWritten] reports which of them happened, exactly once. Broadcast
// returns how many subscriptions of this node took the event: 0 means that no
// client of this node gets it. [Endpoint.Deliver] reports when the first client
// has it written, or that none will. From a client: every message that was read is
// handled, unless its channel ended before: see Last messages.
//
// # Last messages
//
// What waits for a handler when its channel ends is handled first, in order, if the
// client may expect that: a page that saves and closes has saved. The handler's
// context lasts that long, for five seconds at the longest; replies go nowhere.
//
//	the client hangs up, closes or breaks the protocol     handled, then HandleTerminate
//	it leaves, or joins the topic again                    handled, then HandleTerminate
//	it is too slow (1013), idle (1002) or replaced (4409)  handled, then HandleTerminate
//	Endpoint.Close                                         handled, until its context ends
//	Disconnect, Kick, credentials that have expired        not handled: it has lost its rights
//	the handler stops or crashes the channel               not handled, as in Phoenix
//
// What is not handled is counted in websocket.discarded with the reason unhandled, and
// logged. Intercepted broadcasts that wait are discarded. A message that comes after
// the server has begun to close is not read.
//
// # Order
//
// The messages of a connection are handled in the order in which they were sent:
// those of one channel one after another, those of different channels
// concurrently. A client receives the pushes and replies of one channel in the
// order in which they were made, the reply to a join first, and the broadcasts of
// one goroutine in their order. A broadcast made in HandleIn comes before its
// reply; an intercepted one goes through the handler and so comes after.
//
// # Blocking
//
// No push, reply or broadcast waits for a client. [Endpoint.Broadcast],
// [Channel.Broadcast] and [Channel.BroadcastFrom] wait while the endpoint's writers are
// behind ([EndpointLimits].Backlog), which counts in websocket.broadcasts_waited. Hooks
// of [Channel.PushWritten], [pubsub.Subscriber].Deliver and the OnDiff of package presence
// must not block: there LocalBroadcast and the Broadcast of [Endpoint.PubSub] are right. A handler that takes long holds
// up its own channel and then, when Limits.Inbox messages wait, the reading of its
// own connection, and no other connection. [Channel.Go] runs long work, a bounded
// number of tasks at a time. HandleJoin and Connect hold up their own connection.
//
// # Loss
//
// Outbound queues are bounded in events and bytes. Beyond that the [Overflow]
// policy of the mount or the channel applies: close the connection (the default),
// or discard the newest or the oldest event. Each discarded event is counted in
// websocket.discarded. A channel may conflate: a newer event with the same key
// replaces one that waits. Intercepted broadcasts beyond Limits.Inbox are refused
// and counted; Broadcast does not count their channel. A client that takes nothing
// for Timeouts.Write is disconnected.
//
// What can never fit is refused with a [*TooLargeError] and counted, and closes
// nothing: a push or broadcast larger than Queue.Bytes, a reply larger than twice
// that. In place of the reply the client gets an error reply with the reason "reply
// too large"; a join with such a reply is refused.
//
// # Back-pressure
//
// Replies are never discarded, and a client is not closed for them: they have the
// bounds of the queue for themselves. While those are reached, the client's next
// messages wait, those that were read and those that were not: TCP holds up a client
// that asks for more than it reads. They go on when the replies have fallen below
// half of the bounds. Each reply that is under way then can exceed the bounds, one
// for each handler. When all queues together are longer than half of
// EndpointLimits.QueuedBytes, a client waits that has not taken all of its replies.
// Replies to heartbeats, and pongs, go out before everything
// else, and a heartbeat gets its reply until replies have twice the room. Each wait
// counts in websocket.client_held.
//
// # Resume
//
// Beyond Phoenix, and off by default: the broadcasts on topics of a channel with
// ChannelConfig.Resume are numbered, and kept for a while by the [pubsub.History]
// of the endpoint's hub. A client that was away sends its position in its join
// params. It gets what it missed, or is told that it cannot.
//
//	join params   {"resume": {"epoch": E, "offset": N}}            where it was
//	join reply    {…, "resume": {"epoch": E, "offset": N, "recovered": true}}
//	              {…, "resume": {"epoch": F, "offset": M, "recovered": false, "reason": R}}
//	broadcasts    {…, "resume_offset": N+1}, {…, "resume_offset": N+2}, …
//
// The reason R is "new" if the client has sent no position, "epoch" if that was of
// another node or from before a restart, "history" if what it missed is not kept
// any more. The offset of the reply, and then that of each broadcast, is the
// client's position; the client need not count. A recovered client gets all that
// was kept after its offset, in order and once, before anything newer; a client
// that is not recovered gets what comes after the offset of the reply.
//
// There is no silent gap: a client whose queue is full gets the rest from the
// history when the queue has drained, and one that has fallen behind the history
// is closed with 1013, joins again and is told. A broadcast that is longer than
// the whole queue is sent when no other event waits; in place of one that is longer
// than EndpointLimits.QueuedBytes clients get an event named resume_skipped with
// {"resume_offset": N}. A joined channel does not receive its own BroadcastFrom. It receives an event named resume_offset instead,
// with {"resume_offset": N}, which moves the client's position past that
// broadcast.
//
// These broadcasts carry the join ref, so that clients can recognise those of an
// earlier join; version 1 of the protocol has no place for it. Payloads are JSON
// objects; binary ones are refused, such a channel cannot intercept, and the
// response of HandleJoin must be an object. Events that the history excepts, and
// pushes, are neither numbered nor kept.
//
// # Compression
//
// With MountConfig.Compression messages of 512 bytes or more are compressed for
// clients that offer permessage-deflate, and those of clients may be. A broadcast is
// compressed once for all. See [CompressionConfig] for the bounds and for what the
// length of a compressed message reveals.
//
// # Serializers
//
// Versions 1 and 2 of the protocol are two wire formats; MountConfig.Serializers adds
// others, chosen by the parameter vsn or by a subprotocol. Clients with different
// formats meet on the same topics.
//
// # Slow clients
//
// SocketConfig.QueueFull is called when a connection's queue passes three quarters
// of a bound, QueueDrained when it has fallen below half again, so that a sender
// can stop in time.
//
// A client is judged only by what it can help. While the server does not read from
// it, it is not silent; a large frame may take any time while the client takes 16
// KiB of it within Timeouts.Write; a ping of Timeouts.Ping that waits for other
// messages has not been sent. Connections that are closed for being slow count in
// websocket.slow_closed.
//
// # Failure
//
// A handler that panics or returns an error ends its own channel: the client gets
// phx_error and joins again, and other channels go on. A message that has the form
// of the protocol and exceeds a limit (text cut inside of a character, nesting, a
// key twice, a number beyond a float64, a ref of more than 255 bytes) gets an error
// reply with the reason "malformed message" and the limit. One without that form
// closes the connection with 1011, after Timeouts.HoldOff.
//
// # Long polling
//
// A session reads one body at a time, within Timeouts.Message, after the token of
// the request was checked, and has handled it before it reads the next. A POST
// of more than 100 messages or 8 MiB is refused with 413 and nothing of it is
// handled. A response of which the client takes no 16 KiB within Timeouts.Write,
// and one that cannot be written, end the session: messages in it are lost, and
// the client learns that when it comes back: a GET for a session that is over gets
// status 500 in its body, after which every version of phoenix.js connects and joins
// again. A ReadTimeout or WriteTimeout of the
// server does not apply to a GET that waits.
//
// On several nodes a session stays on the node that began it. With
// LongPollConfig.Secret its requests may reach any node, which passes them there. A
// response with messages counts as written when the node that the client has
// reached has written it; without word of that the session ends. A request whose
// session's node is gone, or does not respond within 5 s, is treated like one whose
// session is over.
//
// In a query, the last of several values for one name counts. Phoenix.js up to 1.8
// appends the session's token under the name token, which an application may use
// too: Connect sees the application's.
//
// # Shutdown
//
// [Endpoint.Close] refuses new connections, closes all others with 1001 after
// what is queued, lets the handlers terminate and waits for all of that, bounded
// by its context. After it no goroutine of the endpoint is left. When its context
// ends first, Close names the handlers that still run. Every other orderly close
// writes what is queued first, too: only a client that does not keep up (1013), or
// takes nothing for Timeouts.Write, loses it.
//
// # Close codes
//
//	1001  the endpoint shuts down, or Disconnect was called for the socket's id
//	1002  a breach of the WebSocket protocol, or Timeouts.Idle without a byte
//	1007  text that is not UTF-8, or a malformed compressed message
//	1008  too many or empty fragments, or a message that takes too long
//	1009  a message larger than Limits.MessageBytes
//	1011  a message that does not have the form of the protocol
//	1013  the client does not keep up with what is queued for it
//	4001  the credentials have expired
//	4002  nothing was joined for Timeouts.Unjoined
//	4409  a newer connection of the same socket id: see CloseOldest
//	4429  more was sent than is allowed, for Timeouts.Throttle
//
// Close frames carry a short reason in words, for people. Phoenix.js connects again
// after all of them.
//
// # Concurrency
//
// All methods of [Endpoint], [Channel] and [Ref] may be called from any
// goroutine, except [Channel.Ref]. A handler's methods never overlap.
//
// # Security
//
// Pages of other hosts are refused unless an [OriginCheck] allows them. Messages
// are bounded (64 KiB) before memory is taken for them, fragments by number, slow
// messages by time, channels and waiting messages by number, and what a client
// sends in a second by frames, bytes and joins ([Limits], [Timeouts]). Topics have
// a grammar. Parameters with the name of a secret are redacted in logs, payloads
// are never logged, and strings from clients are escaped. Credentials can expire
// and be renewed while the connection lasts ([SocketConfig]). [NewServer] bounds
// connections, requests, bodies and responses. Requests for other hosts are refused
// if [EndpointConfig] lists hosts, and each refusal is counted and logged.
// docs/security.md lists all of it, with the tests.
//
// # Cost
//
// An idle connection costs no buffer and one goroutine with the smallest stack; on
// Linux over plain TCP it has no goroutine between two messages.
// A channel has a goroutine only while its handler works. A broadcast is encoded
// once for each serializer. Each delivery allocates nothing, and on
// resumable topics two objects, of which one is the frame. What is queued for a
// connection is written in batches of up to 256 frames and 64 KiB. On plain TCP a
// few goroutines write for all connections, or, while there is little to write,
// the goroutine that queues a message. docs/performance-channels.md has figures.
package websocket
