package middleware

import (
	"context"
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/internal/complain"
	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/option"
)

// LogConfig configures [Log]. The zero value is useful.
type LogConfig[T any] struct {
	// Name is in each line, as step. Default: none.
	Name string
	// Slow is how long an attempt may take without a line of its own. Default: 0, any
	// time.
	Slow time.Duration
	// Event describes an event in its line, as event. Default: none, since events may
	// hold what must not be logged.
	Event func(event T) slog.Value
	// Logger gets the lines: Warn for an attempt that has failed or was slow. Default:
	// slog.Default.
	Logger *slog.Logger
}

// Log logs attempts that have failed and slow ones, at most one line a second for each of
// the two. A line says how many were left out since the one before. Discarded and
// postponed events are not failures.
func Log[T any](cfg LogConfig[T]) (Func[T], error) {
	if err := option.AtLeast("middleware.Log", "Slow", cfg.Slow, 0); err != nil {
		return nil, err
	}
	option.Logger(&cfg.Logger)
	l := &logger[T]{cfg: cfg}
	return l.handle, nil
}

// logger is the state of a Log.
type logger[T any] struct {
	cfg          LogConfig[T]
	failed, slow complain.Limit
}

func (l *logger[T]) handle(ctx context.Context, event T, next func(ctx context.Context) error) (err error) {
	began, returned := time.Now(), false
	defer func() {
		if !returned {
			err = unwound(recover(), func(err error) { l.note(event, err, time.Since(began)) })
		}
	}()
	err = next(ctx)
	returned = true
	l.note(event, err, time.Since(began))
	return err
}

// note logs the end of an attempt, if there is anything to say.
func (l *logger[T]) note(event T, err error, took time.Duration) {
	switch {
	case isFailure(err):
		l.line(&l.failed, "attempt failed", event, took, "error", err, "stack", crash.StackOf(err))
	case l.cfg.Slow > 0 && took >= l.cfg.Slow:
		l.line(&l.slow, "attempt was slow", event, took)
	}
}

func (l *logger[T]) line(limit *complain.Limit, message string, event T, took time.Duration, attrs ...any) {
	all := []any{"took", took}
	if l.cfg.Name != "" {
		all = append(all, "step", l.cfg.Name)
	}
	if l.cfg.Event != nil {
		// Only called if the line is logged.
		all = append(all, "event", describe[T]{l.cfg.Event, event})
	}
	for i := 0; i+1 < len(attrs); i += 2 {
		if attrs[i+1] != "" { // no stack
			all = append(all, attrs[i], attrs[i+1])
		}
	}
	limit.Log(l.cfg.Logger, slog.LevelWarn, message, all...)
}

// describe is an event that is described when its line is written.
type describe[T any] struct {
	f     func(event T) slog.Value
	event T
}

// LogValue implements slog.LogValuer.
func (d describe[T]) LogValue() slog.Value { return d.f(d.event) }
