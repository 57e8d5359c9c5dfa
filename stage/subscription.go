package stage

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/receipt"
)

// Subscription is the link between a producer and a consumer. Its methods may
// be called from any goroutine, also from inside a handler, and never block.
type Subscription[T any] struct {
	info     SubscriptionInfo
	cfg      SubscribeConfig
	tracked  bool // the producer wants receipts
	deferred bool // the consumer gives demand and receipts itself
	up       demandPort[T]
	down     eventPort[T]
	done     chan struct{}
	reason   error // written before done is closed

	open     atomic.Int64 // deferred: delivered and not yet settled
	ending   atomic.Bool  // deferred: the consumer waits for open to reach 0
	replaced atomic.Bool  // another subscription took its place

	// Owned by the consumer's goroutine.
	owed       int // asked for and not yet received
	received   uint64
	total      int // events that were handled
	handled    int // of them those whose receipt has not been sent
	spent      *batch[T]
	spentCount int
	ended      bool // the producer has said that it is over
	over       bool // everything that came on it was handled

	_ [64]byte // the two halves are written by different goroutines

	// Owned by the producer's goroutine.
	slot       int // -1 before it was accepted and after it was given up
	gone       bool
	active     bool
	early      error // cancelled before it was accepted
	asked      int   // asked for and not yet delivered
	given      int   // delivered since the start
	out        *batch[T]
	spare      *batch[T]
	spareCount int
	flights    flights[T]
}

// batch is a slice of events on its way from a producer to a consumer and back.
type batch[T any] struct {
	events []T
	next   *batch[T]
}

// demandPort is a producer as its consumers see it, eventPort the reverse.
type demandPort[T any] interface {
	stageName() string
	vertex() *node
	begun() bool // it was started, or stopped before it could be
	tracks() bool
	postSubscribe(s *Subscription[T]) bool
	postAsk(s *Subscription[T], n int, done int, spent *batch[T], settled *settled) bool
	postCancel(s *Subscription[T], reason error) bool
	postBye(s *Subscription[T], total, done int, reason error) bool
	why() error // the reason for which it stopped, once a post was refused
}

type eventPort[T any] interface {
	stageID() uint64
	vertex() *node
	postEvents(s *Subscription[T], b *batch[T]) bool
	postEnded(s *Subscription[T], reason error) bool
	poke()
}

// Finished is the receipt for one event that a [DeliveryHandler] gives.
type Finished struct {
	// Position is that of the event on its subscription, as counted by
	// Delivery.First.
	Position uint64
	// Err is nil if the event was handled, a *DiscardError if it was dropped on
	// purpose, and anything else if handling it failed for good.
	Err error
	// Cost is how long handling it took; 0 if that was not measured.
	Cost time.Duration
}

// settled is a list of receipts on its way to the producer.
type settled struct{ list []Finished }

var settledPool = sync.Pool{New: func() any { return new(settled) }}

// Tracked says whether the producer wants a receipt for each event.
func (s *Subscription[T]) Tracked() bool { return s.tracked }

// Info describes the subscription.
func (s *Subscription[T]) Info() SubscriptionInfo { return s.info }

// Ask asks the producer for n events more, on top of what was asked for before;
// the sum saturates. It is for subscriptions with Manual set, otherwise an
// *OptionError is answered, as it is for an n below 1. Asking before the
// producer has heard of the subscription counts; asking after the end does
// nothing.
func (s *Subscription[T]) Ask(n int) error {
	if !s.cfg.Manual {
		return ownerOf(s.info.Consumer).Refuse("Ask", n, "left alone unless Manual is set")
	}
	if n < 1 {
		return ownerOf(s.info.Consumer).Refuse("Ask", n, "1 or more")
	}
	s.up.postAsk(s, n, 0, nil, nil)
	return nil
}

// Settle gives receipts for events that a [DeliveryHandler] got, in any order,
// and asks for n events more, n ≥ 0. The slice may be reused afterwards. Each
// position must be settled exactly once.
func (s *Subscription[T]) Settle(n int, finished ...Finished) {
	if s.tracked || n > 0 {
		var list *settled
		if s.tracked && len(finished) > 0 {
			list = settledPool.Get().(*settled)
			list.list = append(list.list[:0], finished...)
		}
		if list != nil || n > 0 {
			s.up.postAsk(s, n, 0, nil, list)
		}
	}
	if len(finished) > 0 && s.open.Add(-int64(len(finished))) == 0 && s.ending.Load() {
		s.down.poke()
	}
}

// Cancel ends the subscription. The producer sends nothing more once it has
// heard of it; what is on the way already is still handled. A nil reason means
// ErrCancelled. Cancelling again, or after the end, does nothing.
func (s *Subscription[T]) Cancel(reason error) {
	if reason == nil {
		reason = ErrCancelled
	}
	if !s.up.postCancel(s, reason) || !s.up.begun() {
		// The producer has stopped and does not reply, or has not been started: what
		// is in its mailbox then gives it the subscription and its end together.
		s.down.postEnded(s, reason)
	}
}

// Done is closed when the consumer has heard that the subscription ended and
// has handled everything that came on it.
func (s *Subscription[T]) Done() <-chan struct{} { return s.done }

// Err answers the reason for which the subscription ended, nil while it has
// not.
func (s *Subscription[T]) Err() error {
	select {
	case <-s.done:
		return s.reason
	default:
		return nil
	}
}

// finish records the end on the consumer's side, once.
func (s *Subscription[T]) finish(reason error) {
	if s.over {
		return
	}
	s.over = true
	s.reason = reason
	s.down.vertex().unlink(s.up.vertex())
	close(s.done)
}

// sum is how many of the events that came were finished.
func (s *Subscription[T]) sum() int {
	if s.deferred {
		return int(s.received) - int(s.open.Load())
	}
	return s.total
}

// addAsked adds to what may be delivered and saturates.
func (s *Subscription[T]) addAsked(n int) {
	if s.asked > math.MaxInt-n {
		s.asked = math.MaxInt
		return
	}
	s.asked += n
}

// recycle takes emptied batches back for later deliveries.
func (s *Subscription[T]) recycle(chain *batch[T]) {
	const keep = 64 // a consumer returns at most spentLimit at a time
	for b := chain; b != nil; {
		next := b.next
		if s.spareCount < keep {
			b.events = b.events[:0]
			b.next = s.spare
			s.spare = b
			s.spareCount++
		}
		b = next
	}
}

// outcomeOf translates a receipt's error.
func outcomeOf(err error) (receipt.Outcome, receipt.Reason) {
	if err == nil {
		return receipt.Done, ""
	}
	var discard *DiscardError
	if errors.As(err, &discard) {
		return receipt.Discarded, discard.Reason
	}
	return receipt.Failed, ""
}
