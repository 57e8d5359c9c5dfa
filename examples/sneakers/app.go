package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/examples/internal/otlp"
	"github.com/penstock-go/penstock/examples/sneakers/inventory"
	"github.com/penstock-go/penstock/examples/sneakers/store"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/statsd"
	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

// app is one node of the shop. newApp makes its parts, run gives them their life. The fields
// do not change after newApp, except for the counters.
type app struct {
	cfg    config
	log    *slog.Logger
	signer signer

	folder    string // of the embedded database; empty if there is another one
	store     *store.Store
	recorder  metrics.Recorder
	scrapes   http.Handler     // GET /metrics
	statsd    *statsd.Recorder // nil without -statsd
	sender    *otlp.Sender     // to collectors; nil if newApp has failed before
	tracer    trace.Tracer     // nil without -otlp
	cluster   cluster
	hub       *pubsub.Hub
	endpoint  *websocket.Endpoint
	inventory *inventory.Inventory
	tracker   *presence.Tracker
	rendered  rendered
	gate      *gate

	wanted   wanted
	alerts   *producer.Queue[alert]
	pipeline *stage.Pipeline
	alerted  latencies

	sold, refused atomic.Int64 // by this node: pairs, and carts that came too late

	overview *overview
	listener net.Listener
	server   *http.Server
}

// newApp makes a node and opens its listener. If it fails it has closed what it has opened.
func newApp(ctx context.Context, cfg config, log *slog.Logger) (a *app, err error) {
	a = &app{cfg: cfg, log: log, recorder: metrics.Nop()}
	defer func() {
		if err != nil {
			a.close()
			a = nil
		}
	}()
	if a.signer, err = newSigner(cfg.Secret); err != nil {
		return a, err
	}
	if a.listener = cfg.listener; a.listener == nil {
		if a.listener, err = net.Listen("tcp", cfg.Addr); err != nil {
			return a, fmt.Errorf("-addr: %w", err)
		}
	}
	if cfg.StatsD != "" {
		if a.statsd, err = statsd.New(statsd.Config{Address: cfg.StatsD, Logger: log}); err != nil {
			return a, fmt.Errorf("-statsd: %w", err)
		}
	}
	if err = a.openPrometheus(); err != nil {
		return a, err
	}
	if err = a.openOTLP(); err != nil {
		return a, err
	}
	a.gate = newGate(cfg, a.recorder, log)
	if err = a.openStore(ctx); err != nil {
		return a, err
	}
	if err = a.openHub(); err != nil {
		return a, err
	}
	a.endpoint, err = websocket.NewEndpoint(websocket.EndpointConfig{PubSub: a.hub, Metrics: a.recorder, Tracer: a.tracer, Logger: log, Limits: cfg.limits()})
	if err != nil {
		return a, err
	}
	if err = errors.Join(a.openSocket(), a.openAdminSocket(), a.openAlerts()); err != nil {
		return a, err
	}
	// The admin sees the shoppers of a node that was killed leave within two seconds.
	a.tracker, err = presence.New(presence.Config{Hub: a.hub, DiffPeriod: 250 * time.Millisecond, BroadcastPeriod: 250 * time.Millisecond,
		HeartbeatPeriod: 500 * time.Millisecond, DownPeriod: 1250 * time.Millisecond, Logger: log})
	if err != nil {
		return a, err
	}
	a.inventory, err = inventory.New(ctx, inventory.Config{Hub: a.hub, Loader: a.store, Changed: a.notify, Logger: log})
	if err != nil {
		return a, err
	}
	return a, a.openServer()
}

// openStore opens the database and fills an empty one.
func (a *app) openStore(ctx context.Context) (err error) {
	database := a.cfg.Database
	if database == "" {
		if a.folder, err = os.MkdirTemp("", "sneakers-"); err != nil {
			return err
		}
		database = filepath.Join(a.folder, "shop.db")
	}
	if a.store, err = store.Open(ctx, database); err != nil {
		return fmt.Errorf("-database: %w", err)
	}
	return a.store.Seed(ctx, catalogue(a.cfg.Stock, a.cfg.Released))
}

// openServer makes what serves HTTP.
func (a *app) openServer() (err error) {
	mux := http.NewServeMux()
	mux.Handle("/socket/", a.endpoint)
	mux.Handle("/admin_socket/", a.endpoint)
	a.shopRoutes(mux)
	a.adminRoutes(mux)
	if err := a.openOverview(mux); err != nil {
		return err
	}
	a.metricsRoutes(mux)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	// A page of another site cannot post: the browser's own headers give it away. The forms
	// have tokens besides.
	guarded, err := websocket.CheckHost(http.NewCrossOriginProtection().Handler(mux), a.cfg.hosts(a.listener.Addr().String())...)
	if err != nil {
		return err
	}
	var certificates *tls.Config // TLS ends at a proxy: -plaintext
	a.server, err = websocket.NewServer(guarded, websocket.ServerConfig{
		TLS: certificates, Plaintext: a.cfg.Plaintext, Metrics: a.recorder, Logger: a.log,
		Limits: websocket.ServerLimits{BodyBytes: maxForm}, Timeouts: websocket.ServerTimeouts{Drain: time.Second},
	})
	if err == nil {
		a.server.RegisterOnShutdown(a.overview.Stop)
	}
	return err
}

// address is where the node is reached.
func (a *app) address() string { return "http://" + a.listener.Addr().String() }

// close frees what newApp has opened and run has not closed. It is idempotent.
func (a *app) close() {
	if a.listener != nil {
		_ = a.listener.Close() // closed already after run
	}
	a.cluster.close()
	if a.store != nil {
		_ = a.store.Close()
	}
	if a.folder != "" {
		_ = os.RemoveAll(a.folder) // below the folder for temporary files
	}
	if a.statsd != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = a.statsd.Close(ctx)
	}
	if a.sender != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		a.sender.Shutdown(ctx)
	}
}

// afterwards returns a context for what must still be said after a transaction, although
// the client that caused it may be gone.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
}
