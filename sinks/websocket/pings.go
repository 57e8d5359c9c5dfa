package websocket

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// pings sends pings to the connections of a mount. All have the same interval, so
// that the one which was pinged last is due last: they are a list, with one timer
// for its first. There is no goroutine between two pings, and no timer without a
// connection.
type pings struct {
	every time.Duration // NoTimeout turns them off

	mu          sync.Mutex
	first, last *conn
	timer       *time.Timer // runs while there is a connection
}

// pinged is what pings needs of a connection.
type pinged struct {
	// Guarded by pings.mu.
	nextDue, prevDue *conn
	due              time.Duration // of Endpoint.uptime; 0 if not in the list

	// When the ping was sent after which nothing has come from the client, of
	// Endpoint.uptime; 0 for none.
	unanswered atomic.Int64
}

// add begins to ping a connection.
func (p *pings) add(c *conn) {
	if p.every == NoTimeout {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	alone := p.first == nil
	p.append(c, time.Duration(c.endpoint().uptime()))
	switch {
	case !alone:
	case p.timer == nil:
		p.timer = time.AfterFunc(p.every, p.fire)
	default:
		p.timer.Reset(p.every)
	}
}

// append makes a connection due last. The mutex is held.
func (p *pings) append(c *conn, now time.Duration) {
	c.due = now + p.every
	if c.prevDue, c.nextDue = p.last, nil; p.last == nil {
		p.first = c
	} else {
		p.last.nextDue = c
	}
	p.last = c
}

// unlink takes a connection out of the list. The mutex is held.
func (p *pings) unlink(c *conn) {
	if c.prevDue == nil {
		p.first = c.nextDue
	} else {
		c.prevDue.nextDue = c.nextDue
	}
	if c.nextDue == nil {
		p.last = c.prevDue
	} else {
		c.nextDue.prevDue = c.prevDue
	}
	c.nextDue, c.prevDue, c.due = nil, nil, 0
}

// remove ends the pings of a connection, if there are any.
func (p *pings) remove(c *conn) {
	if p.every == NoTimeout {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.due == 0 { // its start has failed
		return
	}
	p.unlink(c)
	if p.first == nil {
		p.timer.Stop()
	}
}

// fire pings the connections that are due, together with those that will be soon, so
// that many connections do not need a timer for each. It runs in the timer's
// goroutine.
func (p *pings) fire() {
	p.mu.Lock()
	var due []*conn
	if p.first != nil {
		now := time.Duration(p.first.endpoint().uptime())
		// Each is due later than now once it was appended, so that this ends.
		for c := p.first; c.due <= now+p.every/16; c = p.first {
			p.unlink(c)
			p.append(c, now)
			due = append(due, c)
		}
		p.timer.Reset(p.first.due - now)
	}
	p.mu.Unlock()
	// Without the mutex: a ping may be written at once.
	for _, c := range due {
		c.ping()
	}
}

// ping sends a ping, unless something else is on its way to the client: that shows
// the same, and a ping would wait for it.
func (c *conn) ping() {
	c.mu.Lock()
	busy := c.out.total().frames > 0
	c.mu.Unlock()
	if busy {
		return
	}
	// Before the ping is sent, so that the reply cannot come before. An earlier ping
	// that is unanswered stays the one that counts.
	c.unanswered.CompareAndSwap(0, max(1, c.endpoint().uptime()))
	_ = c.send(pingItem) // refused only if the connection closes
}

// pingItem is the ping that all connections share.
var pingItem = &item{wire: seal(newWire(0), ws.OpPing), control: true, urgent: true}

// alive notes that bytes have come from the client, or that it had no chance to be
// heard until now.
func (c *conn) alive() {
	c.lastRead = time.Duration(c.endpoint().uptime())
	if c.pinged != nil && c.unanswered.Load() != 0 {
		c.unanswered.Store(0)
	}
}

// heard returns when bytes came from the client, or reading began again.
func (c *conn) heard() time.Time { return c.endpoint().epoch.Add(c.lastRead) }

// answerUntil returns when the client must have sent something: an interval after
// the ping that is unanswered. While there is none it returns when the next one can
// be overdue, which is after now.
func (c *conn) answerUntil(now time.Time, every time.Duration) time.Time {
	if at := c.unanswered.Load(); at != 0 {
		return c.endpoint().epoch.Add(time.Duration(at)).Add(every)
	}
	if next := c.heard().Add(2 * every); next.After(now) {
		return next
	}
	return now.Add(every)
}
