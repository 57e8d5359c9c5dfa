package stage

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/penstock-go/penstock/internal/option"
)

// Stage is a producer, producer-consumer or consumer with its goroutine.
type Stage interface {
	// Name is the stage's name.
	Name() string
	// Start begins the stage's goroutine and returns when HandleStart has
	// returned and the subscriptions that were made before have been sent. If
	// the stage has stopped by then, Start returns its error. The values of
	// ctx reach the handlers; when ctx is done the stage stops without
	// draining. A stage on a cycle of subscriptions is refused with ErrCycle. [Run]
	// does all this for a whole pipeline.
	Start(ctx context.Context) error
	// Drain begins the orderly end and returns at once: a producer accepts
	// nothing more, accepted events are delivered, and the stages downstream end
	// when their last event is finished. Draining again does nothing.
	Drain()
	// Stop ends the stage without draining, and returns at once: the contexts
	// of its handlers are cancelled with reason as the cause. A nil reason
	// means ErrStopped. Stopping again does nothing.
	Stop(reason error)
	// Stopped is closed when the stage's goroutine has ended.
	Stopped() <-chan struct{}
	// Err returns the reason why the stage stopped: nil while it has not, and
	// for a normal end.
	Err() error
	// Do makes the stage call f on its goroutine, between two handlers, and
	// returns at once; false if the stage has stopped. Use it to reach the state
	// of a dispatcher from outside. Functions that were not called before the
	// end are called at the end; if the stage never ran, Stop calls them.
	Do(f func()) bool
	// Snapshot returns what the stage is doing. It waits until the handler
	// that is running has returned, or ctx is done. It does not wait for a stage
	// that has not been started, that is being started, or that has stopped.
	Snapshot(ctx context.Context) (Snapshot, error)

	kind() Kind
	vertex() *node
	busy() Snapshot
	request() (Snapshot, chan Snapshot)
	await(ctx context.Context, reply chan Snapshot) (Snapshot, error)
	launch(ctx context.Context) error
	drainWithin(members map[*node]bool)
	handledFailure(of *node)
}

// Output is a stage that emits events of type T and can be subscribed to.
type Output[T any] interface {
	Stage
	port() demandPort[T]
}

// Kind is the kind of a stage.
type Kind string

// The kinds of stages.
const (
	KindProducer         Kind = "producer"
	KindProducerConsumer Kind = "producer_consumer"
	KindConsumer         Kind = "consumer"
)

// none is the event type of the side that a stage does not have.
type none struct{}

// ProducerStage is a stage around a [Producer]. It implements [Stage] and
// [Output].
type ProducerStage[T any] struct{ *engine[none, T] }

// ProducerConsumerStage is a stage around a [ProducerConsumer]. It implements
// [Stage] and [Output].
type ProducerConsumerStage[In, Out any] struct{ *engine[In, Out] }

// ConsumerStage is a stage around a [Consumer]. It implements [Stage].
type ConsumerStage[T any] struct{ *engine[T, none] }

// NewProducer makes a stage of producer, which must not be used by another
// stage. No goroutine runs before Start. An error is an [*OptionError].
func NewProducer[T any](producer Producer[T], cfg ProducerConfig[T]) (*ProducerStage[T], error) {
	e := new(engine[none, T])
	if err := e.init(cfg.Name, producer, cfg.Logger); err != nil {
		return nil, err
	}
	h := ResolveProducer(producer)
	e.do = table[none, T]{
		Handlers: h.Handlers, demand: h.Demand, wake: h.Wake, receipts: h.Receipts, drain: h.Drain, emitter: h.Emitter,
		stalled: h.Stalled,
	}
	if err := e.resolved("Demand", h.Demand != nil, h.handler); err != nil {
		return nil, err
	}
	if err := newSide(e, cfg); err != nil {
		return nil, err
	}
	return &ProducerStage[T]{e}, nil
}

// NewProducerConsumer makes a stage of pc, which must not be used by another
// stage. No goroutine runs before Start. An error is an [*OptionError].
func NewProducerConsumer[In, Out any](pc ProducerConsumer[In, Out], cfg ProducerConsumerConfig[Out]) (*ProducerConsumerStage[In, Out], error) {
	e := new(engine[In, Out])
	e.in = newInlet[In]()
	if err := e.init(cfg.Name, pc, cfg.Logger); err != nil {
		return nil, err
	}
	h := ResolveProducerConsumer(pc)
	e.do = table[In, Out]{
		Handlers: h.Handlers, transform: h.Events, pass: h.Delivery, wake: h.Wake, receipts: h.Receipts, flush: h.Flush,
		emitter: h.Emitter, busy: h.Busy, stalled: h.Stalled, defaultDemand: h.DefaultDemand,
		subscribeConfig: h.SubscribeConfig,
	}
	if err := e.resolved("Events", h.Events != nil || h.Delivery != nil, h.handler); err != nil {
		return nil, err
	}
	if err := newSide(e, cfg); err != nil {
		return nil, err
	}
	return &ProducerConsumerStage[In, Out]{e}, nil
}

// NewConsumer makes a stage of consumer, which must not be used by another
// stage. No goroutine runs before Start. An error is an [*OptionError].
func NewConsumer[T any](consumer Consumer[T], cfg ConsumerConfig) (*ConsumerStage[T], error) {
	e := new(engine[T, none])
	e.in = newInlet[T]()
	if err := e.init(cfg.Name, consumer, cfg.Logger); err != nil {
		return nil, err
	}
	h := ResolveConsumer(consumer)
	e.do = table[T, none]{
		Handlers: h.Handlers, consume: h.Events, delivery: h.Delivery, drain: h.Drain, flush: h.Flush, defaultDemand: h.DefaultDemand,
		progress: h.Progress, subscribeConfig: h.SubscribeConfig,
	}
	if err := e.resolved("Events", h.Events != nil || h.Delivery != nil, h.handler); err != nil {
		return nil, err
	}
	return &ConsumerStage[T]{e}, nil
}

// resolved notes the handler that a table was made of, and refuses a table without
// its main function.
func (e *engine[In, Out]) resolved(main string, there bool, handler any) error {
	e.handler = handler
	return ownerOf(e.name).Check(there, main, nil, "a function")
}

// Must returns v, or panics with err if that is not nil. It is for constructors
// in the initialisation of programs and tests, like template.Must:
//
//	source := stage.Must(stage.NewProducer(queue, stage.ProducerConfig[Push]{}))
func Must[T any](v T, err error) T { return option.Must(v, err) }

// newSide makes the emitting side of a stage.
func newSide[In, Out any](e *engine[In, Out], cfg ProducerConfig[Out]) error {
	owner := ownerOf(e.name)
	if err := option.First(
		owner.Check(cfg.BufferSize >= None, "BufferSize", cfg.BufferSize, "0 for the default, None, or 1 or more"),
		owner.Check(cfg.Keep <= KeepFirst, "Keep", cfg.Keep, "KeepAll, KeepLast or KeepFirst"),
		owner.Check(cfg.Keep != KeepAll || cfg.BufferSize == 0 || cfg.BufferSize == Unlimited,
			"Keep", "KeepAll", "KeepLast or KeepFirst when BufferSize is set"),
		owner.Check(cfg.Demand <= Accumulate, "Demand", cfg.Demand, "Forward or Accumulate"),
		owner.Check(!cfg.Eager || e.in != nil, "Eager", true, "false for a producer"),
		owner.Optional("Dispatcher", cfg.Dispatcher, "a dispatcher"),
	); err != nil {
		return err
	}
	size := Unlimited
	if cfg.Keep != KeepAll {
		size = cmp.Or(cfg.BufferSize, DefaultBufferSize)
		size = max(size, 0) // None
	}
	e.out = newOutlet(e.name, cfg, e.do.receipts != nil, size)
	e.out.descend = e.descendOutside
	e.out.log = e.log
	return nil
}

func (p *ProducerStage[T]) port() demandPort[T] {
	if p == nil {
		return nil
	}
	return p.engine
}

func (p *ProducerConsumerStage[In, Out]) port() demandPort[Out] {
	if p == nil {
		return nil
	}
	return p.engine
}

func (p *ProducerStage[T]) kind() Kind               { return KindProducer }
func (p *ProducerConsumerStage[In, Out]) kind() Kind { return KindProducerConsumer }
func (c *ConsumerStage[T]) kind() Kind               { return KindConsumer }

// SetDemand changes the mode that ProducerConfig.Demand has set, from any
// goroutine and without blocking; false if the stage has stopped. Setting the
// mode that holds already does nothing.
func (p *ProducerStage[T]) SetDemand(mode DemandMode) bool { return p.setDemand(mode) }

// SetDemand is as [ProducerStage.SetDemand]. While it accumulates, a
// producer-consumer handles nothing.
func (p *ProducerConsumerStage[In, Out]) SetDemand(mode DemandMode) bool { return p.setDemand(mode) }

func (e *engine[In, Out]) setDemand(mode DemandMode) bool {
	return e.box.Post(mail[In, Out]{kind: mailMode, n: int(mode)})
}

// Handle reaches a handler from other goroutines. Its methods never block and do
// nothing once the stage has stopped.
type Handle struct {
	name string
	wake func()
	post func(k kind, x any) bool
}

// Name is the stage's name.
func (h *Handle) Name() string { return h.name }

// Wake makes the stage call HandleWake soon, once for any number of calls in
// between.
func (h *Handle) Wake() { h.wake() }

// Send makes the stage call HandleInfo with msg. It returns false if the stage has
// stopped.
func (h *Handle) Send(msg any) bool { return h.post(mailInfo, msg) }

// SendBehind makes the stage call HandleInfo with msg when every event that is
// buffered now has been delivered or discarded; at once if none is. If the stage
// ends before that, msg is dropped and the stage logs it. It also logs that events,
// and msg after them, wait for a partition without a subscriber. It returns false if
// the stage has stopped.
func (h *Handle) SendBehind(msg any) bool { return h.post(mailInfoBehind, msg) }

var poison atomic.Bool

// PoisonBatches makes every stage of the process wipe a slice of events as soon
// as the handler that it was passed to has returned, so that a test finds a handler
// that keeps one. It is for tests, and costs accordingly.
func PoisonBatches(on bool) { poison.Store(on) }

// defaultName makes a name of a handler's type, such as "Queue-3".
func defaultName(handler any, id uint64) string {
	if table, ok := handler.(interface{ origin() any }); ok && table.origin() != nil {
		handler = table.origin()
	}
	name := fmt.Sprintf("%T", handler)
	if i := strings.IndexByte(name, '['); i >= 0 {
		name = name[:i]
	}
	name = strings.TrimLeft(name, "*")
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		name = name[i+1:]
	}
	return name + "-" + strconv.FormatUint(id, 10)
}

func itoa(n int) string { return strconv.Itoa(n) }
