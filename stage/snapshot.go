package stage

import (
	"context"
	"fmt"
	"maps"

	"github.com/penstock-go/penstock/receipt"
)

// Phase is the part of its life that a stage is in.
type Phase string

// The phases of a stage, in order. A stage that is stopped before it is started
// passes from PhaseNew to PhaseStopped.
const (
	PhaseNew      Phase = "new"
	PhaseStarting Phase = "starting" // HandleStart is running
	PhaseRunning  Phase = "running"
	PhaseDraining Phase = "draining" // it takes in nothing more
	PhaseStopping Phase = "stopping" // its last handlers are running
	PhaseStopped  Phase = "stopped"
)

// Snapshot is the state of a stage at one moment. Counts are since the start.
type Snapshot struct {
	Name  string `json:"name"`
	Kind  Kind   `json:"kind"`
	Phase Phase  `json:"phase"`
	// Busy reports that a handler was running for as long as the snapshot could
	// wait: only Name, Kind and Phase are set. See [Pipeline.Snapshot].
	Busy bool `json:"busy,omitempty"`
	// Error is the failure of a stage that has stopped, "" for a normal end.
	Error string `json:"error,omitempty"`
	// Draining reports that the stage takes in nothing more.
	Draining bool `json:"draining"`
	// Accumulating reports that the demand mode is Accumulate.
	Accumulating bool `json:"accumulating"`

	// Demand is the number of events that the stage's dispatcher can take now;
	// Pending is the number of those that its producer was asked for and still
	// owes.
	Demand  int `json:"demand"`
	Pending int `json:"pending"`
	// Buffered is the number of events that were emitted and are neither delivered
	// nor discarded: Emitted = Delivered + Buffered + Withdrawn + the sum of
	// Discarded. Withdrawn are those that their source has asked back, and that were
	// not started; see [Handle.Withdraw]. An event that went to several subscribers counts once in Delivered and for
	// each of them in Deliveries.
	Buffered   int                      `json:"buffered"`
	Emitted    int64                    `json:"emitted"`
	Delivered  int64                    `json:"delivered"`
	Deliveries int64                    `json:"deliveries"`
	Discarded  map[receipt.Reason]int64 `json:"discarded,omitempty"`
	Withdrawn  int64                    `json:"withdrawn,omitempty"`
	// Abandoned is the number of deliveries to consumers that died before they had
	// handled them, and that were not delivered again. It includes those to a consumer
	// that had stopped and whose HandleTerminate ran when this stage ended.
	Abandoned int64 `json:"abandoned"`
	// Queued is the number of batches that a producer-consumer has received and not
	// handled yet, Handled the number of events that were passed to its handler,
	// and Batches the number of batches that those came in.
	Queued  int   `json:"queued"`
	Handled int64 `json:"handled"`
	Batches int64 `json:"batches"`
	// Failed is the number of events that the handler reported as failed alone, or
	// as dropped on purpose.
	Failed int64 `json:"failed"`
	// Skipped is the number of events that arrived and were not handled, since their
	// source has asked them back.
	Skipped int64 `json:"skipped,omitempty"`

	// Unhandled is the number of events that arrived, were not handled when the
	// stage stopped, and whose producer had stopped before and so does not count
	// them as Abandoned. It includes those that the handler still held; see
	// [Emitter.Hold].
	Unhandled int64 `json:"unhandled"`

	Subscriptions []SubscriptionSnapshot `json:"subscriptions,omitempty"`

	// Handler is what the stage's handler reports if it is an [InspectHandler], and
	// Dispatcher what its dispatcher does.
	Handler    any `json:"handler,omitempty"`
	Dispatcher any `json:"dispatcher,omitempty"`
}

// SubscriptionSnapshot is one side of a subscription at one moment.
type SubscriptionSnapshot struct {
	// ID is the same on both sides, and different for each subscription of the
	// process.
	ID uint64 `json:"id"`
	// Peer names the other stage; Upstream reports whether it is the producer.
	Peer     string `json:"peer"`
	Upstream bool   `json:"upstream"`
	// Outstanding is what was asked for and has not been delivered, in events,
	// as this side knows it: at the consumer, what it has not handled.
	Outstanding int `json:"outstanding"`
	// InFlight is the number of deliveries without a receipt, where the stage keeps
	// account of them.
	InFlight  int `json:"in_flight"`
	MaxDemand int `json:"max_demand"`
	MinDemand int `json:"min_demand"`
	// Paused reports that the consumer's demand is kept back; see [Subscription.Pause].
	Paused bool `json:"paused,omitempty"`
}

// Snapshot implements Stage.
func (e *engine[In, Out]) Snapshot(ctx context.Context) (Snapshot, error) {
	s, reply := e.request()
	if reply == nil {
		return s, nil
	}
	return e.await(ctx, reply)
}

// request asks for a snapshot, which is to be awaited. For a stage whose goroutine does not run
// yet the snapshot is there at once, and the channel is nil.
func (e *engine[In, Out]) request() (Snapshot, chan Snapshot) {
	if !e.started.Load() {
		return Snapshot{Name: e.name, Kind: e.kindOf(), Phase: PhaseNew}, nil
	}
	if !hasStopped(e.ready) && !hasStopped(e.stopped) {
		return Snapshot{Name: e.name, Kind: e.kindOf(), Phase: PhaseStarting}, nil
	}
	return Snapshot{}, e.look()
}

// await waits for a snapshot that was asked for.
func (e *engine[In, Out]) await(ctx context.Context, reply chan Snapshot) (Snapshot, error) {
	select {
	case s := <-reply:
		return s, nil
	default: // one that has come counts even if ctx is done
	}
	select {
	case s := <-reply:
		return s, nil
	case <-e.stopped:
	case <-ctx.Done():
		if !hasStopped(e.stopped) {
			e.mu.Lock()
			e.unread = append(e.unread, reply)
			e.mu.Unlock()
			return Snapshot{}, fmt.Errorf("stage %q: snapshot: %w", e.name, context.Cause(ctx))
		}
	}
	return e.last, nil
}

// look asks for a snapshot. What an earlier caller has asked for in vain, since a handler
// runs for long, is not asked for again: the mailbox must not grow with each look. Such a
// snapshot may be of before what the caller has sent since that earlier look.
func (e *engine[In, Out]) look() (reply chan Snapshot) {
	e.mu.Lock()
	for len(e.unread) > 0 && reply == nil {
		last := len(e.unread) - 1
		// One that is there already is of an earlier time.
		if len(e.unread[last]) == 0 {
			reply = e.unread[last]
		}
		e.unread = e.unread[:last]
	}
	e.mu.Unlock()
	if reply == nil {
		// It has room, so that the stage never waits for a caller whose ctx is done.
		reply = make(chan Snapshot, 1)
		e.Do(func() { reply <- e.snapshot() })
	}
	return reply
}

// busy returns the snapshot of a stage that does not reply.
func (e *engine[In, Out]) busy() Snapshot {
	if hasStopped(e.stopped) {
		return e.last
	}
	return Snapshot{Name: e.name, Kind: e.kindOf(), Phase: PhaseRunning, Busy: true}
}

// kindOf returns the kind of stage, which the sides that it has decide.
func (e *engine[In, Out]) kindOf() Kind {
	switch {
	case e.in == nil:
		return KindProducer
	case e.out == nil:
		return KindConsumer
	}
	return KindProducerConsumer
}

// snapshot runs on the stage's goroutine, between two handlers, or in its last steps.
func (e *engine[In, Out]) snapshot() Snapshot {
	s := Snapshot{Name: e.name, Kind: e.kindOf(), Phase: e.phase(), Draining: e.draining}
	if o := e.out; o != nil {
		s.Demand, s.Pending, s.Buffered = o.disp.Demand(), o.told, o.held()
		s.Emitted, s.Delivered, s.Discarded = o.emitted, o.delivered, maps.Clone(o.lost)
		s.Accumulating, s.Withdrawn = o.paused, o.withdrawn
		s.Deliveries, s.Abandoned = o.deliveries, o.abandoned
		for _, sub := range o.subs {
			if sub != nil {
				s.Subscriptions = append(s.Subscriptions, SubscriptionSnapshot{
					ID: sub.id, Peer: sub.info.Consumer, Outstanding: sub.asked, InFlight: sub.flights.open,
					MaxDemand: sub.info.MaxDemand, MinDemand: sub.info.MinDemand, Paused: sub.paused(),
				})
			}
		}
	}
	if in := e.in; in != nil {
		s.Queued, s.Handled, s.Batches, s.Failed = in.queue.Len(), in.handled, in.batches, in.failures.total
		s.Unhandled, s.Skipped = in.unhandled, in.withdrawn
		for _, sub := range in.subs {
			s.Subscriptions = append(s.Subscriptions, SubscriptionSnapshot{
				ID: sub.id, Peer: sub.info.Producer, Upstream: true, Outstanding: sub.outstanding(), InFlight: int(sub.open.Load()) + sub.inputs,
				MaxDemand: sub.info.MaxDemand, MinDemand: sub.info.MinDemand, Paused: sub.paused(),
			})
		}
	}
	e.inspect(&s)
	return s
}

// phase returns the phase of a stage that runs. The phases before and after are known from
// ready and stopped.
func (e *engine[In, Out]) phase() Phase {
	switch {
	case e.isOver():
		return PhaseStopping
	case e.draining:
		return PhaseDraining
	}
	return PhaseRunning
}

// outstanding is what the consumer has asked for and not handled, as far as it
// knows: where it gives demand and receipts itself, what it has not handled.
func (s *Subscription[T]) outstanding() int {
	if s.asks || s.manual {
		return int(s.open.Load())
	}
	return s.owed
}
