package websocket

import (
	"testing"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// TestCalm pins when a message is written by the goroutine that queued it.
func TestCalm(t *testing.T) {
	w := &writers{limit: 2}
	const most = 2 * directWrites
	occasions := func(at time.Duration, n int) (direct int) {
		for range n {
			if w.calm(at) {
				direct++
			}
		}
		return direct
	}
	for _, step := range []struct {
		at   time.Duration
		n    int
		want int
		why  string
	}{
		{0, most, most, "few"},
		{window, most + 5, most, "some more than few"},
		{2 * window, 5, 0, "just after too many"},
		{3*window - 1, 5, 0, "still in the window after too many"},
		{3 * window, 5, 5, "few again"},
		{4 * window, 1000, most, "a burst"},
		{6 * window, 5, 5, "after a window without any"},
	} {
		if got := occasions(step.at, step.n); got != step.want {
			t.Errorf("%s: %d of %d written at once, want %d", step.why, got, step.n, step.want)
		}
	}
	w.active = 1
	if w.calm(100 * window) {
		t.Error("written at once while a writer is at work")
	}
	w.active, w.first = 0, &conn{}
	if w.calm(200 * window) {
		t.Error("written at once while connections wait for a writer")
	}
}

// TestABatchIsCountedOnce: a batch of the pool holds what its owner before has written, and so
// does that of a writer whose next connection has nothing to write.
func TestABatchIsCountedOnce(t *testing.T) {
	e, m := endpointForTest(t)
	one := newConn(m, admission{format: e.formats.of(codec.V2)})
	used := &batch{n: 3, events: load{3, 300}, asked: load{1, 100}}
	if b, more := e.writers.serve(one, nil, used); more || b.n != 0 || b.events != (load{}) || b.asked != (load{}) {
		t.Errorf("after nothing was taken: %d items, events %v, asked %v", b.n, b.events, b.asked)
	}
	batches.Put(&batch{n: 3, events: load{3, 300}, asked: load{1, 100}})
	if b := newBatch(); b.n != 0 || b.events != (load{}) || b.asked != (load{}) {
		t.Errorf("a new batch has %d items, events %v, asked %v", b.n, b.events, b.asked)
	}
}
