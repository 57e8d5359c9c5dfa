package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/reugn/go-streams"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/stage"
)

// StreamConfig configures [NewStream]. The zero value is useful.
type StreamConfig struct {
	// Batches sends the events that arrived together as one element of type
	// []T, which the sink may keep, instead of one element of type T for each.
	Batches bool
	// CompletionTimeout bounds how long the end waits for the sink's
	// AwaitCompletion. Default: 5 s.
	CompletionTimeout time.Duration
	// Logger gets a line if the sink does not complete in time. nil discards.
	Logger *slog.Logger
}

// Stream writes events to a go-streams sink. It implements stage.Consumer.
//
// The receipt for an event is that the sink has taken it from its channel, since
// go-streams tells no more. What the sink does not take stays in the writer's
// hands, within the demand; the stage is never held up. When the stage has ended,
// drained or stopped, the sink's channel is closed and AwaitCompletion called.
type Stream[T any] struct {
	sink streams.Sink
	cfg  StreamConfig
	self *stage.Handle

	to   chan<- any
	quit chan struct{} // closed when the writer shall end
	gone chan struct{} // closed when it has ended

	mu      sync.Mutex
	waiting ring.Ring[parcel[T]]
	spare   [][]T
	arrived chan struct{} // holds one token at most
}

// parcel is a copy of a delivery.
type parcel[T any] struct {
	sub    *stage.Subscription[T]
	events []T
	first  uint64
}

// NewStream makes a consumer that writes to any go-streams Sink. An error is an
// [*OptionError].
func NewStream[T any](sink streams.Sink, cfg StreamConfig) (*Stream[T], error) {
	option.Default(&cfg.CompletionTimeout, DefaultShutdownTimeout)
	owner := option.Owner("consumer.Stream")
	switch {
	case option.IsNil(sink):
		return nil, owner.Refuse("sink", sink, "a go-streams sink")
	case sink.In() == nil:
		return nil, owner.Refuse("sink", fmt.Sprintf("%T", sink), "a sink with a channel")
	case cfg.CompletionTimeout < 0:
		return nil, owner.Refuse("CompletionTimeout", cfg.CompletionTimeout, "0 for the default, or above 0")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Stream[T]{
		sink: sink, cfg: cfg,
		quit: make(chan struct{}), gone: make(chan struct{}), arrived: make(chan struct{}, 1),
	}, nil
}

// HandleStart implements stage.StartHandler.
func (s *Stream[T]) HandleStart(_ context.Context, self *stage.Handle) error {
	s.self, s.to = self, s.sink.In()
	go s.run()
	return nil
}

// HandleEvents implements stage.Consumer; a Stream is given deliveries instead.
func (s *Stream[T]) HandleEvents(context.Context, []T) error { return errDeliveries }

// HandleDelivery implements stage.DeliveryHandler.
func (s *Stream[T]) HandleDelivery(_ context.Context, d stage.Delivery[T]) error {
	s.mu.Lock()
	var own []T
	if n := len(s.spare); n > 0 {
		own, s.spare = s.spare[n-1], s.spare[:n-1]
	}
	s.waiting.Push(parcel[T]{sub: d.Subscription, events: append(own, d.Events...), first: d.First})
	s.mu.Unlock()
	select {
	case s.arrived <- struct{}{}:
	default:
	}
	return nil
}

// HandleInfo implements stage.InfoHandler: it is how the writer stops the stage.
func (s *Stream[T]) HandleInfo(_ context.Context, msg any) error {
	if h, ok := msg.(halt); ok {
		return h.err
	}
	return nil
}

// HandleTerminate implements stage.TerminateHandler. It waits for the sink, up to
// CompletionTimeout, behind which it answers stage.ErrHung.
func (s *Stream[T]) HandleTerminate(context.Context, error) error {
	if s.to == nil {
		return nil // it never started
	}
	close(s.quit)
	<-s.gone
	complete := make(chan error, 1)
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

// complete ends the sink's input and waits until it has written everything.
func (s *Stream[T]) complete() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &stage.PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	close(s.to)
	s.sink.AwaitCompletion()
	return nil
}

// run is the writer's goroutine, which may block on the sink.
func (s *Stream[T]) run() {
	defer close(s.gone)
	defer func() {
		if p := recover(); p != nil {
			s.self.Send(halt{fmt.Errorf("write to sink: %w", &stage.PanicError{Value: p, Stack: debug.Stack()})})
		}
	}()
	var finished []stage.Finished
	for {
		p, ok := s.next()
		if !ok {
			return
		}
		if s.cfg.Batches {
			ok = s.write(p.events)
			if ok {
				finished = s.settle(p.sub, p.first, len(p.events), finished)
			}
		} else {
			finished, ok = s.writeEach(p, finished)
			s.recycle(p.events)
		}
		if !ok {
			return
		}
	}
}

// next waits for a parcel; ok is false when the writer shall end.
func (s *Stream[T]) next() (p parcel[T], ok bool) {
	for {
		s.mu.Lock()
		if s.waiting.Len() > 0 {
			p = s.waiting.Pop()
			s.mu.Unlock()
			return p, true
		}
		s.mu.Unlock()
		select {
		case <-s.arrived:
		case <-s.quit:
			return parcel[T]{}, false
		}
	}
}

// writeEach writes the events of p one by one. What the sink has taken is
// receipted before the writer waits for it.
func (s *Stream[T]) writeEach(p parcel[T], finished []stage.Finished) ([]stage.Finished, bool) {
	done := 0
	give := func(n int) {
		finished = s.settle(p.sub, p.first+uint64(done), n-done, finished)
		done = n
	}
	for i, event := range p.events {
		select {
		case s.to <- event:
			continue
		default:
		}
		if p.sub.Tracked() {
			give(i)
		}
		if !s.write(event) {
			give(i)
			return finished, false
		}
	}
	give(len(p.events))
	return finished, true
}

// write blocks until the sink has taken element; false if the writer shall end.
func (s *Stream[T]) write(element any) bool {
	select {
	case s.to <- element:
		return true
	case <-s.quit:
		return false
	}
}

func (s *Stream[T]) recycle(events []T) {
	clear(events)
	s.mu.Lock()
	s.spare = append(s.spare, events[:0])
	s.mu.Unlock()
}

// settle gives receipts for n events from first on and asks for as many.
// finished is storage, and answered.
func (s *Stream[T]) settle(sub *stage.Subscription[T], first uint64, n int, finished []stage.Finished) []stage.Finished {
	if n > 0 {
		finished = receipts(sub, first, n, finished)
		sub.Settle(n, finished...)
	}
	return finished
}
