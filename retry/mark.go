package retry

import (
	"errors"
	"time"
)

// mark is an error with what it says about its retry.
type mark struct {
	error
	never bool
	later bool
	pause time.Duration
}

// Unwrap returns the marked error.
func (m *mark) Unwrap() error { return m.error }

// Never marks err as one that another attempt cannot mend: what has failed with it
// has failed for good. A nil err stays nil.
func Never(err error) error {
	if err == nil {
		return nil
	}
	return &mark{error: err, never: true}
}

// IsNever reports whether err was marked with Never.
func IsNever(err error) bool {
	m, ok := errors.AsType[*mark](err)
	return ok && m.never
}

// After marks err so that the next attempt comes after d at the earliest: the pause is
// the longer one of d and the policy's. A nil err stays nil.
func After(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &mark{error: err, pause: d}
}

// Later marks err as the reason why nothing was tried, such as an open circuit
// breaker: the attempt comes again after d and does not count. A nil err stays nil.
func Later(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &mark{error: err, later: true, pause: d}
}

// after returns the pause that err asks for, 0 for none.
func after(err error) time.Duration {
	m, ok := errors.AsType[*mark](err)
	if !ok {
		return 0
	}
	return m.pause
}

// later returns the pause of an error marked with Later.
func later(err error) (d time.Duration, ok bool) {
	m, found := errors.AsType[*mark](err)
	if !found || !m.later {
		return 0, false
	}
	return m.pause, true
}
