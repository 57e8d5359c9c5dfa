package trace

import "reflect"

// Carrier is an event with a trace context. It is implemented by the event type, or by the
// pointer to it.
type Carrier interface {
	// TraceContext returns the context that the event came with, zero if it had none. It
	// returns a field of the event and does nothing else: a stage finds out once which field
	// that is, with events that are empty but for their contexts, and from then on calls the
	// method only for events whose field is sampled, and for a few of the others. The field is
	// read without the method: it must not change while stages have the event.
	//
	// A method that is seen to return anything else is called for every event by several
	// stages. If it is seen only when the stage runs, such as that of a method that decides by
	// other fields, a line is logged, and spans of events before that may be missing. A panic in
	// the method stops the stage.
	TraceContext() Context
}

// Setter is an event that takes a trace context. It is implemented by the event type, if that
// is a pointer, or by the pointer to it. A step that makes one event of several, such as a
// summary, sets the context of its span, so that the trace goes on with the event.
type Setter interface {
	// SetTraceContext is called before anything else has the event.
	SetTraceContext(c Context)
}

// Set sets the context of an event that takes one and does not carry a sampled one yet. It
// reports whether it has done so.
func Set[T any](event *T, c Context) bool {
	to, ok := any(event).(Setter)
	if !ok {
		to, ok = any(*event).(Setter)
		if !ok || isNil(reflect.TypeFor[T](), event) {
			return false
		}
	}
	if own, ok := to.(Carrier); ok && own.TraceContext().IsSampled() {
		return false
	}
	to.SetTraceContext(c)
	return true
}

// Reader returns a function that reads the contexts of events of type T, which are passed by
// pointer so that nothing is allocated. It returns nil if T is no [Carrier]. A stage calls it
// once. An interface type may hold carriers, which is found out for each event.
func Reader[T any]() func(event *T) Context {
	var pointer any = (*T)(nil)
	if _, ok := pointer.(Carrier); ok {
		return func(event *T) Context { return any(event).(Carrier).TraceContext() }
	}
	switch t := reflect.TypeFor[T](); {
	case t.Kind() == reflect.Interface, t.Implements(reflect.TypeFor[Carrier]()):
		return func(event *T) Context {
			if c, ok := any(*event).(Carrier); ok && !isNil(t, event) {
				return c.TraceContext()
			}
			return Context{}
		}
	}
	return nil
}

// isNil reports whether an event is a nil pointer, also one in an interface: its method may
// need more.
func isNil[T any](t reflect.Type, event *T) bool {
	v := reflect.ValueOf(event).Elem()
	if t.Kind() == reflect.Interface {
		v = v.Elem()
	}
	return v.Kind() == reflect.Pointer && v.IsNil()
}
