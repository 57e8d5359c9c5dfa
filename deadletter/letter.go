package deadletter

import (
	"context"
	"encoding/json"
	"time"

	"github.com/penstock-go/penstock/trace"
)

// Letter is an event that has failed for good.
type Letter struct {
	// Pipeline and Stage name where the event has failed.
	Pipeline string `json:"pipeline,omitempty"`
	Stage    string `json:"stage"`
	// Event is the event as it was passed to the function that failed, encoded: as
	// JSON, or, if the program chose another encoding, as a JSON string in base64.
	// SetBytes and Bytes hide the difference.
	Event json.RawMessage `json:"event"`
	// Binary reports whether Event is such a string.
	Binary bool `json:"binary,omitempty"`
	// EncodeError is why the event could not be encoded; Event is a text about it then.
	EncodeError string `json:"encode_error,omitempty"`
	// Key is the event's key, if its step has one.
	Key string `json:"key,omitempty"`
	// Error is the last error's text, and Attempts how often the event was tried.
	Error    string `json:"error"`
	Attempts int    `json:"attempts"`
	// First is the time of the first failure, and Last that of the last one.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Source is the event's position at its source, such as "pushes/3@1042", if it is
	// known.
	Source string `json:"source,omitempty"`
	// Trace is the event's trace context, if it is a trace.Carrier.
	Trace trace.Context `json:"trace,omitzero"`
	// Past is what happened to the event in earlier rounds, nil if this is the first one.
	Past *Past `json:"past,omitempty"`
}

// Sink stores letters. A [Writer] calls it from one goroutine; a sink of several
// stages must allow concurrent calls, as those of this module do.
type Sink interface {
	// Write stores letters, at least one, in their order. When it returns nil they are
	// durable, as far as the sink promises it. On an error the same letters are written
	// again after a pause, and the events keep waiting for their receipts. Write must
	// return when ctx is done. The slice belongs to it only until it returns.
	Write(ctx context.Context, letters []Letter) error
}

// SinkFunc is a function as a [Sink].
type SinkFunc func(ctx context.Context, letters []Letter) error

// Write calls f.
func (f SinkFunc) Write(ctx context.Context, letters []Letter) error { return f(ctx, letters) }

// Positioner is an event that knows its position at its source, such as a Kafka
// record. Its letter then has it in Source.
type Positioner interface {
	// Position returns the position as a short text.
	Position() string
}
