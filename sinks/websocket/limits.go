package websocket

import (
	"math"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// Unlimited sets a field of [Limits] or [EndpointLimits] to no bound.
const Unlimited = math.MaxInt

// NoTimeout turns a field of [Timeouts] off.
const NoTimeout time.Duration = math.MaxInt64

// Limits bounds what one client can use.
type Limits struct {
	// MessageBytes bounds a message from the client. It is checked before memory
	// is taken; a larger message closes the connection with 1009. Default:
	// 64 KiB.
	MessageBytes int
	// Fragments bounds the frames of one message. Default: 64.
	Fragments int
	// JSONDepth bounds the nesting of arrays and objects in a message from the
	// client, of which the message itself is one; deeper ones get an error reply. From 2
	// to 1,000. Default: 32.
	JSONDepth int
	// Channels bounds the topics joined over one connection, with those whose
	// handlers hang. Default: 100.
	Channels int
	// Inbox bounds the messages that wait for the handler of one channel. Beyond
	// it, the client's own messages hold up the reading of its connection, and
	// intercepted broadcasts and messages of the program are refused. Default:
	// 256.
	Inbox int
	// FrameRate bounds the frames that one client may send in a second, pings
	// included. A client that sends more is read from more slowly. FrameRate and
	// ByteRate take from one budget, which holds a second's worth.
	// Default: 1,000.
	FrameRate int
	// ByteRate bounds the bytes in those frames in a second. Default: 4 MiB.
	ByteRate int
	// JoinRate bounds the joins in a second, with bursts of a second's worth. A
	// join beyond it gets an error reply with the reason "too many joins", after
	// which phoenix.js joins again by itself, later each time. As many such replies
	// as JoinRate a second take the whole of the other budget. Default: 200.
	JoinRate int
}

// setDefaults fills in the fields that are zero.
func (l *Limits) setDefaults() {
	option.Default(&l.MessageBytes, 64<<10)
	option.Default(&l.Fragments, 64)
	option.Default(&l.JSONDepth, codec.DefaultDepth)
	option.Default(&l.Channels, 100)
	option.Default(&l.Inbox, 256)
	option.Default(&l.FrameRate, 1000)
	option.Default(&l.ByteRate, 4<<20)
	option.Default(&l.JoinRate, 200)
}

// validate returns an error for a negative field. Zero is allowed: it selects the
// default.
func (l *Limits) validate() error {
	return option.First(
		option.AtLeast(mountOwner, "Limits.MessageBytes", l.MessageBytes, 0),
		option.AtLeast(mountOwner, "Limits.Fragments", l.Fragments, 0),
		mountOwner.Check(l.JSONDepth == 0 || l.JSONDepth >= 2 && l.JSONDepth <= codec.MaxDepth, "Limits.JSONDepth", l.JSONDepth, "2 to 1000"),
		option.AtLeast(mountOwner, "Limits.Channels", l.Channels, 0),
		option.AtLeast(mountOwner, "Limits.Inbox", l.Inbox, 0),
		option.AtLeast(mountOwner, "Limits.FrameRate", l.FrameRate, 0),
		option.AtLeast(mountOwner, "Limits.ByteRate", l.ByteRate, 0),
		option.AtLeast(mountOwner, "Limits.JoinRate", l.JoinRate, 0),
	)
}

// Timeouts bounds the time that a connection may take for something.
// [NoTimeout] turns one off.
type Timeouts struct {
	// Connect bounds SocketConfig.Connect and SocketConfig.Renew. Default: 5 s.
	Connect time.Duration
	// Message bounds the time from the first byte of a message to its last, and
	// that for the body of a long-poll request. Default: 10 s.
	Message time.Duration
	// Idle closes a connection with 1002 when no byte has come from the client
	// for that long. Time in which the server does not read does not count, as
	// during HandleJoin. Default: 60 s.
	Idle time.Duration
	// Ping sends a WebSocket ping to each client that often, unless something
	// is queued for it, and closes a connection with 1002 when nothing has come
	// from the client for one interval after a ping, or up to two if it sends
	// other messages between pings. It keeps proxies that cut silent
	// connections from doing so, and finds clients that are gone. Clients reply by
	// themselves, browsers also in a background tab, where the timers of
	// phoenix.js hardly run. At least 1 s. It does nothing for long polling, where
	// LongPollConfig.Window matters. Default: NoTimeout, since phoenix.js sends
	// heartbeats.
	Ping time.Duration
	// Write disconnects a client that does not take 16 KiB, or what waits if
	// that is less, in that time. A frame of any size may take longer in all.
	// Default: 5 s.
	Write time.Duration
	// Close bounds the wait for the client's response to a close, whatever it sends
	// meanwhile. Default: 2 s.
	Close time.Duration
	// Throttle closes the connection of a client that has been read from more
	// slowly for that long, without a break, with 4429. Default: 30 s.
	Throttle time.Duration
	// Join bounds HandleJoin: after it the context ends and the client gets an
	// error reply with the reason "join timed out". Default: 10 s, which is how
	// long phoenix.js waits for the reply.
	Join time.Duration
	// Unjoined closes a connection with 4002 on which no topic has been joined for
	// that long after it was made. Default: NoTimeout, since Connect has let the
	// client in, and phoenix.js connects before there is anything to join.
	Unjoined time.Duration
	// HoldOff is how long the closing of a connection waits after a message that
	// cannot be handled (close codes 1009 and 1011). A client that connects again and
	// repeats the message, as phoenix.js does with a join, can do so only once in that
	// time. Nothing is read meanwhile. Default: 1 s.
	HoldOff time.Duration
	// ExpiryGrace is how long after SocketConfig.Expires a client may still
	// renew its credentials, 25 s at most. Default: 10 s.
	ExpiryGrace time.Duration
}

// minPing bounds Timeouts.Ping.
const minPing = time.Second

// maxExpiryGrace bounds Timeouts.ExpiryGrace.
const maxExpiryGrace = 25 * time.Second

// setDefaults fills in the fields that are zero.
func (t *Timeouts) setDefaults() {
	option.Default(&t.Connect, 5*time.Second)
	option.Default(&t.Message, 10*time.Second)
	option.Default(&t.Idle, 60*time.Second)
	option.Default(&t.Ping, NoTimeout)
	option.Default(&t.Write, 5*time.Second)
	option.Default(&t.Close, 2*time.Second)
	option.Default(&t.Throttle, 30*time.Second)
	option.Default(&t.Join, 10*time.Second)
	option.Default(&t.Unjoined, NoTimeout)
	option.Default(&t.HoldOff, time.Second)
	option.Default(&t.ExpiryGrace, 10*time.Second)
}

// validate returns an error for a negative field, or for a grace that is too long.
func (t *Timeouts) validate() error {
	return option.First(
		option.AtLeast(mountOwner, "Timeouts.Connect", t.Connect, 0),
		option.AtLeast(mountOwner, "Timeouts.Message", t.Message, 0),
		option.AtLeast(mountOwner, "Timeouts.Idle", t.Idle, 0),
		mountOwner.Check(t.Ping == 0 || t.Ping >= minPing, "Timeouts.Ping", t.Ping, "0 or at least 1s"),
		option.AtLeast(mountOwner, "Timeouts.Write", t.Write, 0),
		option.AtLeast(mountOwner, "Timeouts.Close", t.Close, 0),
		option.AtLeast(mountOwner, "Timeouts.Throttle", t.Throttle, 0),
		option.AtLeast(mountOwner, "Timeouts.Join", t.Join, 0),
		option.AtLeast(mountOwner, "Timeouts.Unjoined", t.Unjoined, 0),
		option.AtLeast(mountOwner, "Timeouts.HoldOff", t.HoldOff, 0),
		option.Within(mountOwner, "Timeouts.ExpiryGrace", t.ExpiryGrace, 0, maxExpiryGrace),
	)
}

// IDPolicy decides which connection gives way when a socket id has as many as
// EndpointLimits.PerID allows.
type IDPolicy int

const (
	// RefuseNew refuses the new connection with status 429.
	RefuseNew IDPolicy = iota
	// CloseOldest closes the oldest one with 4409, after what is queued for it.
	// phoenix.js connects again after any close by the server: a page must call
	// disconnect on its socket when it is closed with 4409, or two pages replace
	// each other without end.
	CloseOldest
)

// EndpointLimits bounds what all clients of an endpoint can use together.
type EndpointLimits struct {
	// Connections bounds the connections; further ones are refused with status
	// 503. Default: Unlimited.
	Connections int
	// PerAddress bounds the connections from one address, or one /64 of IPv6;
	// further ones are refused with status 503. Default: Unlimited.
	PerAddress int
	// PerID bounds the connections with the same socket id, in other words of
	// one user; AtPerID decides about further ones. Default: Unlimited.
	PerID int
	// AtPerID is what happens at PerID. Default: RefuseNew.
	AtPerID IDPolicy
	// ConnectRate bounds how often one address, or one /64 of IPv6, may try to
	// connect in a second, with bursts of a second's worth; beyond it the status
	// is 429. Default: Unlimited.
	ConnectRate int
	// Channels bounds the channels of all connections together; further joins
	// are refused. Default: Unlimited.
	Channels int
	// HungHandlers bounds the handlers and tasks that run five seconds after their
	// channel should have ended, and the calls of Renew that do not return when
	// their context has ended; each keeps a goroutine. Beyond it joins get an error
	// reply until some have returned. Of one socket id as many may hang as
	// Limits.Channels allows. As many calls of Connect may hang; beyond that new
	// connections are refused with status 503. Default: 10,000.
	HungHandlers int
	// QueuedBytes bounds the bytes queued for all connections together. When it
	// is exceeded, the connection with the longest queue is closed with 1013.
	// Beyond half of it, messages of clients that have not taken their replies
	// wait, so that replies alone do not exceed it. A broadcast counts once for
	// each connection. Default: 256 MiB.
	QueuedBytes int64
	// BodyBytes bounds the bytes of long-poll bodies that are being read or
	// handled, for all sessions together; a body beyond it is refused with status
	// 503. A session has one body at a time, of 8 MiB at most. Default: 64 MiB.
	BodyBytes int64
	// Backlog bounds how long a connection waits for its turn to be written to. While
	// so much is queued that it would be longer, Endpoint.Broadcast, Channel.Broadcast and
	// BroadcastFrom wait, for a second at most, and go on one after another: a program that
	// broadcasts faster than the machine writes is slowed down instead of filling the
	// queues. If one has waited for a second and none has gone on, no other waits until less
	// is queued. Queues that wait for their clients do not count, those over TLS and long
	// polling never do, and pushes, deliveries, LocalBroadcast, and the broadcasts of the
	// hub and of other nodes do not wait. A shorter time costs
	// throughput, since each write has fewer messages: 32 broadcasts to a room, and 1 KiB for
	// each connection that waits, may be queued in any case. [NoTimeout] turns it off.
	// Default: 60 ms.
	Backlog time.Duration
	// LogRate bounds the lines of each kind that are logged in a second at the level
	// warn or above, since clients can cause many. The next line of the kind has the
	// number of those left out. Lines below that level may be 100 times as many.
	// Default: 1.
	LogRate int
}

// setDefaults fills in the fields that are zero.
func (l *EndpointLimits) setDefaults() {
	option.Default(&l.Connections, Unlimited)
	option.Default(&l.PerAddress, Unlimited)
	option.Default(&l.PerID, Unlimited)
	option.Default(&l.ConnectRate, Unlimited)
	option.Default(&l.Channels, Unlimited)
	option.Default(&l.HungHandlers, 10_000)
	option.Default(&l.QueuedBytes, 256<<20)
	option.Default(&l.BodyBytes, 64<<20)
	option.Default(&l.Backlog, 60*time.Millisecond)
	option.Default(&l.LogRate, 1)
}

// validate returns an error for a negative field.
func (l *EndpointLimits) validate() error {
	return option.First(
		option.AtLeast(endpointOwner, "Limits.Connections", l.Connections, 0),
		option.AtLeast(endpointOwner, "Limits.PerAddress", l.PerAddress, 0),
		option.AtLeast(endpointOwner, "Limits.PerID", l.PerID, 0),
		option.Within(endpointOwner, "Limits.AtPerID", l.AtPerID, RefuseNew, CloseOldest),
		option.AtLeast(endpointOwner, "Limits.ConnectRate", l.ConnectRate, 0),
		option.AtLeast(endpointOwner, "Limits.Channels", l.Channels, 0),
		option.AtLeast(endpointOwner, "Limits.HungHandlers", l.HungHandlers, 0),
		option.AtLeast(endpointOwner, "Limits.QueuedBytes", l.QueuedBytes, 0),
		option.AtLeast(endpointOwner, "Limits.BodyBytes", l.BodyBytes, 0),
		option.AtLeast(endpointOwner, "Limits.Backlog", l.Backlog, 0),
		option.AtLeast(endpointOwner, "Limits.LogRate", l.LogRate, 0),
	)
}
