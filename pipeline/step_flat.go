package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/penstock-go/penstock/internal/complain"
	"github.com/penstock-go/penstock/retry"
)

// errEmitShared fails an event whose function calls emit on several goroutines at once.
var errEmitShared = errors.New("emit was called by two goroutines at once")

// collector gathers what the function of a FlatMap emits. There is one for each worker.
type collector[In, Out any] struct {
	now   atomic.Pointer[work[In, Out]] // nil while the function does not run
	busy  atomic.Bool                   // an emit is under way
	clash atomic.Bool                   // another one was called meanwhile

	stage   string
	logger  *slog.Logger
	ignored complain.Limit
}

// emit is what the program's function is given. Calls that are mistakes may come from any
// goroutine, at any time. One that is so late that the worker has its next event cannot be
// told from a call for that.
func (c *collector[In, Out]) emit(out Out) {
	w := c.now.Load()
	if w == nil || !c.busy.CompareAndSwap(false, true) {
		if w != nil {
			c.clash.Store(true)
		}
		c.ignored.Log(c.logger, slog.LevelError, "emit was called after its function had returned, or by two goroutines at once: the event is ignored", "stage", c.stage)
		return
	}
	w.more = append(w.more, out)
	c.busy.Store(false)
}

// flatMapFunc makes the step of FlatMap. It is called once for each worker: the function
// passed to the program is the same for all its events.
func flatMapFunc[In, Out any](f func(ctx context.Context, event In, emit func(Out)) error, at stepPlace) func() stepFunc[In, Out] {
	return func() stepFunc[In, Out] {
		c := &collector[In, Out]{stage: at.stage, logger: at.logger}
		emit := c.emit
		return func(ctx context.Context, w *work[In, Out]) error {
			w.reset()
			c.clash.Store(false)
			c.now.Store(w)
			defer c.now.Store(nil) // also after a panic
			err := f(ctx, w.in, emit)
			if c.clash.Load() {
				err = errors.Join(err, retry.Never(errEmitShared))
			}
			if err != nil {
				w.reset()
			}
			return err
		}
	}
}
