package websocket

import (
	"context"
	"strings"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// Payload is what a client sent: JSON of any kind, or raw data if Binary is
// set. Its Data belongs to the handler. Payload.Decode reads the JSON
// into a value. A Payload can go out again as a reply, push or broadcast.
type Payload = codec.Payload

// Binary is a payload that goes out as it is, in a binary message. Clients of
// protocol version 1 cannot receive it.
type Binary = codec.Binary

// Handler is the application's side of one joined topic. A route makes a fresh
// one for each join, so that its fields are the state of that join. Its methods
// are never called by two goroutines at once, and so need no lock.
//
// A handler can have further methods, each with an interface of its own:
// [JoinedHandler], [InHandler], [OutHandler], [InfoHandler], [RenewHandler] and
// [TerminateHandler].
type Handler interface {
	// HandleJoin decides whether the client may join ch's topic. With a nil error
	// the client is joined and gets reply, where nil stands for {}. [Refuse] and
	// [RefuseWith] make the errors that refuse; any other error, and a panic, is
	// replied to with "join crashed" and logged.
	//
	// No other message of this connection is handled before HandleJoin returns, for
	// Timeouts.Join at the longest: then the client gets an error reply. ctx ends
	// then, and with the connection. Pushing is not possible yet: see
	// [JoinedHandler].
	HandleJoin(ctx context.Context, ch *Channel, payload Payload) (reply any, err error)
}

// JoinedHandler is a [Handler] that has something to do once its client is joined,
// such as pushing what the client should know. HandleJoined is called once, after
// the reply to the join was queued and the subscription has begun, and before
// everything else that waits for the handler: what is read in it and pushed misses
// nothing that is broadcast from then on. It holds up its own channel only, unlike
// HandleJoin. It is not called if the client has gone meanwhile.
type JoinedHandler interface {
	HandleJoined(ctx context.Context, ch *Channel) error
}

// InHandler is a [Handler] that takes events from the client. If a handler is
// not an InHandler, an event from its client crashes the channel.
//
// The error decides how the channel goes on, as for all methods of handlers:
// nil lets it go on, [ErrStopped], alone or wrapped, ends it in good order, and
// any other error and a panic crash it: the client gets phx_error and will join
// again. [ErrQueueFull], [ErrTooManyTasks], [ErrClosed] and [ErrNotJoined] let
// it go on too, since they are about the client and not about the handler, and so
// does a [*pubsub.RemoteError]: the clients of this node have the broadcast.
type InHandler interface {
	HandleIn(ctx context.Context, ch *Channel, event string, payload Payload) (Reply, error)
}

// OutHandler is a [Handler] that intercepts broadcasts on its topic: the events
// that ChannelConfig.Intercept names. The client gets only what HandleOut pushes.
//
// The payload is as it was encoded, on this node as on others. It is shared by
// all receivers and must not be changed; Push takes it without encoding it again.
// Interception costs a frame for each client; the clients of a broadcast without
// interception share one.
type OutHandler interface {
	HandleOut(ctx context.Context, ch *Channel, event string, payload Payload) error
}

// InfoHandler is a [Handler] that takes messages of the program: values given
// to [Channel.Send], [Channel.SendAfter] and [Channel.SendEvery], and a
// *pubsub.Message for each broadcast on a topic of [Channel.Subscribe]. If a
// handler is not an InfoHandler, its messages are logged and dropped.
type InfoHandler interface {
	HandleInfo(ctx context.Context, ch *Channel, msg any) error
}

// RenewHandler is a [Handler] that decides again when the client has renewed its
// credentials: what it may do can have changed. state is the value that
// SocketConfig.Renew returned, a U.
type RenewHandler interface {
	HandleRenew(ctx context.Context, ch *Channel, state any) error
}

// TerminateHandler is a [Handler] that is told when it has ended. The reason is
// one of the errors of this package or a [*CrashError]; compare with errors.Is
// and errors.As. It is called once for each HandleJoin that has returned nil, and
// not for a join that was refused. The topic can be joined again once it has
// returned.
//
// Pushes are still possible when the client left, the channel was stopped or
// crashed. ctx ends after the grace time of five seconds, after which nothing
// waits for HandleTerminate any more.
type TerminateHandler interface {
	HandleTerminate(ctx context.Context, ch *Channel, reason error)
}

// HandlerFunc is a [Handler] that only decides about joining, for topics on which
// clients send nothing.
type HandlerFunc func(ctx context.Context, ch *Channel, payload Payload) (reply any, err error)

// HandleJoin calls f.
func (f HandlerFunc) HandleJoin(ctx context.Context, ch *Channel, payload Payload) (any, error) {
	return f(ctx, ch, payload)
}

// Private is for the channels of single users on a socket whose state is the user's name, as in
//
//	socket.Channel("user:*", websocket.Private)
//
// Only the user ann may join the topic "user:ann": a topic whose part after the first colon is
// not the user's name, or is empty, is refused with the reason "unauthorized".
func Private(user, topic string) Handler {
	return HandlerFunc(func(context.Context, *Channel, Payload) (any, error) {
		if _, owner, _ := strings.Cut(topic, ":"); owner == "" || owner != user {
			return nil, Refuse("unauthorized")
		}
		return nil, nil
	})
}

// Reply is the reply to one message of a client. The zero value is no reply: the
// client's push then waits for one by [Ref.Reply], or for its timeout.
type Reply struct {
	status   string
	response any
}

// OK is a reply with status ok; nil stands for {}. Any JSON is allowed, and
// [Binary].
func OK(response any) Reply { return Reply{status: "ok", response: response} }

// Fail is a reply with status error. The channel goes on.
func Fail(response any) Reply { return Reply{status: "error", response: response} }
