package pace

import (
	"testing"
	"time"
)

func TestOneLineASecondForAll(t *testing.T) {
	var l Limiter
	start := time.Hour
	for _, tc := range []struct {
		after time.Duration
		n     int
		want  int
	}{
		{0, 1, 1},
		{0, 5, 0},
		{Every - 1, 2, 0},
		{Every, 1, 8},
		{Every + 1, 3, 0},
		{3 * Every, 1, 4},
	} {
		if got := l.Line(start+tc.after, tc.n); got != tc.want {
			t.Errorf("after %v: a line for %d, want %d", tc.after, got, tc.want)
		}
	}
}
