// Package crash has the one error for a panic of user code, and what packages
// share to recover from one.
package crash

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// PanicError is a panic of user code that was recovered. The packages that call
// user code export it, so that errors.As finds the same type everywhere.
type PanicError struct {
	// Value is what was passed to panic.
	Value any
	// Stack is the goroutine's stack as debug.Stack formats it.
	Stack []byte
}

// Error implements error. It leaves the stack out.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the panic's value if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// ErrGoexit reports a handler that ended its goroutine with runtime.Goexit.
var ErrGoexit = errors.New("handler called runtime.Goexit")

// Of returns the error for the value of a panic. It must be called while the
// panicking goroutine unwinds, for the stack to be that of the panic.
func Of(value any) *PanicError { return &PanicError{Value: value, Stack: debug.Stack()} }

// Catch recovers from a panic and stores it in err. It must be deferred itself:
//
//	defer crash.Catch(&err)
func Catch(err *error) {
	if v := recover(); v != nil {
		*err = Of(v)
	}
}

// StackOf returns the stack of the panic that err holds, or "".
func StackOf(err error) string {
	if p, ok := errors.AsType[*PanicError](err); ok {
		return string(p.Stack)
	}
	return ""
}
