package stage

import (
	"time"

	"github.com/penstock-go/penstock/stage/internal/probe"
)

// HandleProbe is what becomes of the calls on a [Handle] outside of a stage. Its
// functions may be called from any goroutine.
type HandleProbe struct {
	Name string
	Wake func()
	Send func(msg any, behind bool) bool
	// Tick and WakeAt may be nil.
	Tick   func(every time.Duration)
	WakeAt func(t time.Time)
}

// NewHandle makes a handle without a stage, for package stagetest.
func NewHandle(_ probe.Key, p HandleProbe) *Handle {
	return &Handle{name: p.Name, wake: p.Wake, post: func(k kind, x any) bool {
		switch {
		case k == mailInfo || k == mailInfoBehind:
			return p.Send(x, k == mailInfoBehind)
		case k == mailEvery && p.Tick != nil:
			p.Tick(x.(time.Duration))
		case k == mailWakeAt && p.WakeAt != nil:
			p.WakeAt(x.(time.Time))
		}
		return true
	}}
}

// SubscriptionProbe is the producer of a subscription outside of a stage. Its functions
// may be called from any goroutine.
type SubscriptionProbe struct {
	Asked     func(n int)
	Settled   func(finished []Finished) // the slice is the function's
	Cancelled func(reason error)
}

// NewSubscription makes the subscription of a [DeliveryHandler] without stages, or of a
// [TransformDeliveryHandler] if settles is false, for package stagetest. Its producer
// wants receipts.
func NewSubscription[T any](_ probe.Key, info SubscriptionInfo, settles bool, p SubscriptionProbe) *Subscription[T] {
	s := &Subscription[T]{
		id: lastSubscription.Add(1), info: info, asks: true, deferred: settles, probed: true,
		up: probePort[T]{info: info, probe: p}, done: make(chan struct{}),
	}
	s.wants.Store(true)
	return s
}

// probePort passes what a subscription posts on to a probe. Methods that a deferred
// subscription does not call are those of a nil demandPort.
type probePort[T any] struct {
	demandPort[T]
	info  SubscriptionInfo
	probe SubscriptionProbe
}

func (p probePort[T]) stageName() string { return p.info.Producer }
func (p probePort[T]) begun() bool       { return true }

func (p probePort[T]) postAsk(_ *Subscription[T], n, _ int, _ *batch[T], list *settled) bool {
	if n > 0 {
		p.probe.Asked(n)
	}
	if list != nil {
		p.probe.Settled(append([]Finished(nil), list.list...))
		clear(list.list)
		list.list = list.list[:0]
		settledPool.Put(list)
	}
	return true
}

func (p probePort[T]) postCancel(_ *Subscription[T], reason error) bool {
	p.probe.Cancelled(reason)
	return true
}
