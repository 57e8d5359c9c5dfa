// Package option has the one error for a refused option, and what constructors
// share to check options and to fill in their defaults.
package option

import (
	"fmt"
	"reflect"
	"strconv"
)

// Error reports a refused option. The rooms export it as OptionError, so that
// errors.As finds the same type everywhere.
type Error struct {
	// Owner names what was to be configured: a type such as "producer.Queue", or
	// a stage such as `stage "users"`.
	Owner string
	// Option names the field of the config, or the parameter.
	Option string
	// Value is what was given. It is [Hidden] where it may be a secret.
	Value any
	// Allowed says in words what is allowed.
	Allowed string
}

// Hidden stands for a value that must not show in a log.
const Hidden hidden = 0

type hidden uint8

// String implements fmt.Stringer.
func (hidden) String() string { return "(not shown)" }

// Error implements error. The wording is the same for every package.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: option %s refused: %s; allowed: %s", e.Owner, e.Option, show(e.Value), e.Allowed)
}

// show formats a value so that an empty string and nil can be seen.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case string:
		return strconv.Quote(v)
	case []string:
		return fmt.Sprintf("%q", v)
	}
	if IsNil(v) {
		return fmt.Sprintf("nil %T", v)
	}
	if k := reflect.TypeOf(v).Kind(); k == reflect.Func || k == reflect.Chan {
		return fmt.Sprintf("a %T", v)
	}
	return fmt.Sprint(v)
}
