// Package stage runs stages that exchange events with back-pressure: a consumer
// asks for as many events as it has room for, and a producer never sends more
// than was asked for.
//
//	        demand ◀─────────────── demand ◀───────────────
//	┌──────────┐        ┌───────────────────┐        ┌──────────┐
//	│ producer │        │ producer-consumer │        │ consumer │
//	└──────────┘        └───────────────────┘        └──────────┘
//	        events ───────────────▶ events ───────────────▶
//	      receipts ◀───────────── receipts ◀───────────────
//
// Demand flows up, events flow down, receipts flow up. A [Producer] emits when
// it is asked, a [Consumer] handles the events that arrive, a [ProducerConsumer]
// does both. You write the handlers, with their state in structs of your own and
// without locks; the package runs each of them in a stage, which is one
// goroutine. With several subscribers the stage's dispatcher decides which one
// gets the next event, see package dispatcher. Packages producer and consumer
// have sources and sinks that are ready to use.
//
// A complete program squares numbers and prints them, and makes no more of them
// than there is room for.
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"log"
//
//		"github.com/penstock-go/penstock/stage"
//	)
//
//	// counter emits the next numbers on demand, up to a limit.
//	type counter struct{ next, limit int }
//
//	func (c *counter) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
//		for ; n > 0 && c.next < c.limit; n-- {
//			emit.Emit(c.next)
//			c.next++
//		}
//		if c.next == c.limit {
//			return stage.ErrDone
//		}
//		return nil
//	}
//
//	func square(_ context.Context, events []int, emit *stage.Emitter[string]) error {
//		for _, v := range events {
//			emit.Emit(fmt.Sprint(v * v))
//		}
//		return nil
//	}
//
//	func show(_ context.Context, events []string) error {
//		fmt.Println(events)
//		return nil
//	}
//
//	func main() {
//		source := stage.Must(stage.NewProducer(&counter{limit: 9}, stage.ProducerConfig[int]{}))
//		squares := stage.Must(stage.NewProducerConsumer(stage.ProducerConsumerFunc[int, string](square), stage.ProducerConsumerConfig[string]{}))
//		printer := stage.Must(stage.NewConsumer(stage.ConsumerFunc[string](show), stage.ConsumerConfig{}))
//		if _, err := squares.Subscribe(source, stage.SubscribeConfig{}); err != nil {
//			log.Fatal(err)
//		}
//		if _, err := printer.Subscribe(squares, stage.SubscribeConfig{MaxDemand: 6}); err != nil {
//			log.Fatal(err)
//		}
//		if err := stage.Run(context.Background(), source, squares, printer); err != nil {
//			log.Fatal(err)
//		}
//	}
//
// The sections below are the contract. Each of their sentences has a test.
//
// # Demand
//
// On a subscription, the number of events delivered never exceeds the number
// asked for. A subscription asks for its MaxDemand (default: 1000) at the
// beginning. The handler of a consumer never gets more than MaxDemand less
// MinDemand events at a time (default of MinDemand: half of MaxDemand). If the
// demand that is still open after such a chunk has fallen to MinDemand or below,
// the consumer asks for as many events as bring it to MaxDemand again. So with
// 1000 and 500 a producer is asked for 1000, then for 500 each time that 500
// were handled, and at most 1000 events are in flight: that is the bound of what
// a subscription can hold, and where back-pressure starts. Only a
// [DeliveryHandler] decides itself what it asks for: consumer.Supervisor asks
// for as many events as it has free workers, and an event whose receipt a worker
// has deferred counts towards its MaxDeferred instead. A
// [TransformDeliveryHandler] does so after the first MaxDemand events.
//
// The stage passes each unit of demand to a producer's handler exactly once, and
// the handler owes those events until it has emitted them. Demand above 1,000 is
// passed on in portions of 1,000, as long as the handler emits something for
// each. The portions grow to at most 65,536 while a dispatcher splits them so that
// each subscriber gets 32 events or fewer of one. Events emitted beyond the
// demand are buffered by the stage; the buffer is served before the handler is
// asked for more. The open demand of a subscriber that has left is not asked for
// again until the handler has emitted as many events. Sums of demand saturate at
// the greatest int. With Manual set only [Subscription.Ask] asks; asking for less
// than one event returns an error. A consumer that asks itself refuses Manual
// ([SubscribeConfigHandler]). [Accumulate] keeps demand and events back until [Forward] lets them pass, so
// that every subscriber can be there before the first event. [Subscription.Pause]
// keeps the further demand of one subscription back until Resume; a drain resumes
// it. A producer-consumer handles events only while its subscribers have demand,
// unless Eager is set: what it emits then waits in its buffer.
//
// # Blocking
//
// No stage ever waits for another one: it sends only what was asked for, and for
// that there is room. A handler that does not return delays only its own stage.
// Of the calls in this package only these wait: [Run] and [Pipeline.Run] for the
// stages to end, [Stage].Start for HandleStart, and Snapshot for the running
// handler or its context. A handler must not call Snapshot of its own stage with
// a context that never ends.
//
// # Order
//
// Events arrive on each subscription in the order in which they were emitted.
// With several subscribers there is no order between them; dispatcher.Partition
// and fair.Dispatcher keep it for each partition or key.
//
// # Serial
//
// The handlers of a stage never overlap, and each sees the effects of the one
// before, so they need no locks. A handler may call its own stage and its own
// subscriptions, Stop and Drain included; such a request is carried out when the
// handler has returned. The ticks of a [TickHandler] are calls like the others, in
// a drain too, and end with the stage; those missed while a handler runs are one.
//
// # Ownership
//
// The slice of events passed to a handler belongs to the handler only during the
// call: afterwards the stage fills it again. The handler may change it, without
// effect on other subscribers. A handler that keeps events copies them (the
// slice, or the parts that it needs). [PoisonBatches] wipes slices at once, so
// that a test finds a handler that keeps one. [Emitter.EmitAll] copies its
// argument.
//
// # Receipts
//
// A nil from a consumer's HandleEvents is the receipt for the events passed to
// it. The next ask depends on it, a dispatcher such as fair.Dispatcher waits for
// it before it serves a key again, and a source with HandleReceipts receives it:
// a [Receipt] is a run of its events that ended alike, and each event that the
// source has emitted is in one, in the order in which they were finished, also
// if it was discarded. For an event with several subscribers the source receives
// one receipt, after the last of them, with the worst outcome: Abandoned before
// Failed before Discarded before Done. It receives none for events that were
// left when its own stage was stopped. A [DeliveryHandler], such as a pool of
// workers, gives receipts one by one and in any order. A consumer that fails gives
// none for the events of that call, unless it is a [ProgressHandler], which knows
// how many of them it has handled.
//
// Receipts pass through producer-consumers. An input is finished when all events
// emitted for it are finished, with the worst of their outcomes, or, if there
// are none, when the handler returns. All that HandleEvents emits belongs to all
// events of its chunk, unless the handler names the input with [Emitter.From];
// [MapFunc], [FilterFunc] and [FlatMapFunc] do, so that one event fails alone.
// [Emitter.Hold] keeps an input for events that are emitted later; inputs that
// are still held at the end return to their source, or count as Unhandled if the
// producer of them had stopped before.
//
// When a consumer dies, the events for which it had given no receipt are
// abandoned and counted. With Redeliver set on its subscription they return to
// the front of the buffer instead, in order, for the other subscribers. An event
// over which a consumer has died is redelivered once, or as often as Redeliveries
// says. A copy of an event that other subscribers have as well is abandoned.
// If a subscriber of a dispatcher.Copier, such as dispatcher.Broadcast, fails and
// its pipeline ends with it, the events that only the others get are abandoned. With
// KeepRunning the others finish them, and so they do once the program has handled the
// failure.
//
// # Loss
//
// By default a stage drops nothing before it is stopped: events wait until they
// are asked for. It drops an event only by a policy that the program chose: a full
// buffer (Keep and BufferSize), a dispatcher's bounds, a selector or hash function
// that assigns an event to no subscriber, a stop without a drain. Each dropped event
// is counted by reason in the [Snapshot], passed to Discarded, recorded as
// pipeline.discarded, and logged, at most one line a second for each reason. At
// every moment
//
//	emitted = delivered + buffered + discarded
//
// and a dispatcher that loses an event stops its stage. This includes events
// that Discarded and HandleTerminate emit, and holds when a dispatcher or
// Discarded panics. Deliveries that were lost with their consumer are counted
// as Abandoned, by the consumer as Unhandled if its producer had stopped
// before.
//
// # Failure
//
// A handler that returns an error, panics, or ends its goroutine stops its
// stage, and no other: Err returns an [Error] with the stage's name, the handler
// and the stack. ErrDone is not a failure but the end in good order, of a
// producer's stream or of a consumer's interest. Subscribers receive the reason
// after the last event, exactly once; their cancel mode decides whether they
// live on: Permanent dies with any reason (with ErrDone when it was the last
// subscription), Transient with any but a normal one, Temporary lives on. A
// consumer that dies of it returns a [SubscriptionError] from Err, which wraps
// the reason; errors.Is and errors.As see through all of it. A bad subscriber is
// refused, or ended when it turns out to be bad, and never stops the producer.
// A pipeline drains when one of its stages fails, unless Failed in its config reports
// that the program has handled that: it may add a new stage in place of the one that
// failed, with [Pipeline.Add], while the others run. With Redeliver on the
// subscriptions of the stage nothing is lost.
// The context of a handler is cancelled with a cause that tells the reason:
// ErrStopped, ErrDrainTimeout or the reason given to Stop; a handler that
// returns because of that has not failed.
//
// # Shutdown
//
// A pipeline starts consumers before their producers, in whichever order they are
// listed, and stops them in the reverse order. Stages that are added while it runs
// are started in the same way, and are drained and stopped with the others.
//
// A pipeline ends in two phases. Drain: sources accept nothing more (those with
// HandleDrain emit until they are dry), emitted events are delivered, and stages
// end from the source down when their last event is finished, and a [BusyHandler]
// when it has emitted the last of what it still worked on. It begins when the
// context of Run is done, when Drain is called, when a stage fails, and when the
// last producer or the last consumer has ended. A draining stage without
// subscribers ends at once. A subscription to a producer outside of the pipeline
// is cancelled. A HandleStart that is running when the drain begins has its
// context cancelled after a second. Stop: the contexts of handlers are
// cancelled, and buffered events are discarded. It follows when DrainTimeout has
// passed, as ErrDrainTimeout, or by [Pipeline.Stop]. Both can be called any
// number of times, from anywhere, also before the start.
//
// No goroutine of a stage outlives Run, unless a handler does not return within
// StopTimeout after its context was cancelled: then Run returns an error that
// names the stage and wraps ErrHung, as it does when the workers of a pool or
// the reader of a source do not end in their time. A stage runs once, and in one
// pipeline.
//
// # Cost
//
// A batch, not an event, crosses goroutines, and the emptied batch comes back
// with the next ask and is filled again: in steady state no event costs an
// allocation. When a whole emission goes to one subscriber the slice itself is
// handed over and nothing is copied. Asking costs the same with 3 subscribers
// and with 3,000. A source with HandleReceipts, or a subscription with
// Redeliver, costs an entry in a ring for each event in flight; an event with
// several subscribers costs an entry in a map in addition, only where receipts
// are wanted.
package stage
