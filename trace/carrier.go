package trace

import "reflect"

// Carrier is an event with a trace context. It is implemented by the event type, or by the
// pointer to it.
type Carrier interface {
	// TraceContext returns the context that the event came with, zero if it had none. It is
	// called for every event by several stages, so that it only returns a field. A panic in
	// it stops the stage.
	TraceContext() Context
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
