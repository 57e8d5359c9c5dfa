package main

import (
	"fmt"
	"math"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/penstock-go/penstock/dashboard"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pubsub/nats"
	"github.com/penstock-go/penstock/pubsub/redis"
	"github.com/penstock-go/penstock/stage"
)

// dashboard is the page at /dashboard/ of the debug address. It names users, which only
// operators on this machine may see. Without -dashboard-control nothing can be controlled.
func (a *app) dashboard() (*dashboard.Dashboard, error) {
	cfg := dashboard.Config{Title: "pushpipeline", Logger: a.log}
	var controls []dashboard.Control
	if a.cfg.Control {
		// Pages of other sites are refused by the dashboard itself, and by debugRoutes.
		cfg.Allow = func(*http.Request) bool { return true }
		controls = a.controls.of(a.cfg.Source, a.workers)
	}
	parts := []dashboard.Part{dashboard.Stages("pushes", a.pipeline, controls...), dashboard.Sockets("sockets", a.endpoint)}
	if a.cluster.hub != nil {
		parts = append(parts, dashboard.Topics("topics", a.cluster.hub))
	}
	switch remote := a.cluster.remote.(type) {
	case *nats.Remote:
		parts = append(parts, dashboard.Nodes("NATS", remote))
	case *redis.Remote:
		parts = append(parts, dashboard.Nodes("Redis", remote))
	}
	return dashboard.New(cfg, parts...)
}

// controls are what the dashboard can change while the program runs.
type controls struct {
	subs   []*stage.Subscription[push]
	mu     sync.Mutex    // held while subs and paused change, and workers and size, so that they agree
	paused atomic.Bool   // read without mu
	rate   atomic.Uint64 // bits of the float64: pushes a second of each user, 0 for no limit
	size   atomic.Int64  // what -workers is now
}

// of returns what the page may do with the two stages.
func (c *controls) of(source string, workers []*worker) []dashboard.Control {
	return []dashboard.Control{
		{
			Stage: "sockets", Paused: c.paused.Load, Pause: func() { c.pause(true) }, Resume: func() { c.pause(false) },
			Workers: func() int { return int(c.size.Load()) }, Resize: func(n int) error { return c.resize(workers, n) },
		},
		{Stage: source, RateOf: "pushes a second of each user", Rate: func(perSecond float64) error {
			c.rate.Store(math.Float64bits(min(perSecond, 1e9)))
			return nil
		}},
	}
}

// pause keeps pushes in the dispatcher, or lets them go on.
func (c *controls) pause(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused.Store(on)
	for _, s := range c.subs {
		if on {
			s.Pause()
		} else {
			s.Resume()
		}
	}
}

// resize changes how many pushes may be worked on or on their way to sockets, as -workers.
func (c *controls) resize(workers []*worker, n int) error {
	if n > maxWorkers {
		return fmt.Errorf("%d workers are too many: %d at most", n, maxWorkers)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range workers {
		if err := w.Resize(n); err != nil {
			return err
		}
	}
	c.size.Store(int64(n))
	return nil
}

// rateOf is the limit of any user.
func (c *controls) rateOf(push) fair.Rate {
	return fair.Rate{PerSecond: math.Float64frombits(c.rate.Load())}
}
