package middleware

import (
	"context"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// OnlineConfig configures [Online].
type OnlineConfig[T any] struct {
	// Online reports whether the user that an event is for is online. It must return soon
	// and may be called by several goroutines at once. It is required. With package
	// presence:
	//
	//	func(_ context.Context, m Message) bool { return tracker.Online("users", m.User) }
	Online func(ctx context.Context, event T) bool
	// PassOn calls the function of the step for events of users who are offline as well,
	// with a context of which [IsOffline] reports true. By default they are discarded,
	// with the reason [receipt.Offline].
	PassOn bool
	// Reason is the reason with which events are discarded. Default: receipt.Offline.
	Reason receipt.Reason
	// Name is the tag of the figures. Default: "online".
	Name string
	// Metrics counts the events of users who are offline. nil records nothing.
	Metrics metrics.Recorder
}

// offlineKey is the key of the mark in a context.
type offlineKey struct{}

// IsOffline reports whether [Online] has found that the user of the event is offline.
func IsOffline(ctx context.Context) bool { return ctx.Value(offlineKey{}) != nil }

// Online asks whether a user is online before the work of the step begins.
func Online[T any](cfg OnlineConfig[T]) (Func[T], error) {
	owner := option.Owner("middleware.Online")
	if err := option.First(
		owner.Needs("Online", cfg.Online, "a function"),
		owner.Check(!cfg.PassOn || cfg.Reason == "", "Reason", string(cfg.Reason), "none with PassOn"),
		owner.Recorder(cfg.Metrics),
	); err != nil {
		return nil, err
	}
	option.Default(&cfg.Reason, receipt.Offline)
	option.Default(&cfg.Name, "online")
	discard := stage.Discard(cfg.Reason)
	option.Default(&cfg.Metrics, metrics.Nop())
	offline := cfg.Metrics.Counter("middleware.offline", metrics.Tag{Key: "name", Value: cfg.Name})
	return func(ctx context.Context, event T, next func(ctx context.Context) error) error {
		if cfg.Online(ctx, event) {
			return next(ctx)
		}
		offline.Add(1)
		if !cfg.PassOn {
			return discard
		}
		return next(context.WithValue(ctx, offlineKey{}, true))
	}, nil
}
