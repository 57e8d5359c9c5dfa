package presence

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	const ms = time.Millisecond
	var p pace
	for i, c := range []struct {
		changes int
		now     time.Duration // at the end of the round
		ask     time.Duration // when the next one could begin
		want    time.Duration // its wait
	}{
		{1, 0, 0, 0},
		{3, 1 * ms, 1 * ms, 0},
		{4, 10 * ms, 10 * ms, 5 * ms},
		{4, 20 * ms, 21 * ms, 9 * ms},
		{100, 40 * ms, 40 * ms, 20 * ms},
		{4, 100 * ms, 100 * ms, 25 * ms},
		{9, 200 * ms, 200 * ms, 25 * ms},
		{9, 300 * ms, 324 * ms, 1 * ms},
		{9, 400 * ms, 440 * ms, 0},  // the window is over
		{9, 500 * ms, 5000 * ms, 0}, // long ago
		{2, 5001 * ms, 5001 * ms, 0},
		{5, 5002 * ms, 5002 * ms, 5 * ms},
	} {
		p.round(c.changes, c.now)
		if got := p.wait(c.ask); got != c.want {
			t.Errorf("%d: %v, want %v", i, got, c.want)
		}
	}
}
