package middleware

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/penstock-go/penstock/internal/complain"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/retry"
)

// BreakerConfig configures [NewBreaker]. The zero value is useful.
type BreakerConfig struct {
	// Name names what the breaker protects, in logs and figures. Default: "breaker".
	Name string
	// Failures is the number of failed attempts one after the other that opens the
	// breaker; NoFailures sets no such number. Default: 5.
	Failures int
	// Ratio is the part of the last Window attempts that opens the breaker when it has
	// failed, more than 0 and at most 1. Default: 0, none.
	Ratio float64
	// Window is the number of attempts that Ratio looks at. Default: 100.
	Window int
	// Pause is how long the breaker is open before it lets one attempt through. While
	// such attempts fail the pause doubles, up to MaxPause. Defaults: 5 s, but at most MaxPause,
	// and 1 min, but at least Pause.
	Pause    time.Duration
	MaxPause time.Duration
	// Failure reports whether an error says that what the breaker protects does not work.
	// Default: every error but those marked with retry.Never, which are about the event.
	// Discarded and postponed events, and attempts whose context was cancelled, never
	// count. It may be called by several goroutines at once.
	Failure func(err error) bool
	// Metrics gets the figures, see docs/metrics.md. nil records nothing.
	Metrics metrics.Recorder
	// Logger gets a line for each change of state: Warn when it opens, Info when it
	// closes. Default: slog.Default.
	Logger *slog.Logger
}

// NoFailures sets no number of failures in [BreakerConfig].
const NoFailures = -1

// ErrOpen is the error, marked with [retry.Later], of an event that came while a breaker
// was not closed.
var ErrOpen = errors.New("the circuit breaker is open")

// Breaker stops attempts for a while when too many of them fail, so that what does not
// work is not asked all the time. Events wait meanwhile: they are postponed with
// [retry.Later], which counts as no attempt. One breaker may be used by several steps, see
// [Break].
type Breaker struct {
	cfg               BreakerConfig
	epoch             time.Time
	opened, postponed metrics.Counter
	gauge             metrics.Gauge
	logs              [2]complain.Limit // of the states but BreakerHalfOpen

	mu      sync.Mutex // guards the fields below
	circuit *circuit
	opens   int64
	refused int64
}

// BreakerSnapshot is the state of a [Breaker] at one moment.
type BreakerSnapshot struct {
	State BreakerState `json:"state"`
	// Since is the time of the last change, and Until that at which an open breaker lets
	// an attempt through.
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"`
	// Attempts is how many of the last ones are looked at, and Failed how many of them
	// have failed; Row is how many have failed one after the other.
	Attempts int `json:"attempts"`
	Failed   int `json:"failed"`
	Row      int `json:"row"`
	// Opened counts how often it has opened, Postponed the events that came meanwhile.
	Opened    int64 `json:"opened"`
	Postponed int64 `json:"postponed"`
}

// NewBreaker makes a closed breaker. An error is an [*OptionError].
func NewBreaker(cfg BreakerConfig) (*Breaker, error) {
	owner := option.Owner("middleware.Breaker")
	if err := option.First(
		option.AtLeast(owner, "Failures", cfg.Failures, NoFailures),
		option.Within(owner, "Ratio", cfg.Ratio, 0, 1),
		owner.Check(cfg.Failures != NoFailures || cfg.Ratio > 0, "Failures", cfg.Failures, "a number, or NoFailures with a Ratio"),
		option.Within(owner, "Window", cfg.Window, 0, math.MaxUint16),
		owner.Check(cfg.Pause == 0 || cfg.Pause >= retry.LeastPause, "Pause", cfg.Pause, "retry.LeastPause or more, or 0 for the default"),
		owner.Check(cfg.MaxPause == 0 || cfg.MaxPause >= cfg.Pause && cfg.MaxPause <= math.MaxInt64/4, "MaxPause", cfg.MaxPause, "Pause or more, or 0 for the default"),
		option.Within(owner, "Pause", cfg.Pause, 0, math.MaxInt64/4),
		owner.Recorder(cfg.Metrics),
	); err != nil {
		return nil, err
	}
	option.Default(&cfg.Name, "breaker")
	option.Default(&cfg.Failures, 5)
	option.Default(&cfg.Window, 100)
	option.Default(&cfg.Pause, 5*time.Second)
	option.Default(&cfg.MaxPause, max(time.Minute, cfg.Pause))
	cfg.Pause = min(cfg.Pause, cfg.MaxPause)
	option.Logger(&cfg.Logger)
	if cfg.Failure == nil {
		cfg.Failure = func(err error) bool { return !retry.IsNever(err) }
	}
	option.Default(&cfg.Metrics, metrics.Nop())
	b := &Breaker{cfg: cfg, epoch: time.Now(), circuit: newCircuit(max(0, cfg.Failures), cfg.Ratio, cfg.Window, cfg.Pause, cfg.MaxPause)}
	name := metrics.Tag{Key: "name", Value: cfg.Name}
	b.opened = cfg.Metrics.Counter("middleware.breaker_opened", name)
	b.postponed = cfg.Metrics.Counter("middleware.breaker_postponed", name)
	b.gauge = cfg.Metrics.Gauge("middleware.breaker_open", name)
	return b, nil
}

// Break is the middleware of b for events of type T.
func Break[T any](b *Breaker) Func[T] {
	return func(ctx context.Context, _ T, next func(ctx context.Context) error) error { return b.handle(ctx, next) }
}

// handle makes an attempt, or postpones it.
func (b *Breaker) handle(ctx context.Context, next func(ctx context.Context) error) error {
	generation, err := b.begin()
	if err != nil {
		return err
	}
	r := failed // if next panics
	defer func() { b.end(generation, r) }()
	err = next(ctx)
	r = b.judge(ctx, err)
	return err
}

// begin admits an attempt, or returns the error with which its event is postponed.
func (b *Breaker) begin() (generation uint64, err error) {
	b.mu.Lock()
	generation, ok, wait := b.circuit.admit(time.Since(b.epoch))
	if !ok {
		b.refused++
	}
	b.mu.Unlock()
	if ok {
		return generation, nil
	}
	b.postponed.Add(1)
	return 0, retry.Later(ErrOpen, wait)
}

// judge says what the end of an attempt says about what the breaker protects.
func (b *Breaker) judge(ctx context.Context, err error) result {
	switch {
	case err == nil:
		return succeeded
	case !isFailure(err) || errors.Is(ctx.Err(), context.Canceled) || !b.cfg.Failure(err):
		return unknown
	}
	return failed
}

// end takes the end of an attempt.
func (b *Breaker) end(generation uint64, r result) {
	b.mu.Lock()
	before := b.circuit.state
	b.circuit.end(generation, r, time.Since(b.epoch))
	after, pause := b.circuit.state, b.circuit.length
	if after == BreakerOpen && before != after {
		b.opens++
	}
	// The gauge is set under the lock, so that the last state is the one that stays.
	switch {
	case before == after:
	case after == BreakerOpen:
		b.gauge.Set(1)
	default:
		b.gauge.Set(0)
	}
	b.mu.Unlock()
	switch {
	case before == after:
	case after == BreakerOpen:
		b.opened.Add(1)
		b.logs[0].Log(b.cfg.Logger, slog.LevelWarn, "circuit breaker has opened", "breaker", b.cfg.Name, "pause", pause, "was", string(before))
	default:
		b.logs[1].Log(b.cfg.Logger, slog.LevelInfo, "circuit breaker has closed", "breaker", b.cfg.Name)
	}
}

// Snapshot returns the state.
func (b *Breaker) Snapshot() BreakerSnapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.circuit
	s := BreakerSnapshot{
		State: c.state, Since: b.epoch.Add(c.since), Attempts: c.seen, Failed: c.bad, Row: c.row,
		Opened: b.opens, Postponed: b.refused,
	}
	if c.state == BreakerOpen {
		s.Until = b.epoch.Add(c.until)
	}
	return s
}
