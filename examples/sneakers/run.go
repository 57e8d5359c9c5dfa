package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// errEnd is the cause of an end that was asked for.
var errEnd = errors.New("the end was asked for")

// run serves until ctx is done or a part fails, and then ends in order: the last requests,
// the goodbye to other nodes, the connections, the alerts, the database. ready is called
// once pages are served. No goroutine of the node is left.
func (a *app) run(ctx context.Context, ready func()) error {
	defer a.close()
	// Parts do not end with ctx but one after another.
	life, fail := context.WithCancelCause(context.WithoutCancel(ctx))
	defer fail(nil)
	defer context.AfterFunc(ctx, func() { fail(errEnd) })()

	leaveHub := background(func(ctx context.Context) {
		if err := a.hub.Run(ctx); err != nil {
			fail(err)
		}
	})
	defer leaveHub()
	a.meetOthers(life)
	untrack := background(func(ctx context.Context) {
		if err := a.tracker.Run(ctx); err != nil {
			fail(err)
		}
	})
	forget := background(a.inventory.Run)
	stopFigures := background(a.sendFigures)
	var working sync.WaitGroup
	working.Go(func() {
		if err := a.pipeline.Run(context.WithoutCancel(ctx)); err != nil {
			fail(err)
		}
	})
	working.Go(func() {
		if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			fail(err)
		}
	})
	ready()
	<-life.Done()

	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	a.endpoint.Drain()
	if err := a.server.Shutdown(limit); err != nil {
		_ = a.server.Close() // requests that do not end are cut off
	}
	stopFigures()
	a.pipeline.Drain()
	untrack() // before the clients, which other nodes would show twice, and before the hub
	closing := a.endpoint.Close(limit)
	working.Wait()
	forget()
	if cause := context.Cause(life); !errors.Is(cause, errEnd) {
		return errors.Join(cause, closing)
	}
	return closing
}

// background runs f in a goroutine until stop is called, which waits for it.
func background(f func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}
