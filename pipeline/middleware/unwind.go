package middleware

import "github.com/penstock-go/penstock/internal/crash"

// unwound passes the error of an attempt that has not returned to f, and goes on with its
// panic. value is what recover has returned: nil if the goroutine ends.
func unwound(value any, f func(err error)) error {
	if value == nil {
		f(crash.ErrGoexit)
		return crash.ErrGoexit
	}
	p, ok := value.(*PanicError)
	if !ok {
		p = crash.Of(value) // with the stack of the panic, which the next one has not
	}
	f(p)
	panic(p)
}
