package trace_test

import (
	"testing"

	"github.com/penstock-go/penstock/trace"
)

type parcel struct{ trace trace.Context }

func (p *parcel) TraceContext() trace.Context { return p.trace }

// TestReaderOfNil: a nil event has no context, also inside of an interface.
func TestReaderOfNil(t *testing.T) {
	c := trace.Context{TraceID: [16]byte{1}, SpanID: [8]byte{2}}
	pointer := trace.Reader[*parcel]()
	var none *parcel
	for event, want := range map[*parcel]trace.Context{{c}: c, none: {}} {
		if got := pointer(&event); got != want {
			t.Errorf("pointer: %v, want %v", got, want)
		}
		boxed := any(event)
		if got := trace.Reader[any]()(&boxed); got != want {
			t.Errorf("interface: %v, want %v", got, want)
		}
	}
	var empty any
	if got := trace.Reader[any]()(&empty); got.IsValid() {
		t.Errorf("an empty interface has %v", got)
	}
	if trace.Reader[int]() != nil {
		t.Error("an int is no carrier")
	}
}

// carrier is an event with a context, and taker one that takes it.
type carrier struct{ c trace.Context }

func (c carrier) TraceContext() trace.Context { return c.c }

type taker struct{ carrier }

func (t *taker) SetTraceContext(c trace.Context) { t.c = c }

// TestSet: an event takes a context by its type or by the pointer to it, unless it has a
// sampled one.
func TestSet(t *testing.T) {
	c := trace.Context{TraceID: [16]byte{1}, SpanID: [8]byte{1}, Flags: trace.Sampled}
	var byPointer taker
	if !trace.Set(&byPointer, c) || byPointer.c != c {
		t.Error(byPointer)
	}
	pointer := &taker{}
	if !trace.Set(&pointer, c) || pointer.c != c || trace.Set(&pointer, trace.Context{}) || pointer.c != c {
		t.Error(pointer)
	}
	var none *taker
	n := 1
	if trace.Set(&none, c) || trace.Set(&n, c) {
		t.Error("what takes no context has got one")
	}
}
