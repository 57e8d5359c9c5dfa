package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/statsd"
	"github.com/penstock-go/penstock/metrics/statsd/statsdserver"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/token"
)

// app is the whole program: its parts, made by newApp and run by run. The fields
// do not change after newApp, except for the atomic ones and closers, which
// belongs to the goroutine of run.
type app struct {
	cfg   config
	log   *slog.Logger
	begun time.Time

	statsd   *statsdserver.Server    // what is recorded, for the page and the summary
	recorder metrics.Recorder        // sends to statsd, and to the server of -statsd
	closers  []func(context.Context) // of the recorders, in order

	// The path of a push: intake, source, producer, workers, endpoint, clients.
	ledger   *ledger
	tokens   *token.Phoenix
	source   source
	intake   *intake
	workers  []*worker // one; under a rival that partitions, one for each partition
	producer *stage.ProducerStage[push]
	pipeline *stage.Pipeline
	endpoint *websocket.Endpoint
	clients  clients

	listener, debugListener net.Listener  // the second is nil if -debug-addr is off
	ready                   atomic.Bool   // GET /readyz reports it
	draining                atomic.Bool   // the end has begun
	started                 chan struct{} // closed when the intake opens
	rates                   rates
}

// newApp makes the parts and opens the listeners. If it fails it has closed
// everything that it opened.
func newApp(ctx context.Context, cfg config, log *slog.Logger) (_ *app, err error) {
	a := &app{cfg: cfg, log: log, begun: time.Now(), started: make(chan struct{})}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	// Connections wait in the listener until run serves them.
	if a.listener, err = net.Listen("tcp", cfg.Addr); err != nil {
		return nil, fmt.Errorf("-addr: %w", err)
	}
	if cfg.DebugAddr != "off" {
		if a.debugListener, err = net.Listen("tcp", cfg.DebugAddr); err != nil {
			return nil, fmt.Errorf("-debug-addr: %w", err)
		}
	}
	if err = a.openMetrics(); err != nil {
		return nil, err
	}
	// Without a load there is no heavy user, and all latencies are of the class
	// light.
	heavy := ""
	if cfg.HeavyShare > 0 && cfg.Rate > 0 {
		heavy = heavyUser
	}
	a.ledger = newLedger(a.recorder, heavy)
	if a.tokens, err = token.NewPhoenix(token.PhoenixConfig{SecretKeyBase: cfg.Secret}); err != nil {
		return nil, fmt.Errorf("-secret: %w", err)
	}
	// The endpoint needs the recorder and the tokens from above.
	if err = a.openEndpoint(); err != nil {
		return nil, err
	}
	origin := newOrigin()
	if cfg.Source == "memory" {
		a.source = newMemorySource(cfg.Buffer, origin, a.ledger)
	} else {
		k, err := newKafkaSource(ctx, cfg, origin, a.ledger, log)
		if err != nil {
			return nil, err // a.source must stay nil: an interface around a nil pointer is not
		}
		a.source = k
	}
	a.intake = &intake{source: a.source, ledger: a.ledger}
	return a, a.build()
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
		r, err := statsd.New(statsd.Config{Address: address})
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

// openEndpoint makes the WebSocket side.
func (a *app) openEndpoint() (err error) {
	a.endpoint, err = websocket.NewEndpoint(websocket.EndpointConfig{Metrics: a.recorder, Logger: a.log})
	if err != nil {
		return err
	}
	users := websocket.NewSocket(websocket.SocketConfig[user]{
		Name: "UserSocket", Connect: connect(a.tokens),
		ID: func(u user) string { return "users_socket:" + u.id },
	})
	users.Channel("user:*", userChannel)
	return a.endpoint.Mount("/socket", users, websocket.MountConfig{AuthToken: true})
}

// build joins the stages: the source with its dispatcher, and the sockets. The
// dispatcher holds what waits, so that the source's own buffer is not bounded.
func (a *app) build() (err error) {
	// Only -fairness sets a rival.
	chosen := a.cfg.rival
	if chosen == nil {
		chosen = fairDispatcher
	}
	line := chosen(a.cfg.Workers)
	a.producer, err = stage.NewProducer(a.source.handler(), stage.ProducerConfig[push]{
		Name: a.cfg.Source, Dispatcher: line.dispatcher, Logger: a.log, BufferSize: stage.Unlimited,
		Discarded: func(_ push, reason receipt.Reason) {
			if (reason == receipt.Stopped || reason == receipt.Parked) && a.cfg.Source == "kafka" {
				a.ledger.left.Add(1) // not committed, so that the next run reads it
				return
			}
			a.ledger.discard(reason)
		},
	})
	if err != nil {
		return err
	}
	stages := []stage.Stage{a.producer}
	for i, pool := range line.pools {
		sockets, err := a.newSockets(pool.workers)
		if err != nil {
			return err
		}
		// Under a rival that partitions there is a stage for each partition.
		w := &worker{Consumer: sockets, pause: a.cfg.Work, took: a.recorder.Timer("pipeline.worker.process_time")}
		name := "sockets"
		// Names of stages must be unique in a pipeline.
		if len(line.pools) > 1 {
			name += strconv.Itoa(i)
		}
		end, err := stage.NewConsumer(w, stage.ConsumerConfig{Name: name, Logger: a.log})
		if err != nil {
			return err
		}
		if _, err := end.Subscribe(a.producer, stage.SubscribeConfig{Partition: pool.partition}); err != nil {
			return err
		}
		a.workers = append(a.workers, w)
		stages = append(stages, end)
	}
	a.pipeline, err = stage.NewPipeline(stage.PipelineConfig{
		DrainTimeout: a.cfg.Drain, Metrics: a.recorder, Logger: a.log,
	}, stages...)
	return err
}

// run serves until ctx is done, the duration is over or a part fails, and then
// ends in order: no goroutine of the program is left. hard ends it at once.
func (a *app) run(ctx, hard context.Context, progress func(status)) (summary, error) {
	// Whatever happens below, listeners and sources are freed.
	defer a.close()
	if a.cfg.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.cfg.Duration)
		defer cancel()
	}
	server, err := websocket.NewServer(a.routes(), websocket.ServerConfig{Plaintext: a.cfg.Plaintext})
	if err != nil {
		return summary{}, err
	}
	// The errors of net/http are about single connections: warnings, not failures.
	server.ErrorLog = slog.NewLogLogger(a.log.Handler(), slog.LevelWarn)
	debug := &http.Server{Handler: a.debugRoutes(), ReadHeaderTimeout: 5 * time.Second}
	var serving, working sync.WaitGroup
	// The servers and the clients.
	failed := make(chan error, 3) // one for each sender, so that none blocks
	serve := func(s *http.Server, l net.Listener) {
		if l == nil {
			return
		}
		serving.Go(func() {
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	serve(server, limitSendBuffer(a.listener))
	serve(debug, a.debugListener)

	// Clients first: pushes that an earlier run has left in Kafka then reach them.
	err = a.clients.dialAll(ctx, a.listener.Addr().String(), a.cfg.Clients, a.tokenFor)
	if err != nil && ctx.Err() == nil {
		failed <- err
	}
	// The pipeline ends by Drain or Stop below and not with ctx, which is done
	// when the orderly end begins.
	ended := make(chan error, 1)
	working.Go(func() { ended <- a.pipeline.Run(context.WithoutCancel(ctx)) })
	// The stages run: what is taken in from here on has somewhere to go.
	a.intake.open.Store(true)
	a.ready.Store(true)
	close(a.started)
	// The load ends with ctx or earlier, when a part has failed.
	loading, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	working.Go(func() {
		(&load{users: a.cfg.Users, rate: a.cfg.Rate, heavyShare: a.cfg.HeavyShare, enter: a.intake.enter}).run(loading, time.Now())
	})
	// Not from ctx: the status is reported during the orderly end too.
	reporting, stopReports := context.WithCancel(context.Background())
	defer stopReports()
	working.Go(func() { a.watch(reporting, progress) })
	a.log.Info("serving", "page", "http://"+a.listener.Addr().String()+"/", "source", a.cfg.Source)

	var failure error
	// Whether the pipeline has ended, so that it is not waited for again.
	over := false
	select {
	case <-ctx.Done():
	case failure = <-failed:
	// The pipeline has a result before the end was asked for: it is a failure, even
	// without an error.
	case failure = <-ended:
		over = true
		if failure == nil {
			failure = errors.New("the pipeline ended by itself")
		}
	}

	// The orderly end: no more pushes, then the pipeline, then the connections,
	// then the recorders, which the others use.
	begun := time.Now()
	// A load balancer sends nothing more once it has seen this.
	a.ready.Store(false)
	a.draining.Store(true)
	a.intake.open.Store(false)
	stopLoad()
	a.log.Info("ending: taking in nothing more", "timeout", a.cfg.Drain)
	// From hard and not from ctx, which is done already.
	limit, cancel := context.WithTimeout(hard, a.cfg.Drain)
	defer cancel()
	if !over {
		// All that was accepted must be in the pipeline before the pipeline
		// drains.
		if err := a.source.refuse(limit); err != nil {
			failure = errors.Join(failure, err)
		}
		// Drain returns at once; ended has the result.
		a.pipeline.Drain()
		// When the time is up the pipeline is stopped, and what it holds stays undelivered.
		stop := context.AfterFunc(limit, func() { a.pipeline.Stop(stage.ErrDrainTimeout) })
		if err := <-ended; err != nil {
			failure = errors.Join(failure, err)
		}
		stop()
	}
	// The connections have a second in any case: the pushes that were written
	// last must still reach their clients.
	closing, cancelClosing := context.WithTimeout(hard, max(time.Second, a.cfg.Drain-time.Since(begun)))
	defer cancelClosing()
	// It closes the connections of the clients, which end then.
	failure = errors.Join(failure, a.endpoint.Close(closing))
	failure = errors.Join(failure, a.clients.wait(closing))
	failure = errors.Join(failure, server.Shutdown(closing), debug.Shutdown(closing))
	// After the servers have been shut down: Serve has returned by then.
	serving.Wait()
	// The progress goes on until here, so that a long end can be watched.
	stopReports()
	working.Wait()
	for _, closeRecorder := range a.closers {
		closeRecorder(closing)
	}
	a.closers = nil
	// After the recorders, which have sent what they still held.
	sum := a.summarise(closing)
	return sum, failure
}

// close frees what newApp has opened and run has not closed. It is idempotent.
func (a *app) close() {
	for _, l := range []net.Listener{a.listener, a.debugListener} {
		if l != nil {
			_ = l.Close() // closed already after run
		}
	}
	// Nil if newApp has failed before it made one.
	if a.source != nil {
		a.source.close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, closeRecorder := range a.closers {
		closeRecorder(ctx)
	}
	// Last, since the recorders send to it when they close.
	if a.statsd != nil {
		_ = a.statsd.Close() // a listener has nothing to lose
	}
}

// tokenFor makes the token with which a client connects as user. It is valid for
// tokenAge.
func (a *app) tokenFor(user string) (string, error) {
	return a.tokens.Sign(tokenSalt, user, token.SignConfig{MaxAge: tokenAge})
}

// sendBuffer is how many bytes of a connection's output the kernel may hold.
// The less it holds, the sooner a client that does not read is noticed.
const sendBuffer = 64 << 10

// limitSendBuffer returns l with connections whose send buffer is bounded.
func limitSendBuffer(l net.Listener) net.Listener { return boundedListener{l} }

// boundedListener is a listener whose connections have a send buffer of
// sendBuffer.
type boundedListener struct{ net.Listener }

// Accept implements net.Listener.
func (l boundedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // a larger buffer works as well
	}
	return conn, err
}
