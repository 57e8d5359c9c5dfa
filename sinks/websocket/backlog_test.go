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
		later, last := begin(t.Context()), begin(t.Context())
		waits("one that comes meanwhile", later)
		e.queuedBytes.Store(firstWindow * 2) // as the one that goes on leaves it
		step(1, firstWindow/2)
		goesOn("half of the window", second)
		waits("the next, since the first has filled the window again", later)
		e.queuedBytes.Store(firstWindow / 2)
		step(1, firstWindow/2)
		goesOn("its turn", later)
		goesOn("the turn after it, since the window is still free", last)

		e.queuedBytes.Store(firstWindow * 64)
		third := begin(t.Context())
		waits("more than the window again", third)
		step(0, firstWindow*64)
		goesOn("the end of the line", third)

		start := time.Now()
		fourth := begin(t.Context())
		time.Sleep(maxBacklogWait / 2)
		fifth := begin(t.Context())
		if err := <-fourth; err != nil || time.Since(start) != maxBacklogWait {
			t.Errorf("writers that do not go on: %v after %v", err, time.Since(start))
		}
		synctest.Wait()
		goesOn("one that waits too", fifth)
		goesOn("the next, since one has waited in vain", begin(t.Context()))
		step(1, firstWindow*64)
		goesOn("still more than the window", begin(t.Context()))
		step(1, 0)
		sixth := begin(t.Context())
		waits("again, after the backlog was below the window", sixth)
		if n, err := e.LocalBroadcast("room:a", "event", nil); n != 0 || err != nil || time.Since(start) != maxBacklogWait {
			t.Errorf("LocalBroadcast: %d, %v after %v", n, err, time.Since(start))
		}
		// One that gets its turn as its context ends passes it on.
		ctx, cancel = context.WithCancel(t.Context())
		seventh := begin(ctx)
		eighth := begin(t.Context())
		step(0, 0)
		goesOn("the end of the line again", sixth)
		w.mu.Lock()
		cancel()
		e.queuedBytes.Store(0)
		w.backlog.goOn()
		w.mu.Unlock()
		<-seventh
		synctest.Wait()
		goesOn("the one behind it", eighth)

		e.queuedBytes.Store(firstWindow * 64)
		w.backlog.limit = NoTimeout
		w.mu.Lock()
		ninth := make(chan error, 1)
		go func() {
			_, err := e.Broadcast(t.Context(), "room:a", "event", nil)
			ninth <- err
		}()
		if err := <-ninth; err != nil { // without the mutex
			t.Error(err)
		}
		before := w.backlog.pace
		w.backlog.served(time.Since(w.since), time.Hour, 1, 0, load{})
		if w.backlog.pace != before {
			t.Error("the window follows the waits although it is turned off")
		}
		w.mu.Unlock()
	})
}

// TestTurnsAreBounded: of many broadcasts that wait one goes on at a time, so that what they
// add is bounded whatever their number.
func TestTurnsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := endpointForTest(t)
		w := &e.writers
		w.first, w.line = &conn{}, 1
		const each = firstWindow / 4
		e.queuedBytes.Store(firstWindow + 1)
		done := make(chan struct{}, 100)
		for range cap(done) {
			go func() {
				turn, err := e.keepUp(t.Context())
				if err != nil || !turn {
					t.Errorf("turn %v, %v", turn, err)
				}
				e.queuedBytes.Add(each)
				e.endTurn()
				done <- struct{}{}
			}()
		}
		synctest.Wait()
		for n := 0; n < cap(done); {
			e.queuedBytes.Store(firstWindow / 2)
			w.mu.Lock()
			w.backlog.served(time.Since(w.since), 0, 1, firstWindow/2, load{})
			w.mu.Unlock()
			synctest.Wait()
			if queued := e.queuedBytes.Load(); queued > firstWindow+each {
				t.Fatalf("%d bytes are queued, of a window of %d", queued, int64(firstWindow))
			}
			if len(done) == n {
				t.Fatalf("none goes on after %d", n)
			}
			n = len(done)
		}
		if w.backlog.going || w.backlog.held.Load() || len(w.backlog.turns) != 0 {
			t.Errorf("%+v", &w.backlog)
		}
	})
}
