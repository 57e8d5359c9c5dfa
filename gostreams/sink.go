package gostreams

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/reugn/go-streams"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/stage"
)

// DefaultCompletionTimeout is the default of SinkConfig.CompletionTimeout.
const DefaultCompletionTimeout = 5 * time.Second

// SinkConfig configures [NewSink]. The zero value is useful.
type SinkConfig struct {
	// Batches sends the events that arrived together as one element of type
	// []T, which the sink may keep, instead of one element of type T for each.
	Batches bool
	// CompletionTimeout bounds how long the end waits for the sink's
	// AwaitCompletion. Default: 5 s.
	CompletionTimeout time.Duration
}

// Sink writes events to a go-streams sink. It implements stage.Consumer.
//
// An event has its receipt when the sink has taken it from its channel, since
// go-streams reports no more. Events that the sink does not take wait for the
// writer's goroutine, within the demand; the stage never waits for the sink. When
// the stage has drained or stopped, the sink's channel is closed and
// AwaitCompletion called.
//
// A go-streams sink reports no error of an event: what it cannot write, it handles or loses
// itself. A panic of the sink, such as a write to a channel that it has closed, stops the
// stage with a *stage.PanicError, since no later event could be written either. The events
// that it has not taken have no receipt.
type Sink[T any] struct {
	sink streams.Sink
	cfg  SinkConfig
	self *stage.Handle

	to   chan<- any
	quit chan struct{} // closed when the writer must end
	gone chan struct{} // closed when it has ended

	mu      sync.Mutex // guards waiting and spare
	waiting ring.Ring[delivery[T]]
	spare   [][]T
	arrived chan struct{} // holds one token at most
}

// delivery is a copy of a stage.Delivery, whose slice the stage uses again.
type delivery[T any] struct {
	sub    *stage.Subscription[T]
	events []T
	first  uint64
}

// NewSink makes a consumer that writes to any go-streams Sink. An error is an
// [*OptionError].
func NewSink[T any](sink streams.Sink, cfg SinkConfig) (*Sink[T], error) {
	option.Default(&cfg.CompletionTimeout, DefaultCompletionTimeout)
	owner := option.Owner("gostreams.Sink")
	switch {
	case option.IsNil(sink):
		return nil, owner.Refuse("sink", sink, "a go-streams sink")
	case sink.In() == nil:
		return nil, owner.Refuse("sink", fmt.Sprintf("%T", sink), "a sink with a channel")
	case cfg.CompletionTimeout < 0:
		return nil, owner.Refuse("CompletionTimeout", cfg.CompletionTimeout, "0 for the default, or above 0")
	}
	return &Sink[T]{
		sink: sink, cfg: cfg,
		quit: make(chan struct{}), gone: make(chan struct{}), arrived: make(chan struct{}, 1),
	}, nil
}

// HandleStart implements stage.StartHandler.
func (s *Sink[T]) HandleStart(_ context.Context, self *stage.Handle) error {
	// Until then to is nil, by which HandleTerminate sees that there is no writer.
	s.self, s.to = self, s.sink.In()
	go s.run()
	return nil
}

// HandleEvents implements stage.Consumer; a Sink is given deliveries instead.
func (s *Sink[T]) HandleEvents(context.Context, []T) error {
	return fmt.Errorf("HandleEvents of a consumer that takes deliveries: %w", errors.ErrUnsupported)
}

// HandleSubscribeConfig implements stage.SubscribeConfigHandler: Manual is refused.
func (s *Sink[T]) HandleSubscribeConfig(cfg stage.SubscribeConfig) error {
	return option.Owner("gostreams.Sink").Check(!cfg.Manual, "Manual", cfg.Manual, "false: the consumer asks for what it has room for")
}

// HandleDelivery implements stage.DeliveryHandler.
func (s *Sink[T]) HandleDelivery(_ context.Context, d stage.Delivery[T]) error {
	s.mu.Lock()
	var own []T
	if n := len(s.spare); n > 0 {
		// The stage uses the slice of the delivery again, so that it is copied.
		own, s.spare = s.spare[n-1], s.spare[:n-1]
	}
	s.waiting.Push(delivery[T]{sub: d.Subscription, events: append(own, d.Events...), first: d.First})
	s.mu.Unlock()
	select {
	case s.arrived <- struct{}{}:
	default:
	}
	return nil
}

// halt is sent to the stage by the writer, and stops it.
type halt struct{ err error }

// HandleInfo implements stage.InfoHandler.
func (s *Sink[T]) HandleInfo(_ context.Context, msg any) error {
	if h, ok := msg.(halt); ok {
		return h.err
	}
	return nil
}

// HandleTerminate implements stage.TerminateHandler. It waits for the sink, up to
// CompletionTimeout, and then returns stage.ErrHung.
func (s *Sink[T]) HandleTerminate(context.Context, error) error {
	// The writer ends first: it is the only goroutine that sends to the sink's channel,
	// which complete closes.
	if s.to == nil {
		return nil // it never started
	}
	close(s.quit)
	<-s.gone
	complete := make(chan error, 1)
	// The channel has room: the goroutine ends even if its result comes too late.
	go func() { complete <- s.complete() }()
	timer := time.NewTimer(s.cfg.CompletionTimeout)
	defer timer.Stop()
	select {
	case err := <-complete:
		return err
	case <-timer.C:
		return fmt.Errorf("sink did not complete within %v: %w", s.cfg.CompletionTimeout, stage.ErrHung)
	}
}
