// Package mailbox is the queue through which a goroutine that owns state is
// told things: many goroutines post, one takes everything that has arrived in
// a single exchange, so that the cost of the lock is shared by a whole round.
package mailbox

import (
	"slices"
	"sync"
	"time"
)

// Mailbox is an unbounded queue of M with one receiver. What bounds it is the
// protocol that runs over it: a sender posts only what it was given credit for.
// The zero value is not usable; make one with [New], or call [Mailbox.Init]. It must not be
// copied after that.
type Mailbox[M any] struct {
	wake  chan struct{} // holds one token at most, put there for a parked receiver
	timer *time.Timer   // the receiver's, made by the first Wait that needs it

	// mu guards what follows. parked says that the receiver waits and that no
	// token is on its way; the sender that clears it puts the token, which therefore
	// never blocks.
	mu     sync.Mutex
	queue  []M
	poked  bool
	parked bool
	closed bool
}

// New returns an empty mailbox.
func New[M any]() *Mailbox[M] {
	b := new(Mailbox[M])
	b.Init()
	return b
}

// Init makes a mailbox that is a field of another struct an empty one.
func (b *Mailbox[M]) Init() { b.wake = make(chan struct{}, 1) }

// Post appends m. It never blocks, and does nothing and returns false when the
// mailbox is closed.
func (b *Mailbox[M]) Post(m M) bool {
	place := b.Begin()
	if place == nil {
		return false
	}
	*place = m
	b.End()
	return true
}

// Begin appends a zero message and returns it for the caller to fill in: a message of
// several words costs less if it is written where it stays than if it is copied there. The
// mailbox is locked until the caller calls End, which must follow at once. Begin returns nil,
// without a lock, when the mailbox is closed.
func (b *Mailbox[M]) Begin() *M {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	n := len(b.queue)
	if n == cap(b.queue) {
		b.grow()
	}
	b.queue = b.queue[:n+1]
	return &b.queue[n]
}

// grow makes room for a message. It is apart from Begin, which with it would need a stack
// frame of some cache lines.
//
//go:noinline
func (b *Mailbox[M]) grow() { b.queue = slices.Grow(b.queue, 1) }

// End sends the message that Begin has returned.
func (b *Mailbox[M]) End() { b.unlockAndWake() }

// Poke makes the receiver's next Take report poked, however often it is called
// in between. It never blocks.
func (b *Mailbox[M]) Poke() {
	b.mu.Lock()
	if b.closed || b.poked {
		b.mu.Unlock()
		return
	}
	b.poked = true
	b.unlockAndWake()
}

// unlockAndWake unlocks, and wakes the receiver if it is parked: one sender of
// many does.
func (b *Mailbox[M]) unlockAndWake() {
	parked := b.parked
	b.parked = false
	b.mu.Unlock()
	if parked {
		b.wake <- struct{}{}
	}
}

// Take returns everything that has arrived, in order, and reports whether the
// receiver was poked. spent, which the caller has cleared up to its capacity, becomes the
// storage of the new queue. Only the receiver may call Take.
func (b *Mailbox[M]) Take(spent []M) (mails []M, poked bool) {
	b.mu.Lock()
	// Two slices take turns, so a mailbox in steady use allocates nothing.
	mails, b.queue = b.queue, spent[:0]
	poked, b.poked = b.poked, false
	b.mu.Unlock()
	return mails, poked
}

// Wait blocks until something has arrived since the last Take, or until d has
// passed if d is not negative. Only the receiver may call Wait.
func (b *Mailbox[M]) Wait(d time.Duration) {
	b.mu.Lock()
	if len(b.queue) > 0 || b.poked || d == 0 {
		b.mu.Unlock()
		return
	}
	b.parked = true
	b.mu.Unlock()
	if d < 0 {
		<-b.wake
		return
	}
	// A stopped timer has nothing in its channel, so that it can be used again.
	if b.timer == nil {
		b.timer = time.NewTimer(d)
	} else {
		b.timer.Reset(d)
	}
	select {
	case <-b.wake:
		b.timer.Stop()
	case <-b.timer.C:
		b.mu.Lock()
		woken := !b.parked // a sender has taken the flag and its token is on the way
		b.parked = false
		b.mu.Unlock()
		if woken {
			<-b.wake
		}
	}
}

// Closed reports whether posts are refused.
func (b *Mailbox[M]) Closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// Close refuses all further posts and returns the mail that was still queued.
// Closing again returns nothing. It does not wake a receiver in Wait: the receiver
// closes its own mailbox.
func (b *Mailbox[M]) Close() []M {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	rest := b.queue
	b.queue = nil
	return rest
}
