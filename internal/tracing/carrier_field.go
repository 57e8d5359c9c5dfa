package tracing

import (
	"reflect"
	"unsafe"

	"github.com/penstock-go/penstock/trace"
)

// field returns the offset of the context that TraceContext returns, in an event of a type or
// in what it points to. It finds out with events that are empty but for their contexts: the
// method must return that of one field as it is, whatever is in the others.
func (c *Carriers[T]) field(of reflect.Type) (at uintptr, ok bool) {
	fields := contexts(of, 0, nil)
	for i, field := range fields {
		var all []trace.Context
		for k := range fields {
			all = append(all, marked(k))
		}
		alone := make([]trace.Context, len(fields))
		alone[i] = all[i]
		if c.probe(of, fields, all) != all[i] || c.probe(of, fields, alone) != all[i] {
			continue
		}
		alone[i].Flags = 0
		if c.probe(of, fields, alone) != alone[i] {
			return 0, false
		}
		all[i] = trace.Context{}
		return field, c.probe(of, fields, all) == trace.Context{}
	}
	return 0, false
}

// marked is a context that no other field has.
func marked(field int) trace.Context {
	return trace.Context{TraceID: [16]byte{0xff, byte(field)}, SpanID: [8]byte{0xff}, Flags: trace.Sampled, State: "penstock=probe"}
}

// probe returns what TraceContext does for an event whose fields at some offsets are set, and
// zero if it panics: the method is the program's, and may need more of an event.
func (c *Carriers[T]) probe(of reflect.Type, fields []uintptr, values []trace.Context) (x trace.Context) {
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
