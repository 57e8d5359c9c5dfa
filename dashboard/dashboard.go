package dashboard

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/internal/complain"
)

// Dashboard is the handler of the page and of what it loads.
type Dashboard struct {
	cfg     Config
	parts   []Part
	origins *http.CrossOriginProtection
	refused complain.Limit
	taking  []atomic.Bool // by part: its snapshot is under way
	// patience is writeTimeout, and shorter in tests.
	patience time.Duration

	mu      sync.Mutex // guards the rest
	run     *run       // nil while nobody looks
	viewers int        // of all runs
	closed  bool       // no more viewers
	running int        // goroutines and actions
	idle    bool       // ended is closed
	ended   chan struct{}
}

// New returns a dashboard that shows parts, in this order. An error is an
// [*OptionError].
func New(cfg Config, parts ...Part) (*Dashboard, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return nil, owner.Refuse("parts", len(parts), "at least one")
	}
	for i, p := range parts {
		if err := p.check(i); err != nil {
			return nil, err
		}
	}
	for _, p := range parts {
		for _, name := range p.absent {
			cfg.Logger.Warn("dashboard: there is no stage of this name to control", "part", p.Name, "stage", name)
		}
	}
	return &Dashboard{
		cfg: cfg, parts: append([]Part(nil), parts...), taking: make([]atomic.Bool, len(parts)),
		patience: writeTimeout, origins: http.NewCrossOriginProtection(), ended: make(chan struct{}),
	}, nil
}

// route is what one element of the path serves, by method.
type route map[string]func(d *Dashboard, w http.ResponseWriter, r *http.Request)

var routes = map[string]route{
	"state":   {http.MethodGet: (*Dashboard).serveState},
	"events":  {http.MethodGet: (*Dashboard).serveEvents},
	"control": {http.MethodPost: (*Dashboard).serveControl},
	"letters": {http.MethodGet: (*Dashboard).serveLetters, http.MethodPost: (*Dashboard).servePlay},
}

// ServeHTTP implements http.Handler.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	name := path.Base(r.URL.Path)
	if strings.HasSuffix(r.URL.Path, "/") {
		name = "index.html"
	}
	ways, ok := routes[name]
	if !ok {
		servePage(w, r, name)
		return
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	serve, ok := ways[method]
	if !ok {
		w.Header().Set("Allow", strings.Join(slices.Sorted(maps.Keys(ways)), ", "))
		fail(w, http.StatusMethodNotAllowed, "the method is not allowed")
		return
	}
	serve(d, w, r)
}

// may reports whether a request may control something.
func (d *Dashboard) may(r *http.Request) bool { return d.cfg.Allow != nil && d.cfg.Allow(r) }

// Stop ends all viewers' requests, refuses others and actions, and returns at once. It suits
// [http.Server.RegisterOnShutdown], since Shutdown waits for requests.
func (d *Dashboard) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.run != nil {
		d.run.cancel()
	}
	d.rest()
}

// Close stops the dashboard and waits until no snapshot and no action runs, or until ctx is
// done. It must not be called by an action, such as LettersConfig.Play, which would wait for
// itself.
func (d *Dashboard) Close(ctx context.Context) error {
	d.Stop()
	select {
	case <-d.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("dashboard: a snapshot or an action does not return: %w", context.Cause(ctx))
	}
}
