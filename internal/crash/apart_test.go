package crash

import (
	"errors"
	"io"
	"runtime"
	"testing"
)

func TestApart(t *testing.T) {
	if err := Apart(func() {}); err != nil {
		t.Error(err)
	}
	if err := Apart(runtime.Goexit); err != ErrGoexit {
		t.Error(err)
	}
	if err := Apart(func() { panic(io.EOF) }); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
