package trace

import (
	"encoding/hex"
	"errors"
)

// The names of the two headers, of HTTP requests and Kafka records alike.
const (
	ParentHeader = "traceparent"
	StateHeader  = "tracestate"
)

// Flags are the bits of a trace context. Those that this package does not know are
// ignored when a context is read.
type Flags byte

const (
	// Sampled says that the sender may have recorded its span, and asks for those below it.
	Sampled Flags = 1 << iota
	// Random says that the trace id's last 7 bytes are random.
	Random
)

const knownFlags = Sampled | Random

// Context names a span of a trace, as the W3C recommendation "Trace Context" does.
// The zero value names none. It is comparable, and copying it costs no allocation.
type Context struct {
	// TraceID names the trace. It is not zero in a valid context.
	TraceID [16]byte
	// SpanID names the span that is the parent of what is done with this context. It is not
	// zero in a valid context.
	SpanID [8]byte
	// Flags say whether the trace is sampled.
	Flags Flags
	// State is the header tracestate, which belongs to the vendors of tracing systems: it is
	// handed on as it came.
	State string
}

// ErrContext is the error of a text that is no trace context. The text is not part of
// it, since headers come from strangers.
var ErrContext = errors.New("trace: not a traceparent")

// parentLen is the length of a traceparent of version 00.
const parentLen = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

// Parse reads a traceparent, from a string or from the bytes of a Kafka header. Versions to
// come are read as far as version 00 goes, as the recommendation wants it. The error is
// [ErrContext].
func Parse[T string | []byte](parent T) (Context, error) {
	var c Context
	if len(parent) < parentLen || parent[2] != '-' || parent[35] != '-' || parent[52] != '-' {
		return Context{}, ErrContext
	}
	var version, flags [1]byte
	if !unhex(version[:], parent[:2]) || !unhex(c.TraceID[:], parent[3:35]) || !unhex(c.SpanID[:], parent[36:52]) || !unhex(flags[:], parent[53:55]) {
		return Context{}, ErrContext
	}
	switch longer := len(parent) > parentLen; {
	case version[0] == 0xff, version[0] == 0 && longer, longer && parent[parentLen] != '-', !c.IsValid():
		return Context{}, ErrContext
	}
	c.Flags = Flags(flags[0]) & knownFlags
	return c, nil
}

// unhex writes the bytes of text, which are lower-case hexadecimal digits, into to. It
// reports whether they all are.
func unhex[T string | []byte](to []byte, text T) bool {
	for i := range to {
		high, low := digit(text[2*i]), digit(text[2*i+1])
		if high > 15 || low > 15 {
			return false
		}
		to[i] = high<<4 | low
	}
	return true
}

// digit returns the value of a lower-case hexadecimal digit, and 255 for any other byte.
func digit(b byte) byte {
	switch {
	case '0' <= b && b <= '9':
		return b - '0'
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10
	}
	return 255
}

// IsValid reports whether c names a span.
func (c Context) IsValid() bool { return c.TraceID != [16]byte{} && c.SpanID != [8]byte{} }

// IsSampled reports whether c names a span below which spans are to be made.
func (c Context) IsSampled() bool { return c.Flags&Sampled != 0 && c.IsValid() }

// String returns c as a traceparent of version 00, and "" for a context that is not valid.
func (c Context) String() string {
	if !c.IsValid() {
		return ""
	}
	var room [parentLen]byte
	return string(c.Append(room[:0]))
}

// Append appends what String returns to b.
func (c Context) Append(b []byte) []byte {
	if !c.IsValid() {
		return b
	}
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, c.TraceID[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, c.SpanID[:])
	b = append(b, '-')
	return hex.AppendEncode(b, []byte{byte(c.Flags & knownFlags)})
}

// AppendText appends what String returns to b, so that an event with a context can be encoded
// as JSON, for dead letters for example. State is left out of it.
func (c Context) AppendText(b []byte) ([]byte, error) { return c.Append(b), nil }

// MarshalText returns what AppendText appends.
func (c Context) MarshalText() ([]byte, error) { return c.Append(nil), nil }

// UnmarshalText reads what MarshalText returns. An empty text is the zero context.
func (c *Context) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*c = Context{}
		return nil
	}
	*c, err = Parse(text)
	return err
}
