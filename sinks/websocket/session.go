package websocket

import (
	"runtime"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// transport is what a session needs of the way to its client.
type transport interface {
	// wake tells that there is something in the outbox and that nobody takes it.
	// It must not block; whoever takes goes on until take answers false. free
	// tells that the caller holds no lock, so that it may be made to write.
	wake(free bool)
	// hangUp tells that the session closes: the close frame is in the outbox.
	hangUp()
	// abort ends the transport at once.
	abort()
}

// The states of a session.
const (
	open    = iota
	closing // the close frame is queued or sent; nothing else goes out
	closed
)

// session is one connection, whatever its transport: the socket's state, its
// channels and its outbound queue.
//
// Lock order: Channel.mu before session.mu. No lock is held while a hook, a
// handler or the transport's writing runs.
type session struct {
	mount   *mount
	state   any // changed by the goroutine that reads, under the mutex
	id      string
	idSub   *pubsub.Subscription
	tr      transport
	version codec.Version
	// textOnly: binary messages cannot be sent, as over long polling.
	textOnly bool

	prev, next *session // guarded by registry.mu

	due  time.Time    // of the next frame; owned by the goroutine that reads
	rare *rareSession // made by the goroutine that reads, under the mutex

	mu       sync.Mutex
	phase    uint8
	writing  bool // somebody takes from the outbox
	full     bool // over the high mark, until below the low one
	told     bool // what the application was told about full
	telling  bool
	out      outbox
	channels []*Channel
	ended    error // why, once phase is not open
}

func (s *session) endpoint() *Endpoint { return s.mount.endpoint }

// send puts a wire into the outbox, as put says, and sees to it that it is
// written. No lock may be held.
func (s *session) send(it *item) error {
	wake, err := s.put(it)
	if wake {
		s.tr.wake(true)
	}
	return err
}

// enqueue is send for who holds a Channel.mu.
func (s *session) enqueue(it *item) error {
	wake, err := s.put(it)
	if wake {
		s.tr.wake(false)
	}
	return err
}

// put puts a wire into the outbox. If wake is true the caller must call the
// transport's wake. If it answers an error, the hook of that wire is for the
// caller to call. Wires of one goroutine keep their order. It may be called with
// a Channel.mu held: hooks of other wires that have to give way are therefore
// called in a goroutine of their own.
func (s *session) put(it *item) (wake bool, err error) {
	e := s.endpoint()
	q := &s.mount.config.Queue
	if s.textOnly && isBinary(it.wire) {
		return false, ErrNoBinary
	}
	s.mu.Lock()
	if s.phase != open {
		s.mu.Unlock()
		return false, ErrClosed
	}
	if it.key != "" {
		if old := s.out.replace(it); old != nil {
			s.mu.Unlock()
			e.queued(len(it.wire) - len(old.wire))
			e.giveUp([]*item{old}, ErrConflated)
			return false, nil
		}
	}
	var gone []*item
	frames, bytes := q.Events, q.Bytes
	if it.control {
		frames, bytes = 2*frames, 2*bytes
	}
	for s.out.frames >= frames || s.out.bytes+len(it.wire) > bytes {
		if it.policy == DropOldest && !it.control {
			if old := s.out.giveUpOldest(); old != nil {
				e.queued(-len(old.wire))
				gone = append(gone, old)
				continue
			}
		}
		if it.policy == waits {
			if s.out.frames == 0 {
				break // longer than the whole queue: alone it may
			}
			if !s.full {
				s.setFull(true) // so that the room it waits for will be told
			}
			s.mu.Unlock()
			return false, ErrQueueFull
		}
		s.mu.Unlock()
		e.giveUp(gone, ErrQueueFull)
		if it.control || it.policy == CloseSlow {
			e.spawn(func() { s.close(tryAgainLater, ErrQueueFull, false) })
		}
		if !it.control {
			e.discarded[discardedQueueFull].Add(1)
		}
		return false, ErrQueueFull
	}
	s.out.push(it)
	if !s.full && (s.out.frames > q.Events*3/4 || s.out.bytes > q.Bytes/4*3) {
		s.setFull(true)
	}
	wake = !s.writing
	s.writing = true
	s.mu.Unlock()
	over := e.queued(len(it.wire))
	if len(gone) > 0 {
		e.giveUp(gone, ErrQueueFull)
	}
	if over {
		e.shed()
	}
	return wake, nil
}

// tryAgainLater is the close code for a client that was too slow.
const tryAgainLater ws.StatusCode = 1013

// take gives the next batch to the transport; false means that there is
// nothing, and that wake will be called when there is again.
func (s *session) take(b *batch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == closed || s.out.waiting() == 0 {
		s.out.release()
		s.writing = false
		return false
	}
	s.out.take(b)
	return true
}

// wrote tells that the batch was written, or why not. It answers whether the
// close frame was in it, and whether there is more to take: if not, wake will
// be called when there is again.
func (s *session) wrote(b *batch, err error) (last, more bool) {
	q := &s.mount.config.Queue
	s.mu.Lock()
	s.out.frames -= b.n
	s.out.bytes -= b.bytes
	if s.full && s.out.frames < q.Events/2+q.Events%2 && s.out.bytes < q.Bytes/2 {
		s.setFull(false)
	}
	if more = s.phase != closed && s.out.waiting() > 0; !more {
		s.out.release()
		s.writing = false
	}
	s.mu.Unlock()
	s.endpoint().queued(-b.bytes)
	var at time.Time
	for i := range b.n {
		it := b.items[i]
		if it.written != nil {
			if at.IsZero() {
				at = time.Now()
			}
			s.endpoint().tell(it, at, err)
		}
		last = last || it.last
		b.items[i] = nil
	}
	return last, more
}

// setFull notes whether the queue is full and sees to it that the application
// hears of it. The mutex is held.
func (s *session) setFull(full bool) {
	s.full = full
	if full {
		s.endpoint().queueFull.Add(1)
	} else if s.mount.resumes && s.phase == open {
		s.endpoint().spawn(s.catchUp)
	}
	k := &s.mount.kind
	if s.telling || s.full == s.told || (k.full == nil && k.drained == nil) {
		return
	}
	s.telling = true
	s.endpoint().spawn(s.tellFull)
}

// tellFull calls QueueFull and QueueDrained in turn until the application knows
// the present state. There is one for a session at a time: so the calls never
// overlap, and the last one is the truth.
func (s *session) tellFull() {
	for {
		s.mu.Lock()
		if s.full == s.told {
			s.telling = false
			s.mu.Unlock()
			return
		}
		full, state := s.full, s.state
		s.told = full
		s.mu.Unlock()
		f := s.mount.kind.drained
		if full {
			f = s.mount.kind.full
		}
		if f != nil {
			s.endpoint().guard("queue callback", func() { f(state) })
		}
	}
}

// close begins the end of the session: the channels end with reason, nothing
// more is queued, and the close frame goes out after what waits, or instead
// of it if flush is false.
func (s *session) close(code ws.StatusCode, reason error, flush bool) {
	s.mu.Lock()
	if s.phase != open {
		s.mu.Unlock()
		return
	}
	s.phase, s.ended = closing, reason
	var gone []*item
	if !flush {
		gone = s.drop()
	}
	last := &item{wire: closeWire(code), control: true, last: true}
	s.out.push(last)
	wake := !s.writing
	s.writing = true
	s.mu.Unlock()
	s.endpoint().queued(len(last.wire))
	if wake {
		s.tr.wake(true)
	}
	s.tr.hangUp()
	s.endpoint().giveUp(gone, reason)
	s.endChannels(reason)
}

// finish ends the session at once. It is idempotent.
func (s *session) finish(reason error) {
	s.mu.Lock()
	if s.phase == closed {
		s.mu.Unlock()
		return
	}
	if s.phase == open {
		s.ended = reason
	}
	s.phase = closed
	reason = s.ended
	s.unwatch()
	gone := s.drop()
	if s.full {
		s.setFull(false)
	}
	s.mu.Unlock()
	s.tr.abort()
	s.idSub.Unsubscribe()
	s.endpoint().giveUp(gone, ErrClosed)
	s.endChannels(reason)
}

// drop empties the outbox. The mutex is held.
func (s *session) drop() []*item {
	gone, bytes := s.out.drop()
	s.endpoint().queued(-bytes)
	return gone
}

func (s *session) endChannels(reason error) {
	s.mu.Lock()
	channels := append([]*Channel(nil), s.channels...)
	s.mu.Unlock()
	for _, ch := range channels {
		ch.end(reason)
	}
}

// Deliver receives the broadcasts on the topic of the socket's id.
func (s *session) Deliver(m *pubsub.Message) bool {
	if m.Event != eventDisconnect {
		return false
	}
	s.close(ws.StatusGoingAway, ErrDisconnected, true)
	return true
}

// begin makes the session reachable by its id, and bounds its time.
func (s *session) begin(until time.Time) {
	s.watch(until)
	if s.id == "" {
		return
	}
	sub, err := s.endpoint().hub.Subscribe(s.id, s)
	if err != nil {
		return // the hub is closed: nobody can broadcast to the id either
	}
	s.idSub = sub
}

// queued adds to the bytes that wait in all queues and answers whether there
// are more than allowed.
func (e *Endpoint) queued(bytes int) bool {
	return e.queuedBytes.Add(int64(bytes)) > e.config.MaxQueuedBytes && bytes > 0
}

// shed closes the connection with the longest queue. Who queues so much that
// this does not keep up gives way to it.
func (e *Endpoint) shed() {
	if e.queuedBytes.Load() > 2*e.config.MaxQueuedBytes {
		defer runtime.Gosched()
	}
	if !e.shedding.CompareAndSwap(false, true) {
		return
	}
	e.spawn(func() {
		defer e.shedding.Store(false)
		for e.queuedBytes.Load() > e.config.MaxQueuedBytes {
			var longest *session
			most := 0
			for _, s := range e.registry.all() {
				s.mu.Lock()
				if s.phase == open && s.out.bytes > most {
					longest, most = s, s.out.bytes
				}
				s.mu.Unlock()
			}
			if longest == nil {
				return
			}
			longest.close(tryAgainLater, ErrQueueFull, false)
		}
	})
}

// giveUp tells the hooks of wires that will never be written.
func (e *Endpoint) giveUp(gone []*item, reason error) {
	hooks := 0
	for i := range gone {
		if !gone[i].control {
			e.discardedFor(reason).Add(1)
		}
		if gone[i].written != nil {
			hooks++
		}
	}
	if hooks == 0 {
		return
	}
	e.spawn(func() {
		at := time.Now()
		for i := range gone {
			e.tell(gone[i], at, reason)
		}
	})
}

// tell calls the hook of an item, which is never called again.
func (e *Endpoint) tell(it *item, at time.Time, err error) {
	if it.written == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			crash := crashOf(v)
			e.log.Error("written hook crashed", "error", crash.Err, "stack", string(crash.Stack))
		}
	}()
	it.written(at, err)
}

func (e *Endpoint) discardedFor(reason error) metrics.Counter {
	switch reason {
	case ErrQueueFull:
		return e.discarded[discardedQueueFull]
	case ErrConflated:
		return e.discarded[discardedConflated]
	}
	return e.discarded[discardedClosed]
}

// spawn runs f in a goroutine that Shutdown waits for.
func (e *Endpoint) spawn(f func()) {
	e.work.add()
	go func() {
		defer e.work.done()
		f()
	}()
}

// guard runs a callback of the application, whose panic is logged.
func (e *Endpoint) guard(what string, f func()) {
	defer func() {
		if v := recover(); v != nil {
			crash := crashOf(v)
			e.log.Error(what+" crashed", "error", crash.Err, "stack", string(crash.Stack))
		}
	}()
	f()
}
