package consumer

import (
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// Restart decides what happens to a worker that has failed.
type Restart uint8

const (
	// Transient starts the worker again with the same event, after a pause. It is the
	// default.
	Transient Restart = iota
	// Temporary does not start the worker again: its event has failed.
	Temporary
)

// The defaults of a supervisor.
const (
	DefaultWorkers         = 64
	DefaultRestartWindow   = 5 * time.Second
	DefaultShutdownTimeout = 5 * time.Second
	DefaultMaxDeferred     = 100_000
)

// SupervisorConfig configures [NewSupervisor]. The zero value is useful.
type SupervisorConfig[T any] struct {
	// MaxDemand bounds how many workers run at once for each subscription, 1 or
	// more. Default: 64. A subscription whose config sets MaxDemand takes both
	// numbers from there.
	MaxDemand int
	// MinDemand batches demand: freed slots are requested upstream in groups of
	// this size, from 0 to MaxDemand-1. 0 requests each slot as it is freed. A
	// smaller group is requested when it has waited for about 100 ms, and the
	// slots of workers that take longer than that do not count, so that they do
	// not keep the other slots empty.
	MinDemand int
	// Restart decides what happens to a worker that has failed.
	Restart Restart
	// Retry says how often a worker is started for one event, with Restart Transient,
	// and after which pauses. Then the event has failed. During a pause the event holds
	// neither a goroutine nor its slot, which goes to another event, and after it the
	// event goes before those that wait for a worker. Only with a MaxDemand of 1 does it
	// keep the slot, so that the order is kept.
	Retry retry.Policy
	// MaxRestarts is how many restarts within RestartWindow the supervisor
	// allows. With one more it stops with ErrTooManyRestarts and leaves the
	// events that are not finished without a receipt, rather than fail one event
	// after the other while a service is down. Default: stage.Unlimited;
	// stage.None allows no restart.
	MaxRestarts int
	// RestartWindow is the time in which restarts are counted. Default: 5 s.
	RestartWindow time.Duration
	// Timeout bounds one attempt: its context is cancelled then, and a worker
	// that has not returned a tenth of Timeout later loses its event and its
	// slot. Its goroutine is counted in SupervisorSnapshot.Stuck until it returns, and the
	// stage ends with stage.ErrHung if it has not by then. 0 sets no bound. A
	// bound costs an attempt about a microsecond and its allocations.
	Timeout time.Duration
	// MaxDeferred bounds how many events of a subscription may wait for a
	// deferred receipt, or for the end of a pause and the attempts after it: slots that
	// could bring more are not asked for. A value below MaxDemand counts as MaxDemand.
	// Default: 100,000.
	MaxDeferred int
	// ShutdownTimeout bounds how long a supervisor that is stopped waits for
	// its workers. Default: 5 s.
	ShutdownTimeout time.Duration
	// DeadLetters, if set, gets a letter for each event that has failed for good, and
	// the event gets its receipt when the letter is stored. Its slot is free meanwhile:
	// it counts as one whose receipt is deferred, so that MaxDeferred bounds how many
	// wait. Default: the receipt is given at once.
	DeadLetters deadletter.Sink
	// Encode makes the bytes of a letter of an event. Default: its JSON.
	Encode func(event T) ([]byte, error)
	// Failed, if set, is called for every event that has failed for good, in the
	// worker's goroutine, before its slot is free. err is a *WorkerError. If Failed
	// panics the stage stops.
	Failed func(event T, err error)
	// Metrics gets the timer pipeline.worker.process_time, the counters
	// consumer.retries and consumer.failures, and the gauges consumer.stuck_workers
	// and consumer.long_workers. nil records nothing.
	Metrics metrics.Recorder
	// Logger gets a line for a failed attempt that is repeated, and one for an
	// event that has failed for good, each at most once a second with the number
	// of failures that it stands for. It also gets one for workers that are stuck
	// or have run one attempt for a minute: when there are more than before, at most
	// once a second, and otherwise once a minute while there are any. Default: slog.Default.
	Logger *slog.Logger

	measured bool // Metrics was set
}

// withDefaults returns the config with its zero fields filled in. The pool knows None and
// nil no more.
func (c SupervisorConfig[T]) withDefaults() SupervisorConfig[T] {
	option.Default(&c.MaxDemand, DefaultWorkers)
	c.Retry = c.Retry.WithDefaults()
	option.Default(&c.MaxRestarts, stage.Unlimited)
	option.Default(&c.MaxDeferred, DefaultMaxDeferred)
	if c.MaxRestarts == stage.None {
		c.MaxRestarts = 0
	}
	option.Default(&c.RestartWindow, DefaultRestartWindow)
	option.Default(&c.ShutdownTimeout, DefaultShutdownTimeout)
	option.Logger(&c.Logger)
	c.measured = c.Metrics != nil
	option.Default(&c.Metrics, metrics.Nop())
	return c
}

// validate is called with the defaults filled in.
func (c SupervisorConfig[T]) validate() error {
	owner := option.Owner("consumer.Supervisor")
	refuse := owner.Refuse
	switch {
	case c.MaxDemand < 1:
		return refuse("MaxDemand", c.MaxDemand, "1 or more, or 0 for the default")
	case c.MinDemand < 0 || c.MinDemand >= c.MaxDemand:
		return refuse("MinDemand", c.MinDemand, "from 0 to MaxDemand-1")
	case c.Restart > Temporary:
		return refuse("Restart", c.Restart, "Transient or Temporary")
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
	return option.First(c.Retry.Validate(string(owner)), owner.Recorder(c.Metrics), checkSink(owner, c.DeadLetters))
}
