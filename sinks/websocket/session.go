package websocket

import (
	"sync"
	"time"

	"github.com/penstock-go/penstock/internal/gcra"
	"github.com/penstock-go/penstock/pubsub"
)

// transport is what a session needs of the connection to its client.
type transport interface {
	// wake reports that the outbox holds items and that no goroutine takes
	// them. It must not block. The goroutine that takes goes on until take
	// returns false. free means that the caller holds no lock, so that it may be
	// used to write.
	wake(free bool)
	// lend has a channel run that has a message of the client: at once in another
	// goroutine, or in the one that reads as soon as that has passed on all that has come.
	// Only the latter calls it.
	lend(ch *Channel)
	// hangUp reports that the session closes: the close frame is in the outbox.
	hangUp()
	// abort ends the transport at once. It returns true if a goroutine reads: that
	// passes on what has come, and then calls endChannels.
	abort() (reads bool)
	// watch has gone called once if the client goes, until stop returns. The
	// goroutine that reads calls it and then reads nothing until it has called stop.
	watch(gone func()) (stop func())
}

// session is one connection, whatever its transport: the socket's state, its
// channels and its outbound queue.
//
// Each method locks, steps the outbox, unlocks, and then acts on the effects.
//
// Lock order: Channel.mu before session.mu. No lock is held while a hook, a
// handler or the transport's writing runs.
type session struct {
	mount  *mount
	state  any // changed by the goroutine that reads, under the mutex
	id     string
	idSub  *pubsub.Subscription // guarded by mu; nil without an id
	tr     transport
	format *format
	// textOnly: binary messages cannot be sent, as over long polling.
	textOnly bool
	// Of a WebSocket connection, guarded by mu.
	closeSent, peerClosed bool // the frame has gone out, or has come in: RFC 6455, 7.1.4
	interrupting          bool // the deadline of the read ahead is in the past, and stays there until it has ended

	prev, next *session // guarded by registry.mu

	bucket gcra.Bucket  // limits what the client sends; owned by the goroutine that reads
	joins  gcra.Bucket  // limits its joins; owned by the same goroutine
	rare   *rareSession // made by the goroutine that reads, under the mutex

	mu       sync.Mutex // guards state, out, room, channels and rare's timers
	out      outbox
	room     chan struct{} // closed when held messages go on; nil while none is held
	channels channelList
}

// newSession makes the session of an admitted client. The caller sets tr.
func newSession(m *mount, a admission) session {
	return session{
		mount: m, state: a.state, id: a.id, format: a.format,
		out: outbox{bounds: &m.bounds},
	}
}

// endpoint returns the endpoint that serves the session.
func (s *session) endpoint() *Endpoint { return s.mount.endpoint }

// send queues an item, as put does, and ensures that it is written. The caller
// holds no lock.
func (s *session) send(it *item) error {
	wake, err := s.put(it)
	if wake {
		s.tr.wake(true)
	}
	return err
}

// enqueue is send for a caller that holds a Channel.mu.
func (s *session) enqueue(it *item) error {
	wake, err := s.put(it)
	if wake {
		s.tr.wake(false)
	}
	return err
}

// put queues an item. If wake is true the caller must call the transport's
// wake. If it returns an error, the caller must call the item's hook. Items of
// one goroutine keep their order. put may be called with a Channel.mu held: the
// hooks of other items that give way, and the end of a connection that is too
// slow, run in goroutines of their own.
func (s *session) put(it *item) (wake bool, err error) {
	if s.textOnly && isBinary(it.wire) {
		return false, ErrNoBinary
	}
	var do effects
	s.mu.Lock()
	s.out.put(it, &do)
	s.mu.Unlock()
	e := s.endpoint()
	if do.lost {
		e.discarded[discardedQueueFull].Add(1)
	}
	if do.unfit {
		s.tooLarge("message", do.err)
	}
	if do.conflated != nil {
		e.giveUp([]*item{do.conflated}, ErrConflated)
	}
	s.act(&do)
	if do.closing {
		s.slow(slowQueue)
		wake := do.wake
		// The caller may hold a Channel.mu, which endChannels takes.
		e.spawn(func() { s.hangUp(wake, ErrQueueFull) })
		return false, do.err
	}
	return do.wake, do.err
}

// take gives the next batch, within most, to the transport. It returns false if there is
// none; wake will be called when there is one again.
func (s *session) take(b *batch, most load) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.take(b, most)
}

// giveBack puts the items of a batch from the i-th on into the queue again.
func (s *session) giveBack(b *batch, i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.giveBack(b, i)
}

// setApart notes that the client does not take what is written.
func (s *session) setApart() {
	var do effects
	s.mu.Lock()
	s.out.setApart(&do)
	s.mu.Unlock()
	s.act(&do)
}

// wrote reports that the batch was written, or why it was not, to the hooks of
// its items. It returns whether the batch held the close frame, and whether
// there is more to take: if not, wake will be called when there is again.
func (s *session) wrote(b *batch, err error) (last, more bool) {
	var do effects
	// A hook that queues the next item finds the room. The writer stays busy meanwhile:
	// another one could call the hooks of a later batch first.
	hooks := b.hooks()
	s.mu.Lock()
	s.out.account(b, &do)
	if !hooks {
		s.out.next(&do)
	}
	s.mu.Unlock()
	s.act(&do)
	items := b.items[:b.n]
	for _, it := range items {
		last = last || it.last // before its hook, which may be the end of it
	}
	// The batch goes back to a pool and must not keep the items alive.
	defer clear(items)
	if hooks {
		// One time for the whole batch. A hook that ends this goroutine ends what it has begun
		// too: the client loses its connection.
		s.endpoint().tellAll(items, time.Now(), err, func() { s.finish(ErrClosed) })
		s.mu.Lock()
		s.out.next(&do)
		s.mu.Unlock()
	}
	return last, do.more
}

// ending returns a channel that is closed once messages of the client are not handled
// any more, as isDeaf reports. The goroutine that reads calls it before it waits for
// anything but the client.
func (s *session) ending() <-chan struct{} {
	r := s.more()
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.ending == nil {
		r.ending = make(chan struct{})
		if s.deaf() {
			close(r.ending)
		}
	}
	return r.ending
}

// sayEnding wakes what waits for the end of the session to begin. It is called by
// each step that leads to the end, and does its work once.
func (s *session) sayEnding() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rare == nil || s.rare.ending == nil || !s.deaf() {
		return // ending finds the phase
	}
	select {
	case <-s.rare.ending:
	default:
		close(s.rare.ending)
	}
}

// act carries out the effects that all steps have in common. It blocks for
// nothing, and may be called with a Channel.mu held.
func (s *session) act(do *effects) {
	e := s.endpoint()
	// Negative bytes are those that were written or dropped.
	if moved := do.moved; do.apart || moved != 0 {
		if do.apart {
			moved += do.bytes
		}
		e.apartBytes.Add(int64(moved))
	}
	over := e.queued(do.bytes)
	if do.filled {
		e.queueFull.Add(1)
	}
	if do.drained && (s.mount.resumes || e.delivers.Load()) {
		e.spawn(s.catchUp)
	}
	if do.notify {
		e.spawn(s.notify)
	}
	if do.goOn {
		s.makeRoom()
	}
	if do.closing || do.closed {
		s.sayEnding()
	}
	if len(do.dropped) > 0 {
		e.giveUp(do.dropped, do.reason)
	}
	// Last: shed closes the connection with the longest queue, which can be this one.
	if over {
		e.shed()
	}
}
