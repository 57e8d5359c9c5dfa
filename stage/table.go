package stage

import "context"

// Handlers are the functions that a handler of any kind may have. A function that
// is nil stands for a handler that has none. The documentation of each is that of
// the interface with its name: Start is [StartHandler], and so on.
type Handlers struct {
	Start     func(ctx context.Context, self *Handle) error
	Info      func(ctx context.Context, msg any) error
	Subscribe func(ctx context.Context, s SubscriptionInfo) error
	Cancel    func(ctx context.Context, s SubscriptionInfo, reason error) error
	Terminate func(ctx context.Context, reason error) error
	Inspect   func() any
	Tick      func(ctx context.Context) error
	Withdraw  func(ctx context.Context) error

	handler any // of which they are
}

// The three tables below are a handler resolved into its functions, for wrappers:
// retries, rate limits, traces. A wrapper resolves the handler, replaces the
// functions that it is about with functions that call the former ones, and passes
// the table to the stage as the handler. Whatever else the handler has stays as it
// is, also what the wrapper does not know.

// ProducerHandlers are the functions of a [Producer]. They implement it.
type ProducerHandlers[T any] struct {
	Handlers
	Demand   func(ctx context.Context, n int, emit *Emitter[T]) error
	Wake     func(ctx context.Context, emit *Emitter[T]) error
	Receipts func(ctx context.Context, receipts []Receipt) error
	Drain    func(ctx context.Context) error
	Emitter  func(emit *Emitter[T])
	Stalled  func() bool
}

// ConsumerHandlers are the functions of a [Consumer]. They implement it. If
// Delivery is set the consumer is a [DeliveryHandler] and Events is not called.
type ConsumerHandlers[T any] struct {
	Handlers
	Events        func(ctx context.Context, events []T) error
	Delivery      func(ctx context.Context, d Delivery[T]) error
	Drain         func(ctx context.Context) error
	Flush         func(ctx context.Context) error
	DefaultDemand func() (maxDemand, minDemand int)
	Progress      func() int

	SubscribeConfig func(cfg SubscribeConfig) error
}

// ProducerConsumerHandlers are the functions of a [ProducerConsumer]. They
// implement it. If Delivery is set the producer-consumer is a
// [TransformDeliveryHandler] and Events is not called.
type ProducerConsumerHandlers[In, Out any] struct {
	Handlers
	Events        func(ctx context.Context, events []In, emit *Emitter[Out]) error
	Delivery      func(ctx context.Context, d Delivery[In], emit *Emitter[Out]) error
	Wake          func(ctx context.Context, emit *Emitter[Out]) error
	Receipts      func(ctx context.Context, receipts []Receipt) error
	Flush         func(ctx context.Context) error
	Emitter       func(emit *Emitter[Out])
	Busy          func() bool
	Stalled       func() bool
	DefaultDemand func() (maxDemand, minDemand int)

	SubscribeConfig func(cfg SubscribeConfig) error
}

// HandleDemand calls Demand.
func (h *ProducerHandlers[T]) HandleDemand(ctx context.Context, n int, emit *Emitter[T]) error {
	return h.Demand(ctx, n, emit)
}

// HandleEvents calls Events.
func (h *ConsumerHandlers[T]) HandleEvents(ctx context.Context, events []T) error {
	return h.Events(ctx, events)
}

// HandleEvents calls Events.
func (h *ProducerConsumerHandlers[In, Out]) HandleEvents(ctx context.Context, events []In, emit *Emitter[Out]) error {
	return h.Events(ctx, events, emit)
}

// ResolveProducer returns the functions of a producer, in a table of the caller's
// own. The producer must not be nil.
func ResolveProducer[T any](p Producer[T]) *ProducerHandlers[T] {
	// A table is copied: the caller may replace functions in its own.
	if table, ok := p.(*ProducerHandlers[T]); ok {
		own := *table
		own.of(p)
		return &own
	}
	h := &ProducerHandlers[T]{Handlers: resolve(p), Demand: p.HandleDemand}
	if x, ok := p.(WakeHandler[T]); ok {
		h.Wake = x.HandleWake
	}
	if x, ok := p.(ReceiptsHandler); ok && wantsReceipts(p) {
		h.Receipts = x.HandleReceipts
	}
	if x, ok := p.(DrainHandler); ok {
		h.Drain = x.HandleDrain
	}
	if x, ok := p.(EmitterHandler[T]); ok {
		h.Emitter = x.HandleEmitter
	}
	if x, ok := p.(StalledHandler); ok {
		h.Stalled = x.HandleStalled
	}
	return h
}

// ResolveConsumer returns the functions of a consumer, in a table of the caller's
// own. The consumer must not be nil.
func ResolveConsumer[T any](c Consumer[T]) *ConsumerHandlers[T] {
	if table, ok := c.(*ConsumerHandlers[T]); ok {
		own := *table
		own.of(c)
		return &own
	}
	h := &ConsumerHandlers[T]{Handlers: resolve(c), Events: c.HandleEvents}
	if x, ok := c.(DeliveryHandler[T]); ok {
		h.Delivery = x.HandleDelivery
	}
	if x, ok := c.(ProgressHandler); ok {
		h.Progress = x.HandleProgress
	}
	if x, ok := c.(DrainHandler); ok {
		h.Drain = x.HandleDrain
	}
	h.Flush, h.DefaultDemand, h.SubscribeConfig = resolveTaker(c)
	return h
}

// ResolveProducerConsumer returns the functions of a producer-consumer, in a table
// of the caller's own. The producer-consumer must not be nil.
func ResolveProducerConsumer[In, Out any](pc ProducerConsumer[In, Out]) *ProducerConsumerHandlers[In, Out] {
	if table, ok := pc.(*ProducerConsumerHandlers[In, Out]); ok {
		own := *table
		own.of(pc)
		return &own
	}
	h := &ProducerConsumerHandlers[In, Out]{Handlers: resolve(pc), Events: pc.HandleEvents}
	if x, ok := pc.(TransformDeliveryHandler[In, Out]); ok {
		h.Delivery = x.HandleDelivery
	}
	if x, ok := pc.(BusyHandler); ok {
		h.Busy = x.HandleBusy
	}
	if x, ok := pc.(StalledHandler); ok {
		h.Stalled = x.HandleStalled
	}
	if x, ok := pc.(WakeHandler[Out]); ok {
		h.Wake = x.HandleWake
	}
	if x, ok := pc.(ReceiptsHandler); ok && wantsReceipts(pc) {
		h.Receipts = x.HandleReceipts
	}
	if x, ok := pc.(EmitterHandler[Out]); ok {
		h.Emitter = x.HandleEmitter
	}
	h.Flush, h.DefaultDemand, h.SubscribeConfig = resolveTaker(pc)
	return h
}

// origin returns the handler that the functions were taken from, if any.
func (h *Handlers) origin() any { return h.handler }

// of notes the handler of a table that was made by hand: the table itself.
func (h *Handlers) of(table any) {
	if h.handler == nil {
		h.handler = table
	}
}

// resolve returns the functions that any handler may have. It is the only place that asks
// a handler for these interfaces.
func resolve(handler any) Handlers {
	h := Handlers{handler: handler}
	if x, ok := handler.(StartHandler); ok {
		h.Start = x.HandleStart
	}
	if x, ok := handler.(InfoHandler); ok {
		h.Info = x.HandleInfo
	}
	if x, ok := handler.(SubscribeHandler); ok {
		h.Subscribe = x.HandleSubscribe
	}
	if x, ok := handler.(CancelHandler); ok {
		h.Cancel = x.HandleCancel
	}
	if x, ok := handler.(TerminateHandler); ok {
		h.Terminate = x.HandleTerminate
	}
	if x, ok := handler.(InspectHandler); ok {
		h.Inspect = x.HandleInspect
	}
	if x, ok := handler.(TickHandler); ok {
		h.Tick = x.HandleTick
	}
	if x, ok := handler.(WithdrawHandler); ok {
		h.Withdraw = x.HandleWithdraw
	}
	return h
}

// wantsReceipts reports whether a ReceiptsHandler is to be called.
func wantsReceipts(handler any) bool {
	x, ok := handler.(ReceiptsWantedHandler)
	return !ok || x.HandleReceiptsWanted(handler)
}

// resolveTaker returns the functions that handlers with producers may have.
func resolveTaker(handler any) (
	flush func(context.Context) error, demand func() (maxDemand, minDemand int), config func(SubscribeConfig) error,
) {
	if x, ok := handler.(FlushHandler); ok {
		flush = x.HandleFlush
	}
	if x, ok := handler.(DefaultDemandHandler); ok {
		demand = x.HandleDefaultDemand
	}
	if x, ok := handler.(SubscribeConfigHandler); ok {
		config = x.HandleSubscribeConfig
	}
	return flush, demand, config
}

// table is what an engine calls: the functions of its handler, whatever its kind. A
// function that is nil is not called; those of another kind of stage are always nil. It
// does not change once the stage was made.
type table[In, Out any] struct {
	// The first ones are called in each round of a stage.
	consume       func(ctx context.Context, events []In) error
	delivery      func(ctx context.Context, d Delivery[In]) error
	transform     func(ctx context.Context, events []In, emit *Emitter[Out]) error
	demand        func(ctx context.Context, n int, emit *Emitter[Out]) error
	pass          func(ctx context.Context, d Delivery[In], emit *Emitter[Out]) error
	wake          func(ctx context.Context, emit *Emitter[Out]) error
	receipts      func(ctx context.Context, receipts []Receipt) error
	drain         func(ctx context.Context) error
	flush         func(ctx context.Context) error
	emitter       func(emit *Emitter[Out])
	stalled       func() bool
	busy          func() bool
	defaultDemand func() (maxDemand, minDemand int)

	progress func() int

	subscribeConfig func(cfg SubscribeConfig) error

	Handlers
}
