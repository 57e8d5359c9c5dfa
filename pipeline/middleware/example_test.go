package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/penstock-go/penstock/pipeline/middleware"
	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/stage"
)

// mail is an event.
type mail struct{ id, user string }

// send stands for the function of a step.
func send(m mail) func(context.Context) error {
	return func(context.Context) error {
		if m.user == "eve" {
			return errors.New("no such user")
		}
		fmt.Println("sent", m.id)
		return nil
	}
}

// logger writes records without what differs from run to run.
func logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "took" {
			return slog.Attr{}
		}
		return a
	}}))
}

// Failures have one line a second. In a step: Use: []pipeline.Middleware[mail]{log}.
func ExampleLog() {
	log := stage.Must(middleware.Log(middleware.LogConfig[mail]{
		Name: "send", Logger: logger(), Event: func(m mail) slog.Value { return slog.StringValue(m.id) },
	}))
	for _, m := range []mail{{"1", "ann"}, {"2", "eve"}, {"3", "eve"}} {
		_ = log(context.Background(), m, send(m))
	}
	// Output:
	// sent 1
	// level=WARN msg="attempt failed" step=send event=2 error="no such user"
}

// Any tracer fits. An attempt that is not sampled gets no function to end its span.
func ExampleTrace() {
	n := 0
	trace := stage.Must(middleware.Trace[mail](middleware.TraceConfig{
		Name: "send",
		Start: func(ctx context.Context, name string) (context.Context, func(error)) {
			if n++; n%2 == 0 {
				return ctx, nil
			}
			fmt.Println("begin", name)
			return ctx, func(err error) { fmt.Println("end", name, err) }
		},
	}))
	for _, m := range []mail{{"1", "ann"}, {"2", "ann"}, {"3", "eve"}} {
		_ = trace(context.Background(), m, send(m))
	}
	// Output:
	// begin send
	// sent 1
	// end send <nil>
	// sent 2
	// begin send
	// end send no such user
}

// The context of an attempt ends in time; what it does must look at it.
func ExampleTimeout() {
	timeout := stage.Must(middleware.Timeout[mail](time.Millisecond))
	err := timeout(context.Background(), mail{}, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	fmt.Println(errors.Is(err, middleware.ErrTimeout))
	// Output: true
}

// A panic becomes an error for the middleware around it.
func ExampleRecover() {
	err := middleware.Recover[mail]()(context.Background(), mail{}, func(context.Context) error { panic("boom") })
	fmt.Println(err)
	// Output: panic: boom
}

// An event whose key was handled is dropped. One that has failed is not remembered.
func ExampleNewDeduplicator() {
	d := stage.Must(middleware.NewDeduplicator(middleware.DeduplicatorConfig[mail]{
		Key: func(m mail) string { return m.id }, Window: time.Hour,
	}))
	for _, m := range []mail{{"1", "ann"}, {"1", "ann"}, {"2", "eve"}, {"2", "ann"}} {
		if err := d.Handle(context.Background(), m, send(m)); err != nil {
			fmt.Println(m.id, err)
		}
	}
	fmt.Println(d.Snapshot().Duplicates, "duplicate")
	// Output:
	// sent 1
	// 1 discarded: duplicate
	// 2 no such user
	// sent 2
	// 1 duplicate
}

// A breaker may protect a service that several steps use. While it is open nothing is
// tried, and the events come again later.
func ExampleNewBreaker() {
	breaker := stage.Must(middleware.NewBreaker(middleware.BreakerConfig{Name: "smtp", Failures: 2, Logger: logger()}))
	guard := middleware.Break[mail](breaker)
	for _, m := range []mail{{"1", "eve"}, {"2", "eve"}, {"3", "ann"}} {
		fmt.Println(m.id, guard(context.Background(), m, send(m)))
	}
	fmt.Println(breaker.Snapshot().State)
	// Output:
	// 1 no such user
	// level=WARN msg="circuit breaker has opened" breaker=smtp pause=5s was=closed
	// 2 no such user
	// 3 the circuit breaker is open
	// open
}

// Work for users who are not online is left out. presence knows who is, on all nodes.
func ExampleOnline() {
	hub := stage.Must(pubsub.New(pubsub.Config{}))
	tracker := stage.Must(presence.New(presence.Config{Hub: hub}))
	online := stage.Must(middleware.Online(middleware.OnlineConfig[mail]{
		Online: func(_ context.Context, m mail) bool { return tracker.Online("users", m.user) },
	}))
	tab, leave := context.WithCancel(context.Background()) // in a channel's handler: ch.Context()
	defer leave()
	if _, err := tracker.Track(tab, "users", "ann", nil); err != nil {
		fmt.Println(err)
	}
	for _, m := range []mail{{"1", "ann"}, {"2", "bob"}} {
		if err := online(context.Background(), m, send(m)); err != nil {
			fmt.Println(m.id, err)
		}
	}
	// Output:
	// sent 1
	// 2 discarded: offline
}
