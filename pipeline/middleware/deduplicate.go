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
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// DeduplicatorConfig configures [NewDeduplicator].
type DeduplicatorConfig[T any] struct {
	// Key returns what two events have in common if they are the same, such as an id that
	// their source has given them. It may be called by several goroutines at once, and is
	// required.
	Key func(event T) string
	// Window is how long a key that was handled is remembered. Default: 10 min.
	Window time.Duration
	// MaxKeys bounds the keys that are remembered: the oldest ones make room before their
	// Window has passed, which is counted and logged. Default: 100,000.
	MaxKeys int
	// Pause is the time after which an event comes again that came while the first one
	// with its key was being handled. Default: 100 ms.
	Pause time.Duration
	// Name names it in logs and figures. Default: "deduplicate".
	Name string
	// Metrics gets the figures, see docs/metrics.md. nil records nothing.
	Metrics metrics.Recorder
	// Logger gets what an operator should know. Default: slog.Default.
	Logger *slog.Logger
}

// ErrRunning is the error, marked with [retry.Later], of an event that came while another
// one with its key was being handled.
var ErrRunning = errors.New("an event with the same key is being handled")

// errDuplicate discards a duplicate.
var errDuplicate = stage.Discard(receipt.Duplicate)

// Deduplicator drops events whose key was handled before. Use its Handle around the
// function that must not be repeated, which is that of an end in most pipelines: a key
// counts as handled when that function has succeeded, whatever becomes of its result in
// later steps. Keys are remembered in memory, not over a restart of the program.
type Deduplicator[T any] struct {
	cfg      DeduplicatorConfig[T]
	epoch    time.Time
	later    error
	counters struct{ duplicates, waited, forgotten metrics.Counter }
	full     complain.Limit

	mu   sync.Mutex // guards the fields below
	keys *keys
	snap DeduplicatorSnapshot
}

// DeduplicatorSnapshot is the state of a [Deduplicator] at one moment.
type DeduplicatorSnapshot struct {
	// Keys were handled and are remembered; Running are being handled.
	Keys    int `json:"keys"`
	Running int `json:"running"`
	// Duplicates were dropped since the start, and Waited were postponed because the
	// first event was being handled.
	Duplicates int64 `json:"duplicates"`
	Waited     int64 `json:"waited"`
	// Forgotten keys made room for others before their Window had passed.
	Forgotten int64 `json:"forgotten"`
}

// NewDeduplicator makes a deduplicator that remembers nothing yet. An error is an
// [*OptionError].
func NewDeduplicator[T any](cfg DeduplicatorConfig[T]) (*Deduplicator[T], error) {
	owner := option.Owner("middleware.Deduplicator")
	if err := option.First(
		owner.Needs("Key", cfg.Key, "a function"),
		option.AtLeast(owner, "Window", cfg.Window, 0),
		option.Within(owner, "MaxKeys", cfg.MaxKeys, 0, math.MaxInt32),
		owner.Check(cfg.Pause == 0 || cfg.Pause >= retry.LeastPause, "Pause", cfg.Pause, "retry.LeastPause or more, or 0 for the default"),
		owner.Recorder(cfg.Metrics),
	); err != nil {
		return nil, err
	}
	option.Default(&cfg.Window, 10*time.Minute)
	option.Default(&cfg.MaxKeys, 100_000)
	option.Default(&cfg.Pause, 100*time.Millisecond)
	option.Default(&cfg.Name, "deduplicate")
	option.Logger(&cfg.Logger)
	option.Default(&cfg.Metrics, metrics.Nop())
	d := &Deduplicator[T]{cfg: cfg, epoch: time.Now(), later: retry.Later(ErrRunning, cfg.Pause), keys: newKeys(cfg.Window, cfg.MaxKeys)}
	name := metrics.Tag{Key: "name", Value: cfg.Name}
	d.counters.duplicates = cfg.Metrics.Counter("middleware.duplicates", name)
	d.counters.waited = cfg.Metrics.Counter("middleware.duplicates_waited", name)
	d.counters.forgotten = cfg.Metrics.Counter("middleware.keys_forgotten", name)
	return d, nil
}

// Handle is the middleware: a [Func]. A duplicate is discarded with the reason
// [receipt.Duplicate]. One that comes while the first event is being handled comes again
// after Pause: if the first one fails, it is handled in its place.
func (d *Deduplicator[T]) Handle(ctx context.Context, event T, next func(ctx context.Context) error) error {
	key := d.cfg.Key(event)
	d.mu.Lock()
	v := d.keys.begin(key, time.Since(d.epoch))
	switch v {
	case duplicate:
		d.snap.Duplicates++
	case wait:
		d.snap.Waited++
	}
	d.mu.Unlock()
	switch v {
	case duplicate:
		d.counters.duplicates.Add(1)
		return errDuplicate
	case wait:
		d.counters.waited.Add(1)
		return d.later
	}
	succeeded := false
	defer func() { d.finish(key, succeeded) }() // also if next panics
	err := next(ctx)
	succeeded = err == nil
	return err
}

// finish takes the end of the first event with a key.
func (d *Deduplicator[T]) finish(key string, succeeded bool) {
	d.mu.Lock()
	before := d.keys.forgotten
	d.keys.finish(key, succeeded, time.Since(d.epoch))
	n := d.keys.forgotten - before
	d.mu.Unlock()
	if n > 0 {
		d.counters.forgotten.Add(n)
		d.full.Log(d.cfg.Logger, slog.LevelWarn, "keys of handled events forgotten before Window: MaxKeys is reached",
			"middleware", d.cfg.Name, "max_keys", d.cfg.MaxKeys)
	}
}

// Snapshot returns the state.
func (d *Deduplicator[T]) Snapshot() DeduplicatorSnapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys.expire(time.Since(d.epoch))
	s := d.snap
	s.Keys, s.Running, s.Forgotten = d.keys.done.Len(), d.keys.running, d.keys.forgotten
	return s
}
