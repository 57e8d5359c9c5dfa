package websocket

import (
	"context"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// Payload is what a client sent: JSON of any kind, or raw data if Binary is
// set. Its Data belongs to the handler for good. Payload.Decode reads the JSON
// into a value. A Payload can go out again as a reply, push or broadcast.
type Payload = codec.Payload

// Binary is a payload that goes out as it is, in a binary message. Clients of
// protocol version 1 cannot receive it.
type Binary = codec.Binary

// Handler is the application's side of one joined topic. A route makes a fresh
// one for each join, so that its fields are the state of that join; its methods
// are never called by two goroutines at once, so that they need no lock.
//
// What else a handler can do it tells by having the methods of [InHandler],
// [OutHandler], [InfoHandler], [RenewHandler] and [TerminateHandler].
type Handler interface {
	// Join decides about the client's wish to join ch's topic. With a nil error
	// the client is joined and gets reply, where nil stands for {}. [Refuse]
	// and [RefuseWith] make the errors that refuse; any other error, and a
	// panic, is answered with "join crashed" and logged.
	//
	// No other message of this connection is handled before Join returns. ctx
	// ends with the connection. Pushing is not possible yet: Send a message to
	// the channel itself for that.
	Join(ctx context.Context, ch *Channel, payload Payload) (reply any, err error)
}

// InHandler is a [Handler] that takes events from the client. An event for a
// handler that is none crashes the channel.
//
// The error says how the channel goes on, as for all methods of handlers: nil
// lets it go on, [ErrStopped], alone or wrapped, ends it in good order, and any
// other error and a panic crash it: the client gets phx_error and will join
// again. [ErrQueueFull], [ErrTooManyTasks], [ErrClosed] and [ErrNotJoined] let
// it go on too, since they are about the client and not about the handler.
type InHandler interface {
	HandleIn(ctx context.Context, ch *Channel, event string, payload Payload) (Reply, error)
}

// OutHandler is a [Handler] that intercepts broadcasts on its topic. A client
// gets of those only what HandleOut pushes. Interception costs a frame for each
// client; the clients of a broadcast without interception share one.
type OutHandler interface {
	// Intercept names the events. It is called once, after Join.
	Intercept() []string
	// HandleOut is called for each intercepted broadcast with the payload as it
	// was encoded, on this node as on others. The payload is shared by all
	// receivers and must not be changed; Push takes it without encoding it again.
	HandleOut(ctx context.Context, ch *Channel, event string, payload Payload) error
}

// InfoHandler is a [Handler] that takes messages of the program: values given
// to [Channel.Send], [Channel.SendAfter] and [Channel.SendEvery], and a
// *pubsub.Message for each broadcast on a topic of [Channel.Subscribe]. Messages
// for a handler that is none are logged and dropped.
type InfoHandler interface {
	HandleInfo(ctx context.Context, ch *Channel, msg any) error
}

// RenewHandler is a [Handler] that decides again when the client has renewed its
// credentials: what it may do can have changed.
type RenewHandler interface {
	// Renewed is called with the state that SocketConfig.Renew answered, a U.
	// An error ends the channel as it does in [InHandler].
	Renewed(ctx context.Context, ch *Channel, state any) error
}

// TerminateHandler is a [Handler] that wants to know that it ended. The reason
// is one of the errors of this package or a [*CrashError]; compare with
// errors.Is and errors.As. It is not called for a join that was refused.
//
// Pushes are still possible when the client left, the channel was stopped or
// crashed. ctx ends after the grace time of five seconds, after which nobody
// waits for Terminate any more.
type TerminateHandler interface {
	Terminate(ctx context.Context, ch *Channel, reason error)
}

// HandlerFunc makes a function that decides about joining a [Handler] for
// topics on which the server alone speaks.
type HandlerFunc func(ctx context.Context, ch *Channel, payload Payload) (reply any, err error)

// Join calls f.
func (f HandlerFunc) Join(ctx context.Context, ch *Channel, payload Payload) (any, error) {
	return f(ctx, ch, payload)
}

// Reply is the answer to one message of a client. The zero value is none: the
// client's push then waits for a reply by [Ref.Reply], or for its timeout.
type Reply struct {
	status   string
	response any
}

// OK is a reply with status ok; nil stands for {}. Any JSON is allowed, and
// [Binary].
func OK(response any) Reply { return Reply{status: "ok", response: response} }

// Fail is a reply with status error. The channel goes on.
func Fail(response any) Reply { return Reply{status: "error", response: response} }
