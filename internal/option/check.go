package option

import (
	"cmp"
	"fmt"
	"log/slog"
	"reflect"
)

// Owner names what is configured; it makes the errors of its options.
type Owner string

// Refuse returns the error for an option.
func (o Owner) Refuse(option string, value any, allowed string) error {
	return &Error{Owner: string(o), Option: option, Value: value, Allowed: allowed}
}

// Check returns nil if ok, and the error for the option otherwise.
func (o Owner) Check(ok bool, option string, value any, allowed string) error {
	if ok {
		return nil
	}
	return o.Refuse(option, value, allowed)
}

// Needs refuses a value that [IsNil]; allowed says what it must be.
func (o Owner) Needs(option string, value any, allowed string) error {
	return o.Check(!IsNil(value), option, value, allowed)
}

// Optional refuses a value that is set to an interface around nil, which would be
// called; allowed says what it must be.
func (o Owner) Optional(option string, value any, allowed string) error {
	return o.Check(value == nil || !IsNil(value), option, value, allowed+", or no value at all")
}

// Recorder refuses a recorder that is an interface around nil.
func (o Owner) Recorder(value any) error { return o.Optional("Metrics", value, "a recorder") }

// Unused refuses an option that is set and that the owner would ignore; user
// names what uses it.
func (o Owner) Unused(option string, value any, user string) error {
	return o.Check(IsNil(value), option, value, "nil, since only "+user+" uses it")
}

// AtLeast refuses a value below least.
func AtLeast[V cmp.Ordered](o Owner, option string, value, least V) error {
	if value >= least {
		return nil
	}
	return o.Refuse(option, value, fmt.Sprintf("%v or more", least))
}

// Within refuses a value outside of least to most. A float that is not a number
// is outside.
func Within[V cmp.Ordered](o Owner, option string, value, least, most V) error {
	if value >= least && value <= most {
		return nil
	}
	return o.Refuse(option, value, fmt.Sprintf("%v to %v", least, most))
}

// First returns the first error that is not nil.
func First(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Default sets *field to value if it is zero.
func Default[V comparable](field *V, value V) {
	var zero V
	if *field == zero {
		*field = value
	}
}

// Logger sets *log to the default logger if it is nil: what goes wrong is not silent
// unless the program says so.
func Logger(log **slog.Logger) {
	if *log == nil {
		*log = slog.Default()
	}
}

// IsNil reports whether v is nil, or an interface around a nil pointer,
// function, map, channel or slice.
func IsNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Chan, reflect.Slice, reflect.UnsafePointer:
		return r.IsNil()
	}
	return false
}

// Must returns v, or panics with err if it is not nil.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
