package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/statsd"
	"github.com/penstock-go/penstock/metrics/statsd/statsdserver"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/token"
	"github.com/penstock-go/penstock/trace"
)

// app is the whole program: its parts, made by newApp and run by run. The fields
// do not change after newApp, except for the atomic ones, and closers and
// flushers, which belong to the goroutine of run.
type app struct {
	cfg   config
	log   *slog.Logger
	begun time.Time

	statsd   *statsdserver.Server    // what is recorded, for the page and the summary
	recorder metrics.Recorder        // sends to statsd, and to the server of -statsd
	scrapes  http.Handler            // of a Prometheus server; nil without -debug-addr
	closers  []func(context.Context) // of the recorders, in order
	tracer   trace.Tracer            // nil without -otlp
	// They send what is left to the collectors. A collector may never respond.
	flushers []func(context.Context)

	// The path of a push: intake, source, producer, workers, endpoint, clients.
	ledger   *ledger
	tokens   *token.Phoenix
	revoked  *revocations
	source   source
	intake   *intake
	workers  []*worker // one; under a rival that partitions, one for each partition
	producer *stage.ProducerStage[push]
	pipeline *stage.Pipeline
	controls controls // of the dashboard
	endpoint *websocket.Endpoint
	address  func(*http.Request) netip.Addr // of a request's client
	clients  clients
	cluster  cluster
	shared   *sharedRevocations // nil without -cluster

	listener net.Listener
	// Nil without -push-addr, and with -debug-addr off.
	pushListener, debugListener net.Listener

	certificate *certificate  // nil without -tls-cert
	phase       atomic.Int32  // see the constants
	started     chan struct{} // closed when the intake opens
	rates       rates
}

// The phases of an app.
const (
	starting int32 = iota // waits for the source
	serving
	draining // the end has begun
)

// off is the value of an option for an address on which nothing listens.
const off = "off"

// newApp makes the parts and opens the listeners. If it fails it has closed
// everything that it opened.
func newApp(cfg config, log *slog.Logger) (_ *app, err error) {
	a := &app{cfg: cfg, log: log, begun: time.Now(), started: make(chan struct{}), revoked: newRevocations(cfg.TokenAge)}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if err = a.openListeners(); err != nil {
		return nil, err
	}
	if err = a.openMetrics(); err != nil {
		return nil, err
	}
	if err = a.openPrometheus(); err != nil {
		return nil, err
	}
	if err = a.openOTLP(); err != nil {
		return nil, err
	}
	// Without a load there is no heavy user, and all latencies are of the class
	// light.
	heavy := ""
	if cfg.HeavyShare > 0 && cfg.Rate > 0 {
		heavy = heavyUser
	}
	a.ledger = newLedger(a.recorder, heavy)
	callers, err := loadProducers(cfg.PushKeyFile, cfg.PushJWTFile)
	if err != nil {
		return nil, err
	}
	if a.tokens, err = token.NewPhoenix(token.PhoenixConfig{SecretKeyBase: cfg.Secret}); err != nil {
		return nil, fmt.Errorf("-secret-file: %w", redact(err))
	}
	if a.certificate, err = openCertificate(cfg.TLSCert, cfg.TLSKey, log); err != nil {
		return nil, err
	}
	a.clients.name, a.clients.renewEvery, a.clients.tokenFor = newOrigin(), cfg.TokenAge*4/5, a.tokenFor
	if err = a.openCluster(); err != nil {
		return nil, err
	}
	// The endpoint needs the recorder, the tokens and the cluster from above.
	if err = a.openEndpoint(); err != nil {
		return nil, err
	}
	if a.shared, err = a.shareRevocations(); err != nil {
		return nil, err
	}
	if err = a.openSource(); err != nil {
		return nil, err
	}
	a.intake = newIntake(a.source, a.ledger, callers, cfg.PushRate, log)
	a.intake.tracer, a.intake.sampleRoots = a.tracer, cfg.OTLP.Sample > 0
	return a, a.build()
}

// openListeners opens what clients, producers and operators connect to. Connections
// wait there until run serves them.
func (a *app) openListeners() (err error) {
	for _, l := range []struct {
		flag, address string
		to            *net.Listener
	}{
		{"addr", a.cfg.Addr, &a.listener},
		{"push-addr", a.cfg.PushAddr, &a.pushListener},
		{"debug-addr", a.cfg.DebugAddr, &a.debugListener},
	} {
		if l.address == "" || l.address == off {
			continue
		}
		if *l.to, err = net.Listen("tcp", l.address); err != nil {
			return fmt.Errorf("-%s: %w", l.flag, err)
		}
	}
	return nil
}

// openSource makes what pushes wait in. It waits for no broker.
func (a *app) openSource() error {
	origin := newOrigin()
	if a.cfg.Source == "memory" {
		a.source = newMemorySource(a.cfg.room(), origin, a.ledger, a.discarded, a.log)
		return nil
	}
	k, err := newKafkaSource(a.cfg, origin, a.ledger, a.log)
	if err != nil {
		return err // a.source must stay nil: an interface around a nil pointer is not
	}
	a.source = k
	return nil
}

// openMetrics starts the StatsD listener that the page and the summary read,
// and what sends to it and to the server that was asked for.
func (a *app) openMetrics() (err error) {
	if a.statsd, err = statsdserver.Listen(statsdserver.Config{}); err != nil {
		return err
	}
	// The recorders are closed in the order in which they were made, and each
	// sends what it still holds.
	send := func(address string) (metrics.Recorder, error) {
		r, err := statsd.New(statsd.Config{Address: address, Logger: a.log})
		if err != nil {
			return nil, err
		}
		a.closers = append(a.closers, func(ctx context.Context) { _ = r.Close(ctx) })
		return r, nil
	}
	if a.recorder, err = send(a.statsd.Addr()); err != nil || a.cfg.StatsD == "" {
		return err
	}
	other, err := send(a.cfg.StatsD)
	if err != nil {
		return fmt.Errorf("-statsd: %w", err)
	}
	// Both get every measurement.
	a.recorder = metrics.Tee(a.recorder, other)
	return nil
}

// flushGrace is how long recorders and collectors may take at the end for what is left.
const flushGrace = 3 * time.Second

// flush closes the recorders, and has the collectors take what is left, side by side: one
// that does not respond delays no other. It takes no longer than limit, and is idempotent.
func (a *app) flush(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var sending sync.WaitGroup
	for _, flush := range a.flushers {
		sending.Go(func() { flush(ctx) })
	}
	for _, closeRecorder := range a.closers {
		closeRecorder(ctx)
	}
	sending.Wait()
	a.closers, a.flushers = nil, nil
}

// close frees what newApp has opened and run has not closed. It is idempotent.
func (a *app) close() {
	for _, l := range []net.Listener{a.listener, a.pushListener, a.debugListener} {
		if l != nil {
			_ = l.Close() // closed already after run
		}
	}
	a.cluster.close()
	// Nil if newApp has failed before it made one.
	if a.source != nil {
		a.source.close()
	}
	a.flush(context.Background(), time.Second)
	// Last, since the recorders send to it when they close.
	if a.statsd != nil {
		_ = a.statsd.Close() // a listener has nothing to lose
	}
}
