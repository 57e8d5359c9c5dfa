package presence_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

// stripRef returns a meta without the ref of the tracker.
func stripRef(m json.RawMessage) string {
	var v struct {
		Conn int `json:"conn"`
	}
	_ = json.Unmarshal(m, &v) // 0 is no connection
	return fmt.Sprintf(`{"conn":%d}`, v.Conn)
}

// said is a message in the room.
type said struct {
	From string `json:"from"`
	Seq  int    `json:"seq"`
}

// simRoom follows the room on one node. What each process says must come without a
// gap, unless a loss was reported before.
type simRoom struct {
	s *sim
	n *simNode

	mu   sync.Mutex
	last map[string]int  // by process
	gap  map[string]bool // a loss was reported since the last message
	lost bool            // also for processes of which nothing came yet
	// epoch has that of the last message of a process, and kept all messages.
	epoch map[string]string
	kept  []simKept
}

// simKept is a message with its place in the history.
type simKept struct {
	at   pubsub.Position
	data string
}

func newSimRoom(s *sim, n *simNode) *simRoom {
	r := &simRoom{s: s, n: n, last: map[string]int{}, gap: map[string]bool{}, epoch: map[string]string{}}
	for _, other := range s.live() {
		r.last[other.process] = other.sent
		r.gap[other.process] = true // what was on its way may still come
	}
	return r
}

func (r *simRoom) Deliver(m *pubsub.Message) bool {
	var v said
	if err := json.Unmarshal(m.Payload.Data, &v); err != nil || m.Topic != "room" {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	last, known := r.last[v.From]
	gap := r.gap[v.From] || (!known && r.lost)
	at, kept := m.Position()
	switch {
	case !kept:
		r.s.fault("%s got %+v, which the history has not", r.n.process, v)
	case v.Seq > last+1 && r.epoch[v.From] == at.Epoch:
		r.s.fault("%s got %+v after %d in one epoch: a client would resume over the gap", r.n.process, v, last)
	case v.Seq <= last:
		r.s.fault("%s got %+v after %d", r.n.process, v, last)
	case v.Seq > last+1 && !gap:
		r.s.fault("%s got %+v after %d, without a loss reported", r.n.process, v, last)
	case v.Seq > last+1:
		r.s.count(func(t *simTotals) { t.Gaps++ })
	}
	r.last[v.From], r.gap[v.From], r.epoch[v.From] = v.Seq, false, at.Epoch
	r.kept = append(r.kept, simKept{at, string(m.Payload.Data)})
	return true
}

// HandleLoss implements pubsub.LossHandler.
func (r *simRoom) HandleLoss(string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = true
	for from := range r.last {
		r.gap[from] = true
	}
}

// resume is what clients do that saw the room up to any message: each gets what came
// afterwards, or learns that it cannot.
func (r *simRoom) resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, k := range r.kept {
		records, now, err := r.n.hub.History().Since(context.Background(), "room", k.at)
		if err != nil {
			if !errors.Is(err, pubsub.ErrEpoch) || now.Epoch == k.at.Epoch {
				r.s.fault("%s cannot resume after %+v: %v, now %+v", r.n.process, k, err, now)
			}
			continue
		}
		rest := r.kept[i+1:]
		if len(records) != len(rest) {
			r.s.fault("%s resumes after %+v with %d messages, want %d", r.n.process, k, len(records), len(rest))
			continue
		}
		for j, record := range records {
			if string(record.Data) != rest[j].data || record.Offset != rest[j].at.Offset {
				r.s.fault("%s resumes after %+v with %s, want %+v", r.n.process, k, record.Data, rest[j])
			}
		}
		r.s.count(func(t *simTotals) { t.Resumed++ })
	}
}

// pushed is the payload of a push. Attempt is only for the model: a client knows
// the push by N.
type pushed struct {
	User    string `json:"user"`
	N       int    `json:"n"`
	Attempt int    `json:"attempt"`
}

// simUser is a user with connections and a source that keeps one push in flight.
type simUser struct {
	s    *sim
	name string

	mu       sync.Mutex
	rand     *rand.Rand
	conns    []*simConn
	queue    []time.Time // when each push that is not finished was made
	next     int         // the number of the first in queue
	home     *simNode
	flying   bool
	paused   time.Time // a source moves only after what the last one sent has arrived
	attempts []*simAttempt
}

// simAttempt is one call of Deliver.
type simAttempt struct {
	n       int
	home    *simNode
	ended   bool
	err     error
	begun   time.Time
	unsure  bool  // a node may have it that did not answer
	written []int // connections

	returned bool          // Deliver has
	pause    time.Duration // after it
}

// end notes the outcome. A full client outranks a node whose answer is missing: then
// the attempt took as long as an answer may take, or its own node ended. Without counts
// the other nodes are asked, and one whose answer was lost does not know any more.
func (a *simAttempt) end(err error, uncounted bool) {
	a.ended, a.err = true, err
	a.unsure = errors.Is(err, pubsub.ErrNoAnswer) ||
		errors.Is(err, pubsub.ErrFull) && (uncounted || time.Since(a.begun) >= simAnswer || a.home.over.Load())
}

func (u *simUser) anyConn(r *rand.Rand) *simConn {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.conns) == 0 {
		return nil
	}
	return u.conns[r.IntN(len(u.conns))]
}

// push makes a push. Its source stays at a node as long as that lives.
func (u *simUser) push(at *simNode) {
	u.mu.Lock()
	u.queue = append(u.queue, time.Now())
	if u.home == nil {
		u.home = at
	}
	u.mu.Unlock()
	u.work()
}

// nodeEnded moves the source away from a node.
func (u *simUser) nodeEnded(n *simNode) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, a := range u.attempts {
		if a.home == n && !a.ended {
			u.s.fault("%s: attempt %d of push %d is left open by %s", u.name, i, a.n, n.process)
		}
	}
	if u.home != n {
		return
	}
	u.home, u.paused = nil, time.Now().Add(simMove)
	if list := u.s.live(); len(list) > 0 {
		u.home = list[u.rand.IntN(len(list))]
	}
	time.AfterFunc(simMove, u.work)
}

// work makes an attempt for the first push, unless one is on its way.
func (u *simUser) work() {
	u.mu.Lock()
	for len(u.queue) > 0 && !u.flying && time.Since(u.queue[0]) > simDeadline {
		u.queue, u.next = u.queue[1:], u.next+1
		u.s.count(func(t *simTotals) { t.Expired++ })
	}
	if len(u.queue) == 0 || u.flying || u.home == nil || time.Now().Before(u.paused) {
		u.mu.Unlock()
		return
	}
	a := &simAttempt{n: u.next, home: u.home, begun: time.Now()}
	id := len(u.attempts)
	u.attempts = append(u.attempts, a)
	u.flying = true
	u.mu.Unlock()
	err := a.home.hub.Deliver(context.Background(), "user:"+u.name, "push", pushed{u.name, a.n, id}, func(r pubsub.Report) { u.reported(id, a, r.Err) })
	if err != nil {
		u.s.fault("%s: Deliver: %v", u.name, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	a.returned = true
	u.land(a)
}

// land lets the next attempt begin once this one has its report and its call of Deliver
// has returned. The report can come first: a connection of the same node may write before
// the hub hands the push to the other nodes, and the next push would overtake it there.
// u.mu is held.
func (u *simUser) land(a *simAttempt) {
	if a.ended && a.returned {
		u.flying = false
		time.AfterFunc(a.pause, u.work)
	}
}

// reported ends an attempt: the push is finished, or tried again a little later.
func (u *simUser) reported(id int, a *simAttempt, err error) {
	u.s.note("%s: push %d attempt %d at %s ends with %v", u.name, a.n, id, a.home.process, err)
	u.mu.Lock()
	defer u.mu.Unlock()
	if a.ended {
		u.s.fault("%s: attempt %d of push %d ends twice", u.name, id, a.n)
		return
	}
	a.end(err, u.s.net.Uncounted)
	if err == nil {
		u.queue, u.next = u.queue[1:], u.next+1
		u.s.count(func(t *simTotals) { t.Delivered++ })
	} else {
		a.pause = 50*time.Millisecond + time.Duration(u.rand.IntN(300))*time.Millisecond
	}
	u.land(a)
}

// settled is the end: no push is open, and no attempt that was refused as absent
// was written.
func (u *simUser) settled() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.queue) > 0 {
		u.s.fault("%s: %d pushes are open", u.name, len(u.queue))
	}
	for id, a := range u.attempts {
		switch {
		case !a.ended:
			u.s.fault("%s: attempt %d of push %d is open", u.name, id, a.n)
		case a.err == nil && len(a.written) == 0:
			u.s.fault("%s: attempt %d of push %d is delivered to nobody", u.name, id, a.n)
		case a.err != nil && !a.unsure && len(a.written) > 0:
			u.s.fault("%s: attempt %d of push %d ended with %v, connections %v have it", u.name, id, a.n, a.err, a.written)
		}
	}
}

// simConn is a connection: a queue that is written a message at a time.
type simConn struct {
	user *simUser
	node *simNode
	id   int
	sub  *pubsub.Subscription
	stop context.CancelFunc // of its presence

	mu     sync.Mutex
	rand   *rand.Rand
	queue  []simFrame
	closed bool
	last   int // the push that was written last, or -1
	got    map[int]bool
}

type simFrame struct {
	push  pushed
	tally *pubsub.Tally
}

// connect makes a connection of a user at a node.
func (s *sim) connect(u *simUser, n *simNode) {
	s.conns++
	c := &simConn{user: u, node: n, id: s.conns, last: -1, got: map[int]bool{}, rand: rand.New(rand.NewPCG(s.seed, uint64(1000+s.conns)))}
	var ctx context.Context
	ctx, c.stop = context.WithCancel(context.Background())
	var err error
	if c.sub, err = n.hub.Subscribe("user:"+u.name, c); err != nil {
		s.fault("Subscribe: %v", err)
		return
	}
	if _, err := n.tracker.Track(ctx, "room", u.name, map[string]int{"conn": c.id}); err != nil {
		s.fault("Track: %v", err)
	}
	n.conns[c] = true
	u.mu.Lock()
	u.conns = append(u.conns, c)
	u.mu.Unlock()
	s.note("%s connects to %s as %d", u.name, n.process, c.id)
}

// Deliver implements pubsub.Subscriber.
func (c *simConn) Deliver(m *pubsub.Message) bool {
	var p pushed
	if err := json.Unmarshal(m.Payload.Data, &p); err != nil || p.User != c.user.name || m.Topic != "user:"+p.User {
		c.user.s.fault("connection %d of %s got %s of %s", c.id, c.user.name, m.Payload.Data, m.Topic)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		m.Tally().Refuse(pubsub.ErrGone)
		return false
	case c.rand.IntN(10) == 0:
		m.Tally().Refuse(pubsub.ErrFull)
		return false
	}
	m.Tally().Take()
	c.queue = append(c.queue, simFrame{p, m.Tally()})
	if len(c.queue) == 1 {
		c.arm()
	}
	return true
}

func (c *simConn) arm() { time.AfterFunc(time.Duration(c.rand.IntN(80))*time.Millisecond, c.write) }

// write writes the first frame and compares it with what was written before.
func (c *simConn) write() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	f := c.queue[0]
	if c.queue = c.queue[1:]; len(c.queue) > 0 {
		c.arm()
	}
	c.user.wrote(c, f.push)
	c.last, c.got[f.push.Attempt] = f.push.N, true
	c.mu.Unlock()
	f.tally.Report(time.Now(), nil)
}

// wrote checks a frame. The connection's mutex is held.
func (u *simUser) wrote(c *simConn, p pushed) {
	u.mu.Lock()
	defer u.mu.Unlock()
	a := u.attempts[p.Attempt]
	a.written = append(a.written, c.id)
	u.s.note("connection %d writes %+v", c.id, p)
	switch {
	case c.got[p.Attempt]:
		u.s.fault("connection %d of %s: %+v twice", c.id, u.name, p)
	case p.N < c.last:
		u.s.fault("connection %d of %s: %+v after push %d", c.id, u.name, p, c.last)
	case p.N == c.last:
		u.s.count(func(t *simTotals) { t.Repeated++ })
		for id := range c.got {
			if e := u.attempts[id]; e.n == p.N && !e.unsure {
				u.s.fault("connection %d of %s: %+v again, attempt %d ended with %v", c.id, u.name, p, id, e.err)
			}
		}
	}
}

// close ends a connection. What it has not written it never will.
func (c *simConn) close(why string) {
	c.user.s.note("connection %d of %s ends: %s", c.id, c.user.name, why)
	c.sub.Unsubscribe()
	c.stop()
	c.mu.Lock()
	c.closed = true
	queue := c.queue
	c.queue = nil
	c.mu.Unlock()
	for _, f := range queue {
		f.tally.Report(time.Time{}, pubsub.ErrGone)
	}
	delete(c.node.conns, c)
	c.user.mu.Lock()
	defer c.user.mu.Unlock()
	for i, other := range c.user.conns {
		if other == c {
			c.user.conns = append(c.user.conns[:i:i], c.user.conns[i+1:]...)
			break
		}
	}
}
