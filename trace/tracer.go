package trace

import "time"

// Tracer makes spans. Its methods may be called from any goroutine and do not block.
type Tracer interface {
	// Start begins a span below parent. The stages call it for sampled parents only. A parent
	// that is not valid makes the span the first of a trace, and the tracer decides whether
	// that is sampled.
	Start(parent Context, name string, cfg SpanConfig) Span
}

// SpanConfig is what a span has at its start. The zero value is useful.
type SpanConfig struct {
	// Kind says on which side of a call the span is. Default: Internal.
	Kind Kind
	// At is when the span began. Default: now.
	At time.Time
	// Attrs describe the span.
	Attrs []Attr
	// Links name spans of other traces that the span belongs to as well, such as those of the
	// events of a batch.
	Links []Context
}

// Kind says on which side of a call a span is.
type Kind uint8

// The kinds of spans.
const (
	Internal Kind = iota
	Server        // serves a request
	Client        // makes a request
	Producer      // writes a message
	Consumer      // handles a message
)

// Attr is an attribute of a span. Value is a string, an int64, a float64 or a bool.
type Attr struct {
	Key   string
	Value any
}

// String returns an attribute with a text.
func String(key, value string) Attr { return Attr{key, value} }

// Int returns an attribute with a number.
func Int(key string, value int) Attr { return Attr{key, int64(value)} }

// Span is a part of a trace, from its start to its end. Its methods may be called from any
// goroutine and do not block.
type Span interface {
	// Context names the span, for those below it. It is not sampled if the span is not
	// recorded.
	Context() Context
	// Set adds attributes.
	Set(attrs ...Attr)
	// End ends the span at a time, zero for now. An error that is not nil is recorded, and the
	// span has failed. Ending it again does nothing.
	End(at time.Time, err error)
}

// nopSpan is a span that is not recorded.
type nopSpan struct{ context Context }

func (s nopSpan) Context() Context   { return s.context }
func (nopSpan) Set(...Attr)          {}
func (nopSpan) End(time.Time, error) {}

// Nop returns a span that records nothing and has the given context.
func Nop(c Context) Span { return nopSpan{c} }
