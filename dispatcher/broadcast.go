package dispatcher

import (
	"errors"
	"fmt"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/heap"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
)

// ErrSubscribed refuses a second subscription of the same consumer to a
// [Broadcast], which would get every event twice. The consumer lives on.
var ErrSubscribed = errors.New("already subscribed")

// Broadcast hands every event to every subscription. A batch is handed out as far
// as the subscription with the least demand allows, so no subscription gets more
// than it asked for and none misses an event: a subscription that asks for nothing
// delays all others. A subscription gets the events dispatched after it came.
//
// SubscribeConfig.Selector, a func(T) bool, selects the events for a subscriber.
// Other events cost it no demand, and it gets no batch of which it selects
// nothing. An event that no selector selects is discarded as Unselected. A selector
// that panics ends its own subscription only.
//
// The rule is that of GenStage's BroadcastDispatcher. An Ask costs O(log n) in
// the number of subscriptions, a Dispatch O(n) for its n batches.
type Broadcast[T any] struct {
	// All belong to the goroutine of the stage.
	subs      []broadcastSub[T]        // by subscription
	heap      heap.Heap[int]           // live subscriptions, by their limits
	moved     func(sub uint32, at int) // notes the places in the heap
	consumers map[uint64]bool
	sent      int // events dispatched so far
	selecting int // live subscriptions with a selector
	// Scratch of dispatchSelected: the subscriptions, what one selector picked,
	// and what any has.
	order  heap.Heap[int]
	picked []int32
	wanted []bool
}

// broadcastSub is the state of one subscription; the zero value is one that is not
// live.
type broadcastSub[T any] struct {
	// limit is the count of dispatched events up to which it has asked. It
	// moves with an Ask and not with a Dispatch, which is the same for all.
	limit    int
	at       int // place in the heap
	consumer uint64
	selector func(T) bool
	live     bool
}

// NewBroadcast returns a dispatcher without subscriptions.
func NewBroadcast[T any]() *Broadcast[T] {
	b := &Broadcast[T]{consumers: make(map[uint64]bool)}
	b.moved = func(sub uint32, at int) { b.subs[sub].at = at }
	return b
}

// PanicError is a panic of user code that was recovered. The type is the same in
// every package of this module.
type PanicError = crash.PanicError

// SelectorError ends a subscription whose selector has panicked.
type SelectorError struct{ Panic *PanicError }

// Error implements error. It leaves the stack out.
func (e *SelectorError) Error() string { return "selector: " + e.Panic.Error() }

// Unwrap returns Panic.
func (e *SelectorError) Unwrap() error { return e.Panic }

// Subscribe implements Dispatcher. It refuses a consumer that has a subscription
// already with ErrSubscribed, and with an *OptionError a Selector that is not a
// func(T) bool, and a Partition.
func (b *Broadcast[T]) Subscribe(sub int, opts SubscribeConfig) error {
	owner := option.Owner("dispatcher.Broadcast")
	if err := owner.Unused("Partition", opts.Partition, "dispatcher.Partition"); err != nil {
		return err
	}
	s := broadcastSub[T]{limit: b.sent, consumer: opts.Consumer, live: true}
	if opts.Selector != nil {
		f, ok := opts.Selector.(func(T) bool)
		if !ok || f == nil {
			return owner.Refuse("Selector", fmt.Sprintf("%T", opts.Selector), fmt.Sprintf("a %T that is not nil", f))
		}
		s.selector = f
	}
	if opts.Consumer != 0 && b.consumers[opts.Consumer] {
		return ErrSubscribed
	}
	for len(b.subs) <= sub {
		b.subs = append(b.subs, broadcastSub[T]{})
	}
	b.consumers[opts.Consumer] = true
	if s.selector != nil {
		b.selecting++
	}
	b.subs[sub] = s
	b.heap.Push(heap.Entry[int]{Key: s.limit, ID: uint32(sub)}, b.moved)
	return nil
}

// Ask implements Dispatcher.
func (b *Broadcast[T]) Ask(sub, n int) {
	b.raise(sub, n)
}

// raise adds n to the limit of a live subscription, and keeps the heap in order.
func (b *Broadcast[T]) raise(sub, n int) {
	s := &b.subs[sub]
	s.limit = addSaturating(s.limit, n)
	b.heap.Set(s.at, heap.Entry[int]{Key: s.limit, ID: uint32(sub)}, b.moved)
}

// Cancel implements Dispatcher.
func (b *Broadcast[T]) Cancel(sub int) {
	s := &b.subs[sub]
	if !s.live {
		return
	}
	delete(b.consumers, s.consumer)
	if s.selector != nil {
		b.selecting--
	}
	b.heap.Remove(s.at, b.moved)
	*s = broadcastSub[T]{}
}

// Demand implements Dispatcher: what the subscription that has asked for the
// least can still be sent.
func (b *Broadcast[T]) Demand() int {
	if len(b.heap) == 0 {
		return 0
	}
	return b.heap[0].Key - b.sent
}

// Copies implements Copier.
func (b *Broadcast[T]) Copies() bool { return true }

// Dispatch implements Dispatcher.
func (b *Broadcast[T]) Dispatch(offer Offer[T], out Out[T]) int {
	n := min(len(offer.Events), b.Demand())
	if n == 0 {
		return 0
	}
	if b.selecting == 0 {
		for i := range b.heap {
			out.Give(int(b.heap[i].ID), 0, n)
		}
	} else {
		b.dispatchSelected(offer, n, out)
	}
	b.sent += n
	return n
}

// dispatchSelected hands out n events where at least one subscription has a
// selector. What a selector leaves out is added to the subscription's limit: it
// costs no demand.
func (b *Broadcast[T]) dispatchSelected(offer Offer[T], n int, out Out[T]) {
	b.wanted = append(b.wanted[:0], make([]bool, n)...)
	all := b.selecting < len(b.heap)
	b.order = append(b.order[:0], b.heap...) // limits move below
	for i := range b.order {
		sub := int(b.order[i].ID)
		s := &b.subs[sub]
		if s.selector == nil {
			out.Give(sub, 0, n)
			continue
		}
		if err := b.pick(s.selector, offer.Events[:n]); err != nil {
			r, ok := out.(Rejecter)
			if !ok {
				panic(err)
			}
			r.Reject(sub, err)
		}
		giveEach(out, sub, b.picked)
		b.raise(sub, n-len(b.picked))
	}
	for i := range n {
		if !all && !b.wanted[i] {
			out.Discard(offer.Events[i], offer.First+uint64(i), receipt.Unselected)
		}
	}
}

// pick finds the events that selector wants. If selector panics nothing is
// picked.
func (b *Broadcast[T]) pick(selector func(T) bool, events []T) (err error) {
	defer func() {
		if p := recover(); p != nil {
			b.picked = b.picked[:0]
			err = &SelectorError{crash.Of(p)}
		}
	}()
	b.picked = b.picked[:0]
	for i, event := range events {
		if selector(event) {
			b.picked = append(b.picked, int32(i))
		}
	}
	for _, i := range b.picked {
		b.wanted[i] = true
	}
	return nil
}
