package websocket

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// backlog bounds what waits for the endpoint's writers: broadcasts wait while the
// bytes in the queues exceed a window, which follows from how long the connections
// wait for their turn. Queues that wait for their clients do not count, so that no
// broadcast waits for a client.
type backlog struct {
	limit time.Duration // EndpointLimits.Backlog

	window atomic.Int64 // bytes; changed under writers.mu
	held   atomic.Bool  // broadcasts wait
	widest atomic.Int64 // to how many connections one broadcast has gone, since the window was looked at

	// Guarded by writers.mu.
	pace  pace
	turns []chan struct{} // of the broadcasts that wait, in their order; closed when it is their turn
	going bool            // one has its turn
	went  int             // how many have had theirs
	// A broadcast has waited for as long as it may, and none went on meanwhile. Further ones
	// do not wait until the backlog has been below the window: the one that waited may have
	// kept a writer from its work.
	overdue bool
}

// maxBacklogWait bounds the wait of one broadcast. It ends the wait of a hook that
// broadcasts, against the rules, in the goroutine of a writer, which would wait for itself.
const maxBacklogWait = time.Second

// begin sets the limit.
func (b *backlog) begin(limit time.Duration) {
	b.limit = limit
	b.pace.window = firstWindow
	b.window.Store(firstWindow)
}

// served notes that the writers take a connection which has waited for so long, of a
// line of so many. queued is what waits for the writers, last what the one that calls has
// written before. writers.mu is held.
func (b *backlog) served(now, waited time.Duration, line int, queued int64, last load) {
	if b.limit == NoTimeout {
		return
	}
	b.pace.wrote.add(last, 1)
	if b.pace.served(now, waited, b.limit, line, queued, b.widest.Load()) {
		b.widest.Store(0)
	}
	b.window.Store(b.pace.window)
	// They go on before all of the window is free, but not at its edge.
	if line == 0 || queued < b.pace.window/8*7 {
		b.overdue = false
		b.goOn()
	}
}

// wide notes to how many connections a broadcast has gone. Mostly it only reads, so that the
// processors do not compete.
func (b *backlog) wide(n int) {
	if int64(n) > b.widest.Load() {
		b.widest.Store(int64(n))
	}
}

// pace adapts the window: it grows while connections wait for less than the limit,
// and shrinks while they wait for longer. It is a state machine without a clock.
type pace struct {
	window int64         // bytes
	until  time.Duration // when the window is looked at next

	// Since it was looked at last.
	sum   time.Duration // of the waits
	n     int
	wrote load
	line  int  // the longest
	tight bool // the window was half full
}

// The bounds of the window. Less than the least for each connection, or than the least number of
// broadcasts to all of a room, would make writes of few frames, which cost several times as
// much; more than a full batch for each does not make writes cheaper.
const (
	firstWindow     = 1 << 20
	leastEach       = 1 << 10
	leastBroadcasts = 32
	mostEach        = 64 << 10
	leastInWindow   = 64 << 10
)

// served notes a wait in a line, and reports whether it was time to look at the window. widest
// is to how many connections a broadcast has gone meanwhile.
func (p *pace) served(now, waited, limit time.Duration, line int, queued, widest int64) (looked bool) {
	p.sum += waited
	p.n++
	p.line = max(p.line, line)
	p.tight = p.tight || queued > p.window/2
	if now < p.until {
		return false
	}
	mean := max(p.sum/time.Duration(p.n), 1)
	// At most by half, or to the double, at a time.
	if factor := min(max(float64(limit)/float64(mean), 0.5), 2); factor < 1 || p.tight {
		p.window = int64(float64(p.window) * factor)
	}
	each := int64(p.line + 1)
	frame := int64(p.wrote.bytes / max(p.wrote.frames, 1))
	p.window = min(max(p.window, leastInWindow, each*leastEach, leastBroadcasts*widest*frame), max(each*mostEach, firstWindow))
	p.until = now + limit
	p.sum, p.n, p.line, p.wrote, p.tight = 0, 0, 0, load{}, false
	return true
}

// keepUp waits while more waits for the writers than they can write in time. It returns
// an error if ctx ends meanwhile: then the broadcast must not be made. If turn is true, the
// caller must call endTurn once it is made.
func (e *Endpoint) keepUp(ctx context.Context) (turn bool, err error) {
	w := &e.writers
	b := &w.backlog
	if b.limit == NoTimeout || !b.held.Load() && e.writable() <= b.window.Load() {
		return false, nil
	}
	w.mu.Lock()
	// Without a line what is queued is being written, or waits for something else.
	if w.first == nil || b.overdue || len(b.turns) == 0 && e.writable() <= b.pace.window {
		w.mu.Unlock()
		return false, nil
	}
	mine, went := make(chan struct{}), b.went
	b.turns = append(b.turns, mine)
	b.held.Store(true)
	w.mu.Unlock()
	e.waited.Add(1)
	timer := time.NewTimer(maxBacklogWait)
	defer timer.Stop()
	select {
	case <-mine:
		return true, nil
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	w.mu.Lock()
	i := slices.Index(b.turns, mine)
	if i >= 0 {
		b.turns = slices.Delete(b.turns, i, i+1)
		b.held.Store(len(b.turns) > 0)
		if err == nil && b.went == went {
			b.giveUp()
		}
	}
	w.mu.Unlock()
	// It may have got its turn just before.
	if i < 0 && err != nil {
		e.endTurn()
	}
	return i < 0 && err == nil, err
}

// endTurn lets the next broadcast go on, if the writers are not behind after this one.
func (e *Endpoint) endTurn() {
	w := &e.writers
	w.mu.Lock()
	defer w.mu.Unlock()
	w.backlog.going = false
	if w.first == nil || e.writable() <= w.backlog.pace.window {
		w.backlog.goOn()
	}
}

// goOn lets the broadcast go on that has waited longest, unless one does already: each adds
// frames to a whole topic. writers.mu is held.
func (b *backlog) goOn() {
	if b.going || len(b.turns) == 0 {
		return
	}
	b.going = true
	b.went++
	close(b.turns[0])
	b.turns = slices.Delete(b.turns, 0, 1)
	b.held.Store(len(b.turns) > 0)
}

// giveUp lets all broadcasts go on: none has for the whole of a wait. writers.mu is held.
func (b *backlog) giveUp() {
	b.overdue = true
	for _, turn := range b.turns {
		close(turn)
	}
	b.turns = nil
	b.held.Store(false)
}

// writable returns the bytes in the queues that do not wait for their clients.
func (e *Endpoint) writable() int64 { return e.queuedBytes.Load() - e.apartBytes.Load() }
