package websocket

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// The reasons for which a channel ends, which a [TerminateHandler] gets, and for
// which a push, reply or join is not possible.
var (
	// ErrStopped ends a channel in good order when a handler returns it, alone
	// or wrapped: the client gets phx_close and does not join again by itself.
	ErrStopped = errors.New("websocket: channel stopped")
	// ErrLeft: the client has left the topic.
	ErrLeft = errors.New("websocket: client left")
	// ErrClosed: the connection is closed.
	ErrClosed = errors.New("websocket: connection closed")
	// ErrDuplicateJoin: the client has joined the topic again on the same
	// connection.
	ErrDuplicateJoin = errors.New("websocket: topic joined again")
	// ErrJoinTimeout: HandleJoin has not returned within Timeouts.Join. A handler
	// that accepts the join later terminates at once.
	ErrJoinTimeout = errors.New("websocket: join timed out")
	// ErrShutdown: the endpoint shuts down.
	ErrShutdown = errors.New("websocket: endpoint shut down")
	// ErrDisconnected: [Endpoint.Disconnect] was called for the socket's id.
	ErrDisconnected = errors.New("websocket: disconnected by the server")
	// ErrKicked: [Endpoint.Kick] was called for the socket's id and the topic.
	ErrKicked = errors.New("websocket: kicked off the topic")
	// ErrReplaced: a newer connection with the same socket id has taken the place.
	ErrReplaced = errors.New("websocket: replaced by a newer connection")
	// ErrExpired: the credentials of the connection have expired.
	ErrExpired = errors.New("websocket: credentials expired")
	// ErrNotJoined: the channel has not been joined yet or has ended.
	ErrNotJoined = errors.New("websocket: channel not joined")
	// ErrQueueFull: a bound of a queue was reached and its policy discarded the
	// event.
	ErrQueueFull error = &missError{"websocket: queue full", pubsub.ErrFull}
	// ErrHistory: broadcasts on the topic of a resumable channel may have been lost
	// between nodes, so that its history does not continue, or the history has
	// failed. The connection is closed, and the client is told when it joins again.
	ErrHistory = errors.New("websocket: history of the topic does not continue")
	// ErrTooManyTasks: as many tasks run for the channel as are allowed.
	ErrTooManyTasks = errors.New("websocket: too many tasks run for the channel")
	// ErrConflated: a newer event with the same key has replaced this one.
	ErrConflated error = &missError{"websocket: conflated", pubsub.ErrSuperseded}
	// ErrPayload: a pushed or broadcast payload is neither a JSON object nor binary.
	ErrPayload = pubsub.ErrPayload
	// ErrNoRef: the message that is handled has no ref, or none is handled.
	ErrNoRef = errors.New("websocket: no ref to reply to")
	// ErrRefused can be returned by a socket's Connect to refuse with status 403.
	ErrRefused = errors.New("websocket: connection refused")
	// errIdle: nothing has come from the client for the idle timeout.
	errIdle = errors.New("websocket: idle timeout")
)

// Errors of the wire format that a sender can meet.
var (
	ErrFieldTooLong = codec.ErrFieldTooLong
	ErrNoBinary     = codec.ErrNoBinary
)

// The owners that errors of options name.
const (
	endpointOwner = option.Owner("websocket.Endpoint")
	mountOwner    = option.Owner("websocket.Endpoint.Mount")
	serverOwner   = option.Owner("websocket.NewServer")
)

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

// StatusError, returned by Connect alone or wrapped, refuses the connection
// with an HTTP status of its own. A page cannot read the status of a WebSocket
// connection that was refused; other clients and the access log can. CloseCode is for
// pages.
type StatusError struct {
	// Status is from 400 to 599; anything else becomes 403.
	Status int
	// Body is sent as text/plain. It must not help an attacker. Default: the word
	// refused.
	Body string
	// CloseCode, from 4000 to 4999, refuses a WebSocket connection so that a page can
	// read why: it is made, nothing is read from the client, and after Timeouts.HoldOff
	// it is closed with this code and the first 123 bytes of Body as the reason. The
	// pause is for clients that connect again at once after a connection that was made,
	// as phoenix.js does: a page should call disconnect. Such a connection counts for
	// the limits while it lasts, and as refused. Default: the HTTP status; long polling
	// always has that.
	CloseCode int
}

// Error implements error.
func (e *StatusError) Error() string {
	return fmt.Sprintf("websocket: refused with status %d %s", e.Status, http.StatusText(e.Status))
}

// RefusedError refuses a join: the client gets an error reply with Response.
type RefusedError struct{ Response any }

// Error implements error.
func (e *RefusedError) Error() string { return fmt.Sprintf("websocket: join refused: %v", e.Response) }

// Refuse returns the error with which HandleJoin refuses a join. The client gets
// {"reason": reason}.
func Refuse(reason string) error { return &RefusedError{Response: reasonOf{reason}} }

// RefuseWith returns the error with which HandleJoin refuses a join. The client
// gets response.
func RefuseWith(response any) error { return &RefusedError{Response: response} }

// reasonOf is the response {"reason": …} of a refusal, as phoenix.js expects
// it.
type reasonOf struct {
	Reason string `json:"reason"`
}

// TooLargeError reports a message that is larger than the outbound queue of a
// connection: a push or broadcast larger than Queue.Bytes, or a reply larger than
// twice that. The connection is not closed for it; in place of a reply the client
// gets an error reply with the reason "reply too large".
type TooLargeError struct {
	// Bytes is the size of the frame, Limit that of the largest one that is queued.
	Bytes, Limit int
}

// Error implements error.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("websocket: message of %d bytes is larger than the queue takes, which is %d", e.Bytes, e.Limit)
}

// Unwrap returns [pubsub.ErrUnfit], which ends a delivery.
func (e *TooLargeError) Unwrap() error { return pubsub.ErrUnfit }

// PanicError is a panic of the application's code. The type is the same in every
// package of this module.
type PanicError = crash.PanicError

// ErrGoexit reports a handler that ended its goroutine with runtime.Goexit.
var ErrGoexit = crash.ErrGoexit

// CrashError ends a channel whose handler has panicked or returned an error. The
// client is only told that the channel crashed.
type CrashError struct {
	// Err is the handler's error, a [*PanicError] or [ErrGoexit].
	Err error
}

// Error implements error.
func (e *CrashError) Error() string { return "websocket: channel crashed: " + e.Err.Error() }

// Unwrap returns Err.
func (e *CrashError) Unwrap() error { return e.Err }
