package stage

import (
	"context"
	"fmt"
	"maps"

	"github.com/penstock-go/penstock/receipt"
)

// Snapshot is what a stage was doing at one moment. Counts are since the start.
type Snapshot struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Draining says that the stage takes in nothing more.
	Draining bool `json:"draining"`
	// Accumulating says that the demand mode is Accumulate.
	Accumulating bool `json:"accumulating"`

	// Demand is how many events more the stage's dispatcher can take now;
	// Pending is how many of those its producer was asked for and still owes.
	Demand  int `json:"demand"`
	Pending int `json:"pending"`
	// Buffered is how many events were emitted and are neither delivered nor
	// discarded: Emitted = Delivered + Buffered + the sum of Discarded. An
	// event that went to several subscribers counts once in Delivered and for
	// each of them in Deliveries.
	Buffered   int                      `json:"buffered"`
	Emitted    int64                    `json:"emitted"`
	Delivered  int64                    `json:"delivered"`
	Deliveries int64                    `json:"deliveries"`
	Discarded  map[receipt.Reason]int64 `json:"discarded,omitempty"`
	// Abandoned is how many of the deliveries went to consumers that died
	// before they had handled them, and were not delivered again.
	Abandoned int64 `json:"abandoned"`
	// Queued is how many batches a producer-consumer has received and not
	// handled yet, Handled how many events were passed to its handler.
	Queued  int   `json:"queued"`
	Handled int64 `json:"handled"`
	// Failed is how many of those events the handler reported as failed alone, or
	// dropped on purpose.
	Failed int64 `json:"failed"`
	// Batches is how many batches those events came in.
	Batches int64 `json:"batches"`

	Subscriptions []SubscriptionSnapshot `json:"subscriptions,omitempty"`
}

// SubscriptionSnapshot is one side of a subscription at one moment.
type SubscriptionSnapshot struct {
	// Peer names the other stage; Upstream says whether it is the producer.
	Peer     string `json:"peer"`
	Upstream bool   `json:"upstream"`
	// Outstanding is what was asked for and has not been delivered, in events,
	// as this side knows it.
	Outstanding int `json:"outstanding"`
	// InFlight is how many deliveries have no receipt yet, where the stage
	// keeps account of them.
	InFlight  int `json:"in_flight"`
	MaxDemand int `json:"max_demand"`
	MinDemand int `json:"min_demand"`
}

// Snapshot implements Stage. The account that a stopped stage leaves behind can
// still be read.
func (e *engine[In, Out]) Snapshot(ctx context.Context) (Snapshot, error) {
	answer := make(chan Snapshot, 1)
	if e.started.Load() && e.Do(func() { answer <- e.snapshot() }) {
		select {
		case s := <-answer:
			return s, nil
		case <-ctx.Done():
			return Snapshot{}, fmt.Errorf("stage %q: snapshot: %w", e.name, context.Cause(ctx))
		case <-e.stopped:
			return e.snapshot(), nil
		}
	}
	if !e.started.Load() {
		return Snapshot{Name: e.name, Kind: e.kindOf()}, nil
	}
	select {
	case <-e.stopped:
		return e.snapshot(), nil
	case <-ctx.Done():
		return Snapshot{}, fmt.Errorf("stage %q: snapshot: %w", e.name, context.Cause(ctx))
	}
}

func (e *engine[In, Out]) kindOf() Kind {
	switch {
	case e.in == nil:
		return KindProducer
	case e.out == nil:
		return KindConsumer
	}
	return KindProducerConsumer
}

func (e *engine[In, Out]) snapshot() Snapshot {
	s := Snapshot{Name: e.name, Kind: e.kindOf(), Draining: e.draining}
	if o := e.out; o != nil {
		s.Demand, s.Pending, s.Buffered = o.disp.Demand(), o.told, o.held()
		s.Emitted, s.Delivered, s.Discarded = o.emitted, o.delivered, maps.Clone(o.lost)
		s.Accumulating = o.paused
		s.Deliveries, s.Abandoned = o.deliveries, o.abandoned
		for _, sub := range o.subs {
			if sub != nil {
				s.Subscriptions = append(s.Subscriptions, SubscriptionSnapshot{
					Peer: sub.info.Consumer, Outstanding: sub.asked, InFlight: sub.flights.open,
					MaxDemand: sub.info.MaxDemand, MinDemand: sub.info.MinDemand,
				})
			}
		}
	}
	if in := e.in; in != nil {
		s.Queued, s.Handled, s.Batches, s.Failed = in.queue.Len(), in.handled, in.batches, in.failed
		for _, sub := range in.subs {
			s.Subscriptions = append(s.Subscriptions, SubscriptionSnapshot{
				Peer: sub.info.Producer, Upstream: true, Outstanding: sub.owed, InFlight: int(sub.open.Load()) + sub.inputs,
				MaxDemand: sub.info.MaxDemand, MinDemand: sub.info.MinDemand,
			})
		}
	}
	return s
}
