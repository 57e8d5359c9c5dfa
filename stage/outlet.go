package stage

import (
	"errors"
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/receipt"
)

// outlet is the producing side of a stage: its dispatcher, its buffer and its
// subscriptions. All of it belongs to the stage's goroutine, including the calls of the
// dispatcher.
//
// An emitted event has a sequence number and is in exactly one place: in the emitter, in
// the buffer, held by the dispatcher, or in flight to subscribers, until it is finished or
// discarded.
type outlet[T any] struct {
	stage string
	disp  dispatcher.Dispatcher[T]
	// These are disp again, as the optional interfaces that it implements; nil if it does
	// not.
	holder     dispatcher.Holder[T]
	timed      dispatcher.Timed
	taker      dispatcher.ReceiptTaker[T]
	doneTaker  dispatcher.DoneTaker  // taker again
	demand     *dispatcher.Demand[T] // disp if it is one itself: a type that embeds one may do other things
	staller    dispatcher.Staller
	returner   dispatcher.Returner[T]
	orphans    dispatcher.Orphanage[T]
	parking    dispatcher.Parking[T]
	misuses    dispatcher.MisuseCounter
	withdrawer dispatcher.Withdrawer[T]
	costs      bool     // taker wants the cost of each delivery
	sourced    bool     // the handler wants receipts
	lineage    ancestry // of a producer-consumer whose inputs want receipts
	descend    func()   // takes what a handler has said of its inputs
	silent     bool     // it must get no more of them
	discarded  func(T, receipt.Reason)
	orphaned   func(T) // ProducerConfig.Abandoned
	epoch      time.Time

	// live counts the subscriptions that are in a slot, leaving ones included.
	subs []*Subscription[T] // by slot; nil is free
	free []int
	live int
	// gatherers counts those of them whose consumers may gather events.
	gatherers int
	pressing  bool               // a stall was reported, and not its end
	touched   []*Subscription[T] // with a batch that was not sent yet
	emit      Emitter[T]
	soiled    []*Subscription[T] // with spare batches that may hold handled events
	emission  emission[T]
	buf       buffer[T]
	nextSeq   uint64
	portion   int                 // what the handler is asked for at once
	told      int                 // demand that the handler was asked for and still owes
	changed   bool                // the dispatcher was called since its last Dispatch
	eager     bool                // a producer-consumer handles events without demand
	paused    bool                // demand and events accumulate
	awaiting  bool                // a pin waits for events that the dispatcher holds
	gone      map[uint64]struct{} // those that have left since
	bereft    map[*node]bool      // subscribers that were lost, with which the pipeline ends
	pins      ring.Ring[pin]
	rejects   []rejection[T]
	fault     error

	// These describe the Dispatch that is running.
	offer     dispatcher.Offer[T]
	swappable bool             // the current offer is the emitter's own slice
	whole     *Subscription[T] // given all of it and nothing else happened

	receipts []Receipt               // for the handler, at the end of the round
	scratch  []dispatcher.Receipt[T] // for the dispatcher
	done     []dispatcher.Done       // these come before scratch
	tracking int                     // live subscriptions that are tracked
	shared   sharing                 // events that were given more than once
	again    map[uint64]int          // how often events were returned over which a consumer died

	// The counts are since the start. At the end: emitted = delivered + lost + withdrawn.
	emitted    int64
	withdrawn  int64 // events that went back to the source
	delivered  int64 // events that were given to at least one subscriber
	deliveries int64 // copies of them that were given
	abandoned  int64 // deliveries whose consumer died before it had handled them
	discards   int64
	lost       map[receipt.Reason]int64
	losses     losses // what of this was logged
	traces     outTraces[T]
	wait       waitState // what the log says of events that wait
	log        *slog.Logger
}

// newOutlet makes the producing side. sourced says that the handler wants receipts; size
// bounds the buffer, in events.
func newOutlet[T any](name string, cfg ProducerConfig[T], sourced bool, size int) *outlet[T] {
	o := &outlet[T]{
		stage: name, disp: cfg.Dispatcher, sourced: sourced, discarded: cfg.Discarded, orphaned: cfg.Abandoned,
		lost: make(map[receipt.Reason]int64), losses: newLosses(), epoch: time.Now(),
	}
	if o.disp == nil {
		o.disp = dispatcher.NewDemand[T]()
	}
	o.paused, o.eager = cfg.Demand == Accumulate, cfg.Eager
	o.emit.scrub = hasPointers[T]()
	o.holder, _ = o.disp.(dispatcher.Holder[T])
	o.returner, _ = o.disp.(dispatcher.Returner[T])
	o.orphans, _ = o.disp.(dispatcher.Orphanage[T])
	o.parking, _ = o.disp.(dispatcher.Parking[T])
	o.misuses, _ = o.disp.(dispatcher.MisuseCounter)
	o.withdrawer, _ = o.disp.(dispatcher.Withdrawer[T])
	o.timed, _ = o.disp.(dispatcher.Timed)
	if o.taker, _ = o.disp.(dispatcher.ReceiptTaker[T]); o.taker != nil {
		o.doneTaker, _ = o.disp.(dispatcher.DoneTaker)
	}
	o.costs = o.taker != nil
	if c, ok := o.disp.(dispatcher.Costed); ok && !c.Costs() {
		o.costs = false
	}
	o.demand, _ = o.disp.(*dispatcher.Demand[T])
	o.staller = stallerOf(o.disp)
	o.buf.limit, o.buf.keep = size, cfg.Keep
	o.portion = minPortion
	return o
}

// now is the dispatcher's clock, in nanoseconds since the stage was made. It is not read
// for a dispatcher that has no deadlines.
func (o *outlet[T]) now() int64 {
	if o.timed == nil {
		return 0
	}
	return int64(time.Since(o.epoch))
}

// want is the demand that the handler must still be asked for: what subscribers have asked
// for, less what the handler already owes and what is buffered.
func (o *outlet[T]) want() int {
	if o.paused {
		return 0
	}
	n := o.disp.Demand() - o.told - o.buf.len()
	return max(n, 0)
}

// room reports whether a producer-consumer may handle queued batches.
func (o *outlet[T]) room() bool {
	return !o.paused && (o.eager || o.disp.Demand() > o.buf.len())
}

// held is the number of events emitted and neither delivered nor discarded.
func (o *outlet[T]) held() int {
	n := o.buf.len()
	if o.holder != nil {
		n += o.holder.Held()
	}
	return n
}

// abandonOrphans discards events that wait for subscribers that have left and will
// not be replaced. Their source gets no receipt: they are not done.
func (o *outlet[T]) abandonOrphans() {
	// Only a dispatcher that holds events can have orphans.
	if o.orphans == nil || o.holder == nil || o.holder.Held() == 0 {
		return
	}
	before := o.discards
	o.silent = true
	o.orphans.DiscardOrphans(o, receipt.Stopped)
	o.silent = false
	o.changed = o.changed || o.discards > before
}

// abandonParked discards events that are kept back until the program releases them,
// and reports whether there were any. Their source gets no receipt: they are not
// done.
func (o *outlet[T]) abandonParked() bool {
	if o.parking == nil || o.mayReturn() {
		return false
	}
	before := o.discards
	o.silent = true
	o.parking.DiscardParked(o)
	o.silent = false
	return o.discards > before
}

// serve hands out the buffered events, then the emitted ones, and sends them. The origins
// that a handler has named are entered first, while their places in the emitter hold.
// Nothing may be delivered before that: its receipt would find no input.
func (o *outlet[T]) serve() {
	if o.demand != nil && o.emit.Len() > 0 && o.serveWhole() {
		return
	}
	before, emitted := o.deliveries, o.emitted
	if o.emit.told() {
		o.descend()
	}
	if o.buf.len() > 0 {
		o.serveBuffer()
	}
	if o.emit.Len() > 0 {
		o.serveEmission()
	} else if o.changed && o.holder != nil && !o.paused {
		o.dispatch(nil, o.nextSeq, false)
	}
	if len(o.touched) > 0 {
		o.size(int64(len(o.touched)), o.deliveries-before, o.emitted-emitted)
		o.flush()
	}
}

// stirs reports whether serve, or what follows it in produce, has anything to do for a stage
// whose handler is not asked for events.
func (o *outlet[T]) stirs() bool {
	return o.changed || o.emit.Len() > 0 || o.emit.told() || o.buf.len() > 0 ||
		len(o.receipts) > 0 || len(o.rejects) > 0 || o.pins.Len() > 0 || o.fault != nil
}

// size adapts the portion to what each of n subscribers has got of the last one.
func (o *outlet[T]) size(n, given, emitted int64) {
	switch {
	// Less than half a portion was not held up by it.
	case n > 1 && given <= thinBatch*n && 2*emitted >= int64(o.portion):
		o.portion = min(2*o.portion, maxPortion)
	case o.portion > minPortion && given > 4*thinBatch*n:
		o.portion = max(o.portion/2, minPortion)
	}
}

// serveBuffer offers the buffered events, run by run, until the dispatcher takes fewer
// than it was offered. It then waits for demand.
func (o *outlet[T]) serveBuffer() {
	for o.buf.len() > 0 && !o.paused {
		run, first := o.buf.front()
		n := o.dispatch(run, first, false)
		o.buf.drop(n)
		if n < len(run) {
			break
		}
	}
}

// dispatch offers events, the first of which has the number first, and returns how many
// the dispatcher took from the front. swappable is set if events is the emitter's own
// slice, which a single subscriber may get without a copy. Afterwards it checks that every
// event taken was given, is held or was discarded.
func (o *outlet[T]) dispatch(events []T, first uint64, swappable bool) int {
	o.changed = false
	// The fields are set one by one, and the dispatcher gets what is in registers: a struct
	// that is copied right after its fields were written waits for these to reach the cache.
	offer := dispatcher.Offer[T]{Events: events, First: first, Now: o.now()}
	o.offer.Events, o.offer.First, o.offer.Now = events, first, offer.Now
	o.swappable = swappable
	deliveries, left := o.deliveries, o.discards
	if o.holder != nil {
		left += int64(o.holder.Held())
	}
	o.emission.marks.begin(swappable)
	// The dispatcher may panic here. The marks then say what it has done so far.
	n := o.disp.Dispatch(offer, o)
	// The Dispatch has returned: from here on the counts say all.
	o.emission.marks.active = false
	// Only if a callback has emitted nothing meanwhile: that would be in the slice too.
	if s := o.whole; s != nil && len(o.emit.buf) == len(events) {
		// The subscriber gets the slice that the handler filled, and the slice
		// of an emptied batch is filled next.
		o.whole = nil
		b := o.batchFor(s)
		b.events, o.emit.buf = o.emit.buf, b.events[:0]
		b.dirty, o.emit.dirty = o.emit.dirty, b.dirty
		o.emission.swapped = true
	}
	o.copyWhole()
	// A wrong count would lose events or deliver them twice. The stage stops for it.
	if n < 0 || n > len(events) {
		o.fail(errors.New("dispatcher took more than it was offered"))
		n = len(events)
	}
	// Events that were taken and are not held or discarded have been given.
	left += int64(n) - o.discards
	if o.holder != nil {
		left -= int64(o.holder.Held())
	}
	o.delivered += left
	if left < 0 || left > o.deliveries-deliveries {
		// An event was neither given, held nor discarded, or one was counted twice.
		o.fail(errors.New("dispatcher lost events"))
	}
	if len(o.shared.given) > 0 {
		o.shared.dispatched(first, len(events))
	}
	return n
}
