//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// mode is one kind of measurement.
type mode struct {
	topic  string
	rounds int // unless the flag says otherwise
	run    func(ctx context.Context, b *bench, rounds int, out io.Writer) error
}

var modes map[string]mode

func init() { // a literal would refer to itself
	modes = map[string]mode{
		"idle": {usersTopic, 0, func(ctx context.Context, b *bench, _ int, _ io.Writer) error { return b.hold(ctx) }},
		"memory": {usersTopic, 0, func(ctx context.Context, b *bench, _ int, out io.Writer) error {
			sites, err := b.server.call(ctx, http.MethodGet, "/heap")
			if err == nil {
				_, err = out.Write(sites)
			}
			return err
		}},
		"room": {roomTopic, 600, func(ctx context.Context, b *bench, rounds int, out io.Writer) error {
			return printed(out)(b.room(ctx, rounds, b.o.rate))
		}},
		"users": {usersTopic, 40, func(ctx context.Context, b *bench, rounds int, out io.Writer) error {
			return printed(out)(b.users(ctx, rounds, b.o.rate))
		}},
		"echo": {usersTopic, 10, func(ctx context.Context, b *bench, rounds int, out io.Writer) error {
			return printed(out)(b.echo(ctx, rounds, cmp.Or(b.o.rate, echoRate)))
		}},
		"pipeline": {usersTopic, 40, func(ctx context.Context, b *bench, rounds int, out io.Writer) error {
			return printed(out)(b.pipeline(ctx, rounds))
		}},
		"stalled": {roomTopic, 80, func(ctx context.Context, b *bench, rounds int, out io.Writer) error {
			s, err := b.stalled(ctx, rounds, cmp.Or(b.o.rate, 10))
			if err == nil {
				printStalled(out, s)
			}
			return err
		}},
		"reconnect": {roomTopic, 0, func(ctx context.Context, b *bench, _ int, out io.Writer) error {
			took, err := b.reconnect(ctx)
			if err == nil {
				fmt.Fprintf(out, "%d clients have come back in %v\n", b.o.conns, took.Round(time.Millisecond))
			}
			return err
		}},
	}
}

// single makes one kind of measurement with a server that runs already.
func single(ctx context.Context, o options, out io.Writer) (err error) {
	m, sparse := modes[o.mode], 0
	if o.mode == "stalled" {
		o.path, sparse = limitedPath, oneIn
	}
	b, i, err := connect(ctx, o, &server{addr: o.server}, m.topic, sparse)
	if err != nil {
		return err
	}
	defer func() {
		if closing := b.close(context.WithoutCancel(ctx)); err == nil {
			err = closing
		}
		b.server.stop()
	}()
	printIdle(out, i)
	for range o.repeat {
		if err := m.run(ctx, b, cmp.Or(o.rounds, m.rounds), out); err != nil {
			return err
		}
	}
	return nil
}

// hold keeps the connections for a while.
func (b *bench) hold(ctx context.Context) error {
	end := time.After(b.o.hold)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	start := time.Now()
	for {
		select {
		case <-end:
			return b.fleet.Failure()
		case <-tick.C:
			progress("connected for %v", time.Since(start).Round(time.Second))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func printIdle(out io.Writer, i idle) {
	fmt.Fprintf(out, "%d clients have joined in %v; resident for each: %.1f KB, %.1f KB when unused memory is given back\n",
		i.conns, i.connecting.Round(time.Millisecond), i.asIs/1000, i.released/1000)
}

func printed(out io.Writer) func(d delivered, err error) error {
	return func(d delivered, err error) error {
		if err == nil {
			fmt.Fprintf(out, "%d deliveries in %v: %.0f/s, %v of the server's CPU each; made at %.0f/s; other processes had %.0f %% of the machine\n",
				d.Deliveries, d.took.Round(time.Millisecond), d.rate(), d.cpuEach(), d.made, 100*d.others)
			fmt.Fprintf(out, "latency p50 %v, p90 %v, p99 %v, p99.9 %v, longest %v\n",
				d.Quantile(50), d.Quantile(90), d.Quantile(99), d.Quantile(99.9), d.Quantile(100))
		}
		return err
	}
}

func printStalled(out io.Writer, s stalled) {
	fmt.Fprintf(out, "%d clients stopped reading and were gone after %.3f s, %.3f s after the last burst; meanwhile %.1f MB queued, %.1f MB more resident\n",
		s.slow, s.gone.Seconds(), s.handled.Seconds(), float64(s.queued)/1e6, float64(s.grown)/1e6)
	for _, x := range []struct {
		what string
		delivered
	}{{"without", s.without}, {"with", s.with}} {
		fmt.Fprintf(out, "%s: latency of the others p50 %v, p99 %v\n", x.what, x.Quantile(50), x.Quantile(99))
	}
}
