package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/stage"
)

// run is one run of an app. The goroutine of app.run owns it.
type run struct {
	*app
	// Done when the end is to begin; its cause is errEnd, or the failure of a part.
	ctx  context.Context
	fail context.CancelCauseFunc // any goroutine may call it

	servers []*http.Server
	serving sync.WaitGroup // a goroutine for each server
	working sync.WaitGroup // pipeline, load and watch
	ended   chan error     // what the pipeline has returned; nil if it never ran

	stopLoad, stopReports context.CancelFunc
	leaveCluster          func() // waits until the hub has ended

	left bool // unstick has left pushes in Kafka; read once drain has returned
}

// errEnd is the cause of an end that was asked for.
var errEnd = errors.New("the end was asked for")

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
	r := &run{app: a, stopLoad: func() {}, leaveCluster: func() {}}
	r.ctx, r.fail = context.WithCancelCause(context.WithoutCancel(ctx))
	defer r.fail(nil)
	defer context.AfterFunc(ctx, func() { r.fail(errEnd) })()
	if err := r.serve(); err != nil {
		return summary{}, err
	}
	// Not from ctx: the status is reported during the orderly end too.
	reporting, stopReports := context.WithCancel(context.Background())
	defer stopReports()
	r.stopReports = stopReports
	r.working.Go(func() { a.watch(reporting, progress) })
	r.begin()
	<-r.ctx.Done()
	return r.end(hard)
}

// serve starts the servers. They are alive before the source is ready, and say so.
func (r *run) serve() error {
	if err := r.open(limitSendBuffer(r.listener), r.routes); err != nil {
		return err
	}
	if r.pushListener != nil {
		if err := r.open(r.pushListener, r.pushRoutes); err != nil {
			return err
		}
	}
	if r.debugListener == nil {
		return nil
	}
	overview, err := r.dashboard()
	if err != nil {
		return err
	}
	handler, err := r.debugRoutes(overview)
	if err != nil {
		return err
	}
	// Only programs of this machine reach it, so that its log needs no limit.
	errorLog := slog.NewLogLogger(r.log.Handler(), slog.LevelWarn)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ErrorLog: errorLog}
	server.RegisterOnShutdown(overview.Stop)
	r.listen(server, r.debugListener)
	return nil
}

// open serves clients or producers on l, with TLS if there is a certificate.
func (r *run) open(l net.Listener, routes func() (http.Handler, error)) error {
	handler, err := routes()
	if err != nil {
		return err
	}
	server, err := websocket.NewServer(handler, websocket.ServerConfig{
		TLS: r.certificate.server(), Plaintext: r.cfg.Plaintext, ClientAddress: r.address, Metrics: r.recorder, Logger: r.log,
		// The intake shares maxBodies between producers; an address alone gets half of this.
		Limits:   websocket.ServerLimits{BodyBytes: maxBody, BodiesBytes: 2 * maxBodies},
		Timeouts: websocket.ServerTimeouts{Body: 10 * time.Second, Drain: requestsGrace},
	})
	if err != nil {
		return err
	}
	r.listen(server, l)
	return nil
}

// listen has a server serve l in a goroutine. The servers log the errors of single
// connections, which do not end the program.
func (r *run) listen(s *http.Server, l net.Listener) {
	r.servers = append(r.servers, s)
	serve := s.Serve
	if s.TLSConfig != nil {
		serve = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
	}
	r.serving.Go(func() {
		if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
			r.fail(err)
		}
	})
}

// begin waits for the source and starts what works on pushes. If a part fails, or the
// end is asked for meanwhile, r.ctx is done.
func (r *run) begin() {
	r.log.Info("serving", "at", r.cfg.scheme()+r.listener.Addr().String()+"/", "page", r.cfg.Demo, "source", r.cfg.Source)
	if r.debugListener != nil {
		r.log.Info("for operators on this machine", "dashboard", "http://"+r.debugListener.Addr().String()+"/dashboard/")
	}
	r.sayWhoMayPush()
	if r.cfg.MadeUp {
		r.log.Info("no -secret-file: the secret of socket tokens is made up, and the tokens end with this process")
	}
	r.joinCluster()
	if err := r.source.prepare(r.ctx); err != nil {
		r.fail(err)
		return
	}
	r.clients.tls = r.certificate.own()
	// Clients first: pushes that an earlier run has left in Kafka then reach them.
	if err := r.clients.dialAll(r.ctx, r.listener.Addr().String(), r.cfg.Clients); err != nil {
		r.fail(err)
		return
	}
	// The pipeline ends by Drain or Stop in end and not with ctx, which is done
	// when the orderly end begins.
	r.ended = make(chan error, 1)
	r.working.Go(func() {
		err := r.pipeline.Run(context.WithoutCancel(r.ctx))
		r.ended <- err
		// Before the end was asked for it is a failure, even without an error.
		if err == nil {
			err = errors.New("the pipeline ended by itself")
		}
		r.fail(err)
	})
	// The stages run: what is taken in from here on has somewhere to go.
	r.intake.setOpen(true)
	r.phase.Store(serving)
	close(r.started)
	// The load ends with ctx or earlier, when a part has failed.
	var loading context.Context
	loading, r.stopLoad = context.WithCancel(r.ctx)
	r.working.Go(func() {
		(&load{users: r.cfg.Users, rate: r.cfg.Rate, heavyShare: r.cfg.HeavyShare, enter: r.intake.enter}).run(loading, time.Now())
	})
}

// sayWhoMayPush logs where POST /push is and what it requires.
func (r *run) sayWhoMayPush() {
	at := r.listener
	switch {
	case r.cfg.PushAddr == off:
		return
	case r.pushListener != nil:
		at = r.pushListener
	}
	if r.intake.producers.open() {
		r.log.Info("POST /push requires no key, and is open to all programs of this machine: see -push-key-file", "address", at.Addr().String())
		return
	}
	r.log.Info("POST /push requires credentials", "address", at.Addr().String())
}

// end is the orderly end: no more pushes, then the pipeline, then the connections,
// then the recorders, which the others use. It takes little longer than -drain, and
// flushGrace at the most with a collector that does not respond.
func (r *run) end(hard context.Context) (summary, error) {
	begun := time.Now()
	var failure error
	if cause := context.Cause(r.ctx); !errors.Is(cause, errEnd) {
		failure = cause
	}
	// A load balancer sends nothing more once it has seen this.
	r.phase.Store(draining)
	r.intake.setOpen(false)
	r.stopLoad()
	r.log.Info("ending: taking in nothing more", "timeout", r.cfg.Drain)
	// From hard and not from ctx, which is done already.
	limit, cancel := context.WithTimeout(hard, r.cfg.Drain)
	defer cancel()
	failure = errors.Join(failure, r.drain(limit))
	// The connections have a second in any case: the pushes that were written
	// last must still reach their clients.
	if r.left {
		r.cutOff(hard) // now that the pipeline has ended: they would be waited for
	}
	closing, cancelClosing := context.WithTimeout(hard, max(time.Second, r.cfg.Drain-time.Since(begun)))
	defer cancelClosing()
	// It closes the connections of the clients, which end then.
	failure = errors.Join(failure, r.endpoint.Close(closing))
	failure = errors.Join(failure, r.clients.wait(closing))
	r.leaveCluster() // nothing is delivered to others any more
	r.shutdown(closing)
	// The pushes that no broker has confirmed fail, and with them the last requests.
	r.source.close()
	r.intake.pending.Wait()
	// The progress goes on until here, so that a long end can be watched.
	r.stopReports()
	r.working.Wait()
	// The time of closing may be over, and is then no reason to lose the last figures.
	r.flush(hard, flushGrace)
	// After the recorders, which have sent what they still held.
	return r.summarise(hard), failure
}

// drain ends the pipeline once everything that was accepted has gone through it, or
// when ctx is done.
func (r *run) drain(ctx context.Context) error {
	if r.ended == nil {
		return nil // it never ran
	}
	var failure error
	select {
	case <-r.ended:
		return nil // by itself, which is reported already
	default:
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	watch, stopWatch := context.WithCancel(ctx)
	defer stopWatch()
	watching.Go(func() { r.unstick(watch) })
	// All that was accepted must be in the pipeline before the pipeline drains.
	if err := r.source.refuse(ctx); err != nil {
		failure = err
	}
	// Drain returns at once; ended has the result.
	r.pipeline.Drain()
	// When the time is up the pipeline is stopped, and what it holds stays undelivered.
	stop := context.AfterFunc(ctx, func() {
		if r.cfg.keeps() {
			r.leave()
			return
		}
		r.pipeline.Stop(stage.ErrDrainTimeout)
	})
	defer stop()
	return errors.Join(failure, <-r.ended)
}

// requestsGrace is how long requests that are under way at the end may go on. Then they
// are cut off: a client alone cannot spoil an orderly end.
const requestsGrace = time.Second

// shutdown ends the servers.
func (r *run) shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*requestsGrace)
	defer cancel()
	var all sync.WaitGroup
	for _, s := range r.servers {
		all.Go(func() {
			if err := s.Shutdown(ctx); err != nil {
				r.log.Warn("requests that do not end were cut off", "error", err)
				_ = s.Close() // its listener is closed already
			}
		})
	}
	all.Wait()
	r.serving.Wait()
}
