package crash

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func failing(value any) (err error) {
	defer Catch(&err)
	panic(value)
}

func TestCatch(t *testing.T) {
	err := fmt.Errorf("wrapped: %w", failing(io.EOF))
	p, ok := errors.AsType[*PanicError](err)
	if !ok || p.Value != io.EOF || !errors.Is(err, io.EOF) {
		t.Errorf("%v, value %v", err, p)
	}
	if err.Error() != "wrapped: panic: EOF" || !strings.Contains(StackOf(err), "failing") {
		t.Errorf("%v, stack %s", err, StackOf(err))
	}
	if err := failing("boom"); err.Error() != "panic: boom" || errors.Unwrap(err) != nil {
		t.Errorf("%v wraps %v", err, errors.Unwrap(err))
	}
	if StackOf(io.EOF) != "" || StackOf(nil) != "" {
		t.Error("a stack without a panic")
	}
}

func TestCatchLeavesAnErrorAlone(t *testing.T) {
	returns := func() (err error) {
		defer Catch(&err)
		return io.EOF
	}
	if err := returns(); err != io.EOF {
		t.Error(err)
	}
}
