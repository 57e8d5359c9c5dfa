package websocket

import (
	"net/http"
	"sync"
	"time"
)

// poll is a connection over long polling. What is queued waits for the client's
// next GET.
type poll struct {
	session
	// A secret, by which the requests of the client name the session.
	token string
	ready chan struct{} // holds a token when there is something to take
	turn  chan struct{} // holds a token while a POST is read or handled

	visits  sync.Mutex          // guards visit, absent and reading
	visit   *visit              // the present GET; nil between two
	absent  *time.Timer         // runs while there is no GET
	reading http.ResponseWriter // of the POST whose body is read; nil if none is
}

// visit is one GET.
type visit struct {
	replaced chan struct{} // closed when another GET has come
	left     chan struct{} // closed when it is over
}

// polls holds the long-poll sessions of an endpoint by their tokens.
type polls struct {
	mu   sync.Mutex
	list map[string]*poll
}

// find returns the session with a token, if it belongs to the mount.
func (ps *polls) find(token string, m *mount) *poll {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	// A token has 130 random bits: the time of a lookup reveals nothing about
	// other tokens.
	if p := ps.list[token]; p != nil && p.mount == m {
		return p
	}
	return nil
}

// begin makes a session for an admitted client.
func (ps *polls) begin(m *mount, a admission) (*poll, error) {
	e := m.endpoint
	p := &poll{token: m.relays.newToken(), ready: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	p.session = newSession(m, a)
	p.out.apart, p.out.own = true, true // it waits for the client's next request
	// A response is JSON, in which a binary frame has no place.
	p.textOnly = true
	p.tr = p
	// Before the registry has it, so that Close cannot miss it; abort calls done.
	e.work.add()
	replaced, err := e.registry.add(&p.session, a.addr)
	if err != nil { // since admit looked
		e.work.done()
		return nil, err
	}
	replaced.replace()
	ps.mu.Lock()
	if ps.list == nil {
		ps.list = make(map[string]*poll)
	}
	ps.list[p.token] = p
	ps.mu.Unlock()
	// From here on a broadcast to its id can end it; startAbsence checks this.
	p.session.begin(a)
	p.visits.Lock()
	p.startAbsence(p.mount.cfg.LongPoll.Window * 3 / 2)
	p.visits.Unlock()
	return p, nil
}

// startAbsence ends the session if no GET comes within d. visits is held.
func (p *poll) startAbsence(d time.Duration) {
	if p.absent == nil {
		p.absent = time.AfterFunc(d, func() { p.finish(ErrClosed) })
	} else {
		p.absent.Reset(d)
	}
	// finish may have run before the timer existed.
	if p.isOver() {
		p.absent.Stop()
	}
}

// enter makes the caller the present GET, after the previous one has left. It
// returns false if the session is over.
func (p *poll) enter() (*visit, bool) {
	v := &visit{replaced: make(chan struct{}), left: make(chan struct{})}
	p.visits.Lock()
	// The latest GET wins: an earlier one may be of a connection that is lost.
	before := p.visit
	p.visit = v
	p.absent.Stop()
	p.visits.Unlock()
	if before != nil {
		// The previous GET must be over, so that messages keep their order.
		close(before.replaced)
		<-before.left
	}
	// If the session is over, exit undoes the visit and its false is the result.
	return v, !p.isOver() || p.exit(v)
}

// exit ends a GET. It returns false.
func (p *poll) exit(v *visit) bool {
	p.visits.Lock()
	// Not if a later GET has replaced it: the client is present then.
	if p.visit == v {
		p.visit = nil
		if p.isClosing() {
			p.startAbsence(p.mount.cfg.Timeouts.Close)
		} else {
			p.startAbsence(p.mount.cfg.LongPoll.Window * 3 / 2)
		}
	}
	p.visits.Unlock()
	close(v.left)
	return false
}

// takeAll takes what is queued.
func (p *poll) takeAll() []*batch {
	var list []*batch
	// Several batches: a response may hold more than one write does.
	for {
		b := newBatch()
		if !p.take(b, fullBatch) {
			batches.Put(b)
			return list
		}
		list = append(list, b)
	}
}

// wake lets the present GET, or the next one, take what is queued.
func (p *poll) wake(bool) {
	select {
	// One token is enough, since a GET takes all that is queued.
	case p.ready <- struct{}{}:
	default:
	}
}

// lend implements transport.
func (p *poll) lend(ch *Channel) { p.endpoint().runners.run(ch) }

// hangUp gives a client between two GETs some time to fetch the close.
func (p *poll) hangUp() {
	p.visits.Lock()
	defer p.visits.Unlock()
	// A present GET takes the close frame itself. absent is nil before begin has
	// started it.
	if p.visit == nil && p.absent != nil {
		p.startAbsence(p.mount.cfg.Timeouts.Close)
	}
}

// abort removes the session. The present GET, if any, responds that it is over.
func (p *poll) abort() (reads bool) {
	e := p.endpoint()
	e.polls.mu.Lock()
	delete(e.polls.list, p.token)
	e.polls.mu.Unlock()
	p.visits.Lock()
	if p.absent != nil {
		p.absent.Stop()
	}
	if p.reading != nil {
		p.mount.readUntil(p.reading, time.Unix(1, 0)) // in the past: its body ends here
	}
	p.visits.Unlock()
	// So that the present GET looks again and finds the session over.
	p.wake(true)
	p.depart()
	return false
}

// watch implements transport. The timer that awaits the next GET notices that a
// client has gone.
func (p *poll) watch(func()) (stop func()) { return func() {} }
