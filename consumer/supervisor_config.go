package consumer

import (
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/stage"
)

// Restart says what becomes of a worker that failed.
type Restart uint8

const (
	// Transient: the worker is started again with the same event and keeps its
	// slot. It is the default.
	Transient Restart = iota
	// Temporary: the worker is not started again; its event has failed.
	Temporary
)

// The defaults of a supervisor.
const (
	DefaultWorkers         = 64
	DefaultMaxRestarts     = 3
	DefaultRestartWindow   = 5 * time.Second
	DefaultShutdownTimeout = 5 * time.Second
	DefaultMaxDeferred     = 100_000
)

// SupervisorConfig configures [NewSupervisor]. The zero value is useful.
type SupervisorConfig[T any] struct {
	// MaxDemand is how many workers run at once for each subscription, 1 or
	// more. Default: 64. A subscription that has a MaxDemand of its own takes
	// both numbers from its own config.
	MaxDemand int
	// MinDemand is the size of the lots in which freed slots are asked for
	// again, from 0 to MaxDemand-1; 0 asks for each slot as it is freed. It is
	// not a number of workers that is kept running.
	MinDemand int
	// Restart says what becomes of a worker that failed.
	Restart Restart
	// MaxAttempts is how often at most a worker is started for one event
	// before the event has failed, with Restart Transient; 0 sets no bound.
	MaxAttempts int
	// MaxRestarts is how many restarts within RestartWindow the supervisor
	// stands; with one more it stops with ErrTooManyRestarts. Default: 3
	// within 5 s; stage.None allows no restart, stage.Unlimited any number.
	MaxRestarts   int
	RestartWindow time.Duration
	// Timeout bounds one attempt: its context is cancelled then, and a worker
	// that has not returned a tenth of Timeout later loses its event and its
	// slot. Its goroutine is counted in Stats.Stuck until it returns, and the
	// stage ends with stage.ErrHung if it has not by then. 0 sets no bound. A
	// bound costs an attempt about a microsecond and its allocations.
	Timeout time.Duration
	// MaxDeferred bounds how many events of a subscription may wait for a
	// deferred receipt: slots that could bring more are not asked for again. It
	// counts as MaxDemand if it is less. Default: 100,000.
	MaxDeferred int
	// ShutdownTimeout bounds how long a supervisor that is stopped waits for
	// its workers. Default: 5 s.
	ShutdownTimeout time.Duration
	// Failed, if set, is called for every event that has failed for good, in
	// the worker's goroutine, before its slot is free. err is a *WorkerError. A
	// Failed that panics stops the stage.
	Failed func(event T, err error)
	// Metrics gets the timer pipeline.worker.process_time. nil records nothing.
	Metrics metrics.Recorder
	// Logger gets a line for every failed attempt. nil discards.
	Logger *slog.Logger

	measured bool // Metrics was set
}

func (c SupervisorConfig[T]) withDefaults() SupervisorConfig[T] {
	option.Default(&c.MaxDemand, DefaultWorkers)
	option.Default(&c.MaxRestarts, DefaultMaxRestarts)
	option.Default(&c.MaxDeferred, DefaultMaxDeferred)
	if c.MaxRestarts == stage.None {
		c.MaxRestarts = 0
	}
	option.Default(&c.RestartWindow, DefaultRestartWindow)
	option.Default(&c.ShutdownTimeout, DefaultShutdownTimeout)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.measured = c.Metrics != nil
	option.Default(&c.Metrics, metrics.Nop())
	return c
}

// validate is called with the defaults filled in.
func (c SupervisorConfig[T]) validate() error {
	refuse := option.Owner("consumer.Supervisor").Refuse
	switch {
	case c.MaxDemand < 1:
		return refuse("MaxDemand", c.MaxDemand, "1 or more, or 0 for the default")
	case c.MinDemand < 0 || c.MinDemand >= c.MaxDemand:
		return refuse("MinDemand", c.MinDemand, "from 0 to MaxDemand-1")
	case c.Restart > Temporary:
		return refuse("Restart", c.Restart, "Transient or Temporary")
	case c.MaxAttempts < 0:
		return refuse("MaxAttempts", c.MaxAttempts, "0 or more")
	case c.MaxRestarts < 0:
		return refuse("MaxRestarts", c.MaxRestarts, "0 for the default, None, Unlimited or 1 or more")
	case c.RestartWindow < 0:
		return refuse("RestartWindow", c.RestartWindow, "0 for the default or above")
	case c.Timeout < 0:
		return refuse("Timeout", c.Timeout, "0 for none or above")
	case c.MaxDeferred < 0:
		return refuse("MaxDeferred", c.MaxDeferred, "0 for the default or above")
	case c.ShutdownTimeout < 0:
		return refuse("ShutdownTimeout", c.ShutdownTimeout, "0 for the default or above")
	}
	return nil
}
