package retry

import (
	"errors"
	"time"
)

// LeastPause is the least pause after an error marked with [Later]: such attempts do not
// count, so that without a pause they would go on for ever at full speed.
const LeastPause = 10 * time.Millisecond

// mark is an error with what it says about its retry.
type mark struct {
	error
	kind  kind
	pause time.Duration
}

// kind is which function has marked an error.
type kind uint8

const (
	unmarked kind = iota
	markedAfter
	markedNever
	markedLater
)

// Unwrap returns the marked error.
func (m *mark) Unwrap() error { return m.error }

// Never marks err as one that another attempt cannot mend: what has failed with it
// has failed for good. A nil err stays nil.
func Never(err error) error { return marked(err, markedNever, 0) }

// After marks err so that the next attempt comes after d at the earliest: the pause is
// the longer one of d and the policy's. A negative d counts as 0. A nil err stays nil.
func After(err error, d time.Duration) error { return marked(err, markedAfter, d) }

// Later marks err as the reason why nothing was tried, such as an open circuit
// breaker: the attempt comes again after d and does not count. The pause is at least
// [LeastPause]. A nil err stays nil.
func Later(err error, d time.Duration) error { return marked(err, markedLater, d) }

// marked returns err with a mark.
func marked(err error, kind kind, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &mark{error: err, kind: kind, pause: max(0, d)}
}

// IsNever reports whether err ends the attempts: it was marked with Never, and not
// with Later after that. Later has the last word since the error that it marks may be
// about an earlier event.
func IsNever(err error) bool {
	kind, _ := read(err)
	return kind == markedNever
}

// IsLater reports whether err was marked with Later, so that nothing was tried.
func IsLater(err error) bool {
	kind, _ := read(err)
	return kind == markedLater
}

// read returns what the marks of err and of all errors in it say together. Of Never and
// Later the outermost counts. pause is that of Later, or the longest of all After.
func read(err error) (k kind, pause time.Duration) {
	for err != nil {
		if m, ok := err.(*mark); ok {
			switch m.kind {
			case markedNever:
				return markedNever, 0
			case markedLater:
				return markedLater, m.pause
			}
			k, pause = markedAfter, max(pause, m.pause)
		}
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, err := range many.Unwrap() {
				inner, d := read(err)
				if inner == markedNever || inner == markedLater {
					return inner, d
				}
				k, pause = max(k, inner), max(pause, d)
			}
			return k, pause
		}
		err = errors.Unwrap(err)
	}
	return k, pause
}
