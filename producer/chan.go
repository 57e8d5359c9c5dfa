package producer

import (
	"context"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// lot is the greatest number of events received before they are handed over.
const lot = 256

// ChanConfig configures [NewChan]. The zero value is useful.
type ChanConfig[T any] struct {
	// Discarded, if set, is called with receipt.Stopped for every event that
	// was received and not emitted before the stage stopped. It must not block.
	Discarded func(event T, reason receipt.Reason)
}

// Chan is a channel as a source. It implements stage.Producer.
//
// A goroutine of its own, which begins with the first demand, receives from the
// channel: never more than was asked for, and events that arrive without waiting
// are emitted together. The stage ends when the channel is closed. A drain or
// stop leaves the other events in the channel.
type Chan[T any] struct{ *feed[T] }

// NewChan makes a source of a channel, which must not be nil: the error is an
// [*OptionError].
func NewChan[T any](ch <-chan T, cfg ChanConfig[T]) (*Chan[T], error) {
	if ch == nil {
		return nil, option.Owner("producer.Chan").Refuse("ch", nil, "a channel")
	}
	c := &Chan[T]{newFeed(0, nil, cfg.Discarded)}
	c.feed.read = func() error {
		return receive(c.feed, ch, func(events []T, event T) ([]T, error) { return append(events, event), nil })
	}
	return c, nil
}

// HandleStart implements stage.StartHandler.
func (c *Chan[T]) HandleStart(ctx context.Context, self *stage.Handle) error {
	c.start(ctx, self)
	return nil
}

// receive reads a channel until it is closed or the reader must end: add appends
// the events of an element to those that are handed over next.
func receive[E, T any](f *feed[T], ch <-chan E, add func([]T, E) ([]T, error)) error {
	var events []T
	for {
		n := min(f.permit(), lot)
		if n == 0 {
			return nil
		}
		var err error
		select {
		case e, ok := <-ch:
			if !ok {
				return nil
			}
			events, err = add(events[:0], e)
		case <-f.quitting:
			return nil
		}
		open, waits := true, false
		for err == nil && open && !waits && len(events) < n {
			var e E
			select {
			case e, open = <-ch:
				if open {
					events, err = add(events, e)
				}
			default:
				waits = true
			}
		}
		f.putAll(events)
		clear(events)
		if err != nil || !open {
			return err
		}
	}
}
