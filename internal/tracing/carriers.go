package tracing

import (
	"reflect"
	"unsafe"

	"github.com/penstock-go/penstock/trace"
)

// Carriers finds the sampled ones among events of type T. It does not change after
// NewCarriers, and any goroutine may use it.
//
// A call of TraceContext copies a context of 48 bytes, which costs as much as a stage spends on
// an event. So where the method returns a field of the event, which is what its contract wants,
// the byte with the flags is read in its place, and the method is called only if that says
// sampled.
type Carriers[T any] struct {
	read func(*T) trace.Context
	// These say where the flags are, in the event or in what it points to. They are set only if
	// plain is.
	plain   bool
	pointer bool
	at      uintptr
}

// NewCarriers returns nil if T is no [trace.Carrier].
func NewCarriers[T any]() *Carriers[T] {
	read := trace.Reader[T]()
	if read == nil {
		return nil
	}
	c := &Carriers[T]{read: read}
	of := reflect.TypeFor[T]()
	if c.pointer = of.Kind() == reflect.Pointer; c.pointer {
		of = of.Elem()
	}
	if at, ok := c.field(of); ok {
		c.plain, c.at = true, at+unsafe.Offsetof(trace.Context{}.Flags)
	}
	return c
}

// Context returns the context of an event.
func (c *Carriers[T]) Context(event *T) trace.Context { return c.read(event) }

// Next returns the place of the first sampled event from one on, or -1.
func (c *Carriers[T]) Next(events []T, from int) int {
	for i := from; i < len(events); i++ {
		if c.plain {
			if i = c.flagged(events, i); i < 0 {
				return -1
			}
		}
		if x := c.read(&events[i]); x.IsSampled() {
			return i
		}
	}
	return -1
}

// flagged returns the place of the first event from one on whose flags say sampled, or -1.
func (c *Carriers[T]) flagged(events []T, from int) int {
	rest := events[from:]
	if c.pointer {
		for i := range rest {
			if p := *(*unsafe.Pointer)(unsafe.Pointer(&rest[i])); p != nil && flagsAt(p, c.at)&trace.Sampled != 0 {
				return from + i
			}
		}
		return -1
	}
	for i := range rest {
		if flagsAt(unsafe.Pointer(&rest[i]), c.at)&trace.Sampled != 0 {
			return from + i
		}
	}
	return -1
}

// flagsAt returns the flags at an offset from p, which is inside of the variable there.
func flagsAt(p unsafe.Pointer, at uintptr) trace.Flags {
	return *(*trace.Flags)(unsafe.Add(p, at))
}

// field returns the offset of the context that TraceContext returns, in an event of a type or
// in what it points to. It finds out with events that are empty but for their contexts: the
// method must return that of one field, whatever is in the others.
func (c *Carriers[T]) field(of reflect.Type) (at uintptr, ok bool) {
	fields := contexts(of, 0, nil)
	for i, field := range fields {
		var all []trace.Context
		for k := range fields {
			all = append(all, marked(k))
		}
		alone := make([]trace.Context, len(fields))
		alone[i] = all[i]
		if c.returns(of, fields, all) != all[i] || c.returns(of, fields, alone) != all[i] {
			continue
		}
		all[i] = trace.Context{}
		return field, c.returns(of, fields, all) == trace.Context{}
	}
	return 0, false
}

// marked is a context that no other field has.
func marked(field int) trace.Context {
	return trace.Context{TraceID: [16]byte{0xff, byte(field)}, SpanID: [8]byte{0xff}, Flags: trace.Sampled, State: "penstock=probe"}
}

// returns returns what TraceContext does for an event whose fields at some offsets are set, and
// zero if it panics: the method is the program's, and may need more of an event.
func (c *Carriers[T]) returns(of reflect.Type, fields []uintptr, values []trace.Context) (x trace.Context) {
	defer func() {
		if recover() != nil {
			x = trace.Context{}
		}
	}()
	v := reflect.New(of)
	for i, at := range fields {
		*(*trace.Context)(unsafe.Add(v.UnsafePointer(), at)) = values[i]
	}
	if !c.pointer {
		return c.read(v.Interface().(*T))
	}
	event := v.Convert(reflect.TypeFor[T]()).Interface().(T)
	return c.read(&event)
}

// contexts appends the offsets of the contexts in a value of type t to list.
func contexts(t reflect.Type, at uintptr, list []uintptr) []uintptr {
	switch {
	case t == reflect.TypeFor[trace.Context]():
		list = append(list, at)
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			list = contexts(t.Field(i).Type, at+t.Field(i).Offset, list)
		}
	}
	return list
}
