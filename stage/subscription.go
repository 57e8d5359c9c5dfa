package stage

import (
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/receipt"
)

// Subscription is the link between a producer and a consumer. Its methods may
// be called from any goroutine, also from inside a handler, and never block.
type Subscription[T any] struct {
	// Each part begins a cache line. What each batch uses is at the beginning of its part:
	// the memory of thousands of subscriptions does not stay in the caches, and two
	// goroutines that write in the same line take it from each other.

	// The fields up to done are set before any other goroutine sees the subscription, and
	// do not change, except for withdrawn: the positions of deliveries that their source has
	// asked back. The producer replaces it, and the consumer reads it before it starts an
	// event.
	withdrawn atomic.Pointer[spans]
	scrub     bool // handled events are cleared, since they refer to other memory
	asks      bool // the handler asks for all but the first events, and gets what arrived together
	deferred  bool // as asks, and it gives receipts itself
	probed    bool // it is one of package stagetest, which takes receipts one by one
	gathers   bool // the consumer has a HandleFlush, or consumers that may have
	manual    bool // as cfg
	maxDemand int  // as info, as is minDemand
	minDemand int
	up        demandPort[T]
	down      eventPort[T]
	// This is the end of the line.
	info SubscriptionInfo
	cfg  SubscribeConfig
	id   uint64
	done chan struct{}

	reason error // written before done is closed

	// Read and written by both goroutines, and by those that call Settle or Tracked.
	open     atomic.Int64 // deferred: delivered and not yet settled
	ending   atomic.Bool  // deferred: the consumer waits for open to reach 0
	wants    atomic.Bool  // the producer wants receipts for what has arrived
	costs    atomic.Bool  // with their cost
	replaced atomic.Bool  // another subscription took its place
	spans    openSpans    // deferred: of the sampled events that are open

	_ [32]byte

	// Owned by the consumer's goroutine.
	// owed, arrived and received are counts of events; received is also the position of
	// the next event that the handler gets.
	owed       int // asked for and not yet received
	arrived    int // events that came, also those that are queued
	received   uint64
	total      int // events that were handled
	inHand     int // events after them that the handler has now
	handled    int // of them those whose receipt has not been sent
	spent      *batch[T]
	flow       atomic.Uint32 // of its demand; any goroutine may change it, which is rare
	spentCount uint8         // up to spentLimit
	wanted     bool          // as wants
	stalled    bool          // the producer waits for receipts, and has given nothing since it said so
	intake     intakePhase
	// This is the end of the line.
	kept     atomic.Int64 // for any goroutine: demand that is kept back
	scrubbed *batch[T]    // the first of spent when they were scrubbed
	inputs   int          // of a producer-consumer: handled or held, and not finished
	pending  *settled     // receipts of a producer-consumer that were not sent
	bereft   bool         // its producer had stopped before it said goodbye

	_ [24]byte

	// Owned by the producer's goroutine.
	supply     supplyPhase
	tracked    bool  // deliveries are remembered until their receipt has come
	soiled     bool  // spare batches may hold handled events
	spareCount int32 // up to spareLimit
	slot       int   // its number at the dispatcher, while it has one
	acked      int   // receipts that came in order, since the start
	asked      int   // asked for and not yet delivered
	given      int   // delivered since the start
	refused    int   // of them those that came when the consumer had stopped
	out        *batch[T]
	spare      *batch[T]
	// This is the end of the line.
	flights flights[T]
	pressed int   // of given those after which the consumer was told of a stall
	early   error // cancelled before it was accepted
}

// batch is a slice of events on its way from a producer to a consumer and back. One
// goroutine owns it at a time: it passes with the mail that carries it.
type batch[T any] struct {
	events []T
	// The first dirty places of the array may hold events of before; scrub clears them.
	dirty   int  // places of the array that may hold events
	tracked bool // receipts are wanted
	costs   bool // with their cost
	careful bool // a consumer may have died over some of the events: they are handled one by one
	next    *batch[T]
	holes   *holes // nil: nothing was taken out
}

// holes are where events were taken out of a batch that their source has asked back. They
// are apart from the batch, which so has a cache line of its own.
type holes struct {
	gaps  []gap
	swept *spans // what was asked back when they were
}

// demandPort is a producer as its consumers see it. All methods may be called from any
// goroutine and do not block. A post returns false if the producer has stopped.
type demandPort[T any] interface {
	stageName() string
	vertex() *node
	begun() bool // it was started, or stopped before it could be
	postSubscribe(s *Subscription[T]) bool
	postAsk(s *Subscription[T], n int, done int, spent *batch[T], settled *settled) bool
	postCancel(s *Subscription[T], reason error) bool
	postBye(s *Subscription[T], done int, f farewell) bool
	refuses() bool // it has stopped, and takes no post any more
	why() error    // the reason for which it stopped, once a post was refused
}

// eventPort is a consumer as its producers see it, with the same rules.
type eventPort[T any] interface {
	stageID() uint64
	vertex() *node
	postEvents(s *Subscription[T], b *batch[T]) bool
	postEnded(s *Subscription[T], reason error) bool
	postStalled(s *Subscription[T])
	postWithdrawn(s *Subscription[T])
	poke()
}

// Finished is the receipt for one event that a [DeliveryHandler] gives.
type Finished struct {
	// Position is that of the event on its subscription, as counted by
	// Delivery.First.
	Position uint64
	// Err is nil if the event was handled, a *DiscardError if it was dropped on
	// purpose, ErrWithdrawn if it was not started since its source has asked it back,
	// and anything else if handling it failed for good.
	Err error
	// Cost is how long handling it took; 0 if that was not measured. It is used only if
	// [Subscription.Costs] reports true.
	Cost time.Duration
}

// FinishedRun is the receipt for a run of events that ended alike, as a [DeliveryHandler]
// gives it with [Subscription.SettleRuns].
type FinishedRun struct {
	// First is the position of the first event of the run, and Count their number, 1 or
	// more.
	First uint64
	Count int
	// Err is as in Finished.
	Err error
}

// settled are receipts on their way to the producer: those of a consumer one by one, those
// of a producer-consumer as runs. The receiver returns it to settledPool.
type settled struct {
	list []Finished
	runs []finishedRun
}

var settledPool = sync.Pool{New: func() any { return new(settled) }}

// Tracked reports whether the producer wants a receipt for each event that
// arrives from now on. It may become true later: receipts are wanted as soon as
// an event arrives for which a source further up wants one, and as soon as one arrives
// whose span lasts until its receipt.
func (s *Subscription[T]) Tracked() bool { return s.wants.Load() || s.spans.used.Load() }

// Costs reports whether the producer's dispatcher uses Finished.Cost. It is false until
// Tracked reports true.
func (s *Subscription[T]) Costs() bool { return s.costs.Load() }

// finishInputs notes the end of n inputs of a producer-consumer, from a position on. It
// runs on the consumer's goroutine, which sends what was noted at the end of the round.
// Inputs that end alike one after the other become one run.
func (s *Subscription[T]) finishInputs(position uint64, n int, outcome receipt.Outcome, reason receipt.Reason) {
	s.inputs -= n
	if s.intake == intakeOver {
		return
	}
	// The list is taken by takePending when the next mail goes to the producer.
	if s.pending == nil {
		s.pending = settledPool.Get().(*settled)
	}
	runs := s.pending.runs
	if last := len(runs) - 1; last >= 0 {
		r := &runs[last]
		if r.position+uint64(r.n) == position && r.outcome == outcome && r.reason == reason {
			r.n += n
			return
		}
	}
	s.pending.runs = append(runs, finishedRun{position: position, n: n, outcome: outcome, reason: reason})
}

// takePending returns the receipts that were not sent, or nil.
func (s *Subscription[T]) takePending() *settled {
	list := s.pending
	s.pending = nil
	return list
}

// Info describes the subscription.
func (s *Subscription[T]) Info() SubscriptionInfo { return s.info }

// Ask asks the producer for n more events, in addition to those asked for before;
// the sum saturates. It is for subscriptions with Manual set and for those of a
// [TransformDeliveryHandler]; otherwise, and for an n below 1, it returns an
// *OptionError. Asking before the producer has received
// the subscription counts; asking after the end does nothing.
func (s *Subscription[T]) Ask(n int) error {
	if !s.manual && (!s.asks || s.deferred) {
		return ownerOf(s.info.Consumer).Refuse("Ask", n, "left alone unless Manual is set")
	}
	// An Ask for nothing would hide a mistake in the caller's arithmetic.
	if n < 1 {
		return ownerOf(s.info.Consumer).Refuse("Ask", n, "1 or more")
	}
	if n = s.passOn(n); n > 0 {
		s.up.postAsk(s, n, 0, nil, nil)
	}
	return nil
}

// Settle gives receipts for events that a [DeliveryHandler] got, in any order,
// and asks for n more events, n ≥ 0. The slice may be reused afterwards. Each
// position must be settled exactly once.
func (s *Subscription[T]) Settle(n int, finished ...Finished) {
	if s.spans.n.Load() > 0 {
		for _, f := range finished {
			s.endSpans(f.Position, 1, f.Err)
		}
	}
	var list *settled
	if len(finished) > 0 && s.wants.Load() {
		list = settledPool.Get().(*settled)
		list.list = append(list.list[:0], finished...)
	}
	s.settle(n, len(finished), list)
}

// SettleRuns is as [Subscription.Settle] for whole runs of events, which cost as much as
// one.
func (s *Subscription[T]) SettleRuns(n int, finished ...FinishedRun) {
	var list *settled
	if len(finished) > 0 && s.wants.Load() {
		list = settledPool.Get().(*settled)
	}
	count := 0
	for _, f := range finished {
		count += f.Count
		if s.spans.n.Load() > 0 {
			s.endSpans(f.First, f.Count, f.Err)
		}
		switch {
		case list == nil:
		case s.probed:
			for i := range f.Count {
				list.list = append(list.list, Finished{Position: f.First + uint64(i), Err: f.Err})
			}
		default:
			outcome, reason := outcomeOf(f.Err)
			list.runs = append(list.runs, finishedRun{position: f.First, n: f.Count, outcome: outcome, reason: reason})
		}
	}
	s.settle(n, count, list)
}

// settle asks for n more events, and passes on the receipts for count events. list is nil if
// the producer wants none.
func (s *Subscription[T]) settle(n, count int, list *settled) {
	if n = s.passOn(n); list != nil || n > 0 {
		s.up.postAsk(s, n, 0, nil, list)
	}
	if count > 0 && s.open.Add(-int64(count)) == 0 && s.ending.Load() {
		s.down.poke()
	}
}

// Cancel ends the subscription. The producer sends nothing more once it has
// received the request; events that it has sent are still handled. A nil reason
// means ErrCancelled. Cancelling again, or after the end, does nothing.
func (s *Subscription[T]) Cancel(reason error) {
	// ErrCancelled is a failure to a transient consumer, as Normal reports.
	if reason == nil {
		reason = ErrCancelled
	}
	if !s.up.postCancel(s, reason) || !s.up.begun() {
		// The producer has stopped and does not reply, or has not been started:
		// what is in its mailbox then gives it the subscription and its end
		// together.
		s.down.postEnded(s, reason)
	}
}

// Done is closed when the subscription has ended and its consumer has handled every
// event that came on it.
func (s *Subscription[T]) Done() <-chan struct{} { return s.done }

// Err returns the reason for which the subscription ended, nil while it has not.
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
	if s.intake == intakeOver {
		return
	}
	s.intake = intakeOver
	s.reason = reason
	s.spans.abandon()
	s.down.vertex().unlink(s.up.vertex())
	close(s.done)
}

// farewell describes what became of the events that have arrived. If the consumer has
// failed, it may have done so over those in its hands.
//
// For a deferred subscription the count of open receipts may include some that are on
// their way: their mail is older than the farewell and arrives before it.
func (s *Subscription[T]) farewell(reason error, failed bool) farewell {
	f := farewell{handled: s.total, reason: reason}
	if s.deferred {
		f.handled = int(s.received) - int(s.open.Load())
	}
	switch {
	case !failed:
	case s.deferred:
		f.to = s.received // any of those without a receipt
	default:
		f.from, f.to = uint64(s.total), uint64(s.total+s.inHand)
	}
	return f
}

// addAsked adds to what may be delivered. The sum saturates, so that a consumer which asks
// for "all" twice does not overflow it.
func (s *Subscription[T]) addAsked(n int) {
	if s.asked > math.MaxInt-n {
		s.asked = math.MaxInt
		return
	}
	s.asked += n
}

// recycle takes emptied batches back for later deliveries. It runs on the producer's
// goroutine. More than keep are left to the garbage collector.
func (s *Subscription[T]) recycle(chain *batch[T]) {
	const spareLimit = 64 // a consumer returns at most spentLimit at a time
	for b := chain; b != nil; {
		next := b.next
		if s.spareCount < spareLimit {
			// The consumer may have kept the events in the array; scrub clears them later.
			b.dirty = max(b.dirty, len(b.events))
			b.events = b.events[:0]
			b.next = s.spare
			s.spare = b
			s.spareCount++
		}
		b = next
	}
}

// outcomeOf translates a receipt's error. Between stages the reason of Failed is the text of
// the error.
func outcomeOf(err error) (receipt.Outcome, receipt.Reason) {
	switch err {
	case nil:
		return receipt.Done, ""
	case ErrWithdrawn:
		return receipt.Withdrawn, ""
	}
	var discard *DiscardError
	if errors.As(err, &discard) {
		return receipt.Discarded, discard.Reason
	}
	return receipt.Failed, receipt.Reason(textOf(err))
}

// maxErrorText bounds [Receipt.Error].
const maxErrorText = 1024

// textOf returns the beginning of an error's text. The error is the program's, and may panic.
func textOf(err error) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = "an error whose method Error panics"
		}
	}()
	text = err.Error()
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "")
	}
	return text
}
