package websocket

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestPace pins how the window follows the waits.
func TestPace(t *testing.T) {
	const limit = 10 * time.Millisecond
	for _, c := range []struct {
		name   string
		window int64
		waited time.Duration
		line   int
		queued int64
		widest int64
		want   int64
	}{
		{"grows while waits are short", 4 << 20, 8 * time.Millisecond, 1000, 4 << 20, 0, 5 << 20},
		{"at most to the double", 4 << 20, time.Millisecond, 1000, 4 << 20, 0, 8 << 20},
		{"not if it was not used", 4 << 20, time.Millisecond, 1000, 1 << 20, 0, 4 << 20},
		{"shrinks while they are long", 4 << 20, 12500 * time.Microsecond, 1000, 0, 0, 4 << 20 * 4 / 5},
		{"at most by half", 4 << 20, time.Second, 1000, 4 << 20, 0, 2 << 20},
		{"not below the least of a long line", 4 << 20, time.Second, 3999, 0, 0, 4000 << 10},
		{"not below the least of a short one", 100 << 10, time.Second, 1, 0, 0, 64 << 10},
		{"not below some broadcasts to a room", 4 << 20, time.Second, 999, 0, 1000, leastBroadcasts * 1000 * 250},
		{"but not above what full batches take", 4 << 20, time.Second, 49, 0, 1000, 50 * 64 << 10},
		{"not above what full batches take", 4 << 20, time.Millisecond, 49, 4 << 20, 0, 50 * 64 << 10},
	} {
		p := pace{window: c.window, until: limit}
		p.wrote = load{frames: 4, bytes: 1000}
		if p.served(limit-1, c.waited, limit, 0, c.queued, 0) || p.window != c.window {
			t.Errorf("%s: %d before it is looked at", c.name, p.window)
		}
		if !p.served(limit, c.waited, limit, c.line, 0, c.widest) || p.window != c.want {
			t.Errorf("%s: window %d, want %d", c.name, p.window, c.want)
		}
		if p.until != 2*limit || p.n != 0 || p.wrote.frames != 0 {
			t.Errorf("%s: %+v does not begin again", c.name, p)
		}
	}
}

// TestBroadcastsWaitForTheWriters: they wait while more is queued than the window, until the
// writers have gone on, the context ends or a second is over, and never for clients.
func TestBroadcastsWaitForTheWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := endpointForTest(t)
		w := &e.writers
		begin := func(ctx context.Context) chan error {
			done := make(chan error, 1)
			go func() {
				_, err := e.Broadcast(ctx, "room:a", "event", nil)
				done <- err
			}()
			synctest.Wait()
			return done
		}
		goesOn := func(what string, done chan error) {
			t.Helper()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			default:
				t.Errorf("%s: the broadcast waits", what)
			}
		}
		waits := func(what string, done chan error) {
			t.Helper()
			select {
			case <-done:
				t.Errorf("%s: the broadcast does not wait", what)
			default:
			}
		}
		e.queuedBytes.Store(firstWindow + 1)
		goesOn("no line", begin(t.Context()))
		w.first, w.line = &conn{}, 1
		e.apartBytes.Store(1)
		goesOn("what waits for clients", begin(t.Context()))
		e.apartBytes.Store(0)

		ctx, cancel := context.WithCancel(t.Context())
		first, second := begin(ctx), begin(t.Context())
		waits("more than the window", first)
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("ended context: %v", err)
		}
		step := func(line int, queued int64) {
			w.mu.Lock()
			w.backlog.served(time.Since(w.since), 0, line, queued, load{})
			w.mu.Unlock()
			synctest.Wait()
		}
		e.queuedBytes.Store(firstWindow - 1)
		step(1, firstWindow-1)
		waits("little progress", second)
		waits("one that comes meanwhile", begin(t.Context()))
		step(1, firstWindow/2)
		goesOn("half of the window", second)

		e.queuedBytes.Store(firstWindow * 64)
		third := begin(t.Context())
		waits("more than the window again", third)
		step(0, firstWindow*64)
		goesOn("the end of the line", third)

		start := time.Now()
		if err := <-begin(t.Context()); err != nil || time.Since(start) != maxBacklogWait {
			t.Errorf("writers that do not go on: %v after %v", err, time.Since(start))
		}
		w.backlog.limit = NoTimeout
		w.backlog.gate = nil
		w.backlog.held.Store(false)
		goesOn("turned off", begin(t.Context()))
	})
}
