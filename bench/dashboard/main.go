// Command dashboard measures what a dashboard costs the program that it shows: how much of
// one core the program needs without it, with nobody looking, and with viewers, in turns
// within one run. The viewers are in a process of their own.
//
//	go run ./bench/dashboard
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"
)

// options are the flags.
type options struct {
	rate, stages, keys, viewers, rounds int
	round                               time.Duration
	interval                            time.Duration
}

func main() {
	o := options{}
	flag.IntVar(&o.rate, "rate", 100_000, "events a second")
	flag.IntVar(&o.stages, "stages", 1000, "stages, about")
	flag.IntVar(&o.keys, "keys", 10_000, "keys of the fair dispatcher")
	flag.IntVar(&o.viewers, "viewers", 10, "viewers")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of each kind")
	flag.DurationVar(&o.round, "round", 5*time.Second, "length of a round")
	flag.DurationVar(&o.interval, "interval", time.Second, "interval of the dashboard")
	url := flag.String("view", "", "only look, at this address")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *url != "" {
		err = look(ctx, *url, o.viewers)
	} else {
		err = measure(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}

// measure runs the program and prints what it needs.
func measure(ctx context.Context, o options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := newProgram(o)
	d, err := p.dashboard(o)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/dashboard/", d)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	ended := make(chan error, 1)
	go func() { ended <- p.pipeline.Run(ctx) }()
	url := fmt.Sprintf("http://%s/dashboard/events", listener.Addr())
	err = p.rounds(ctx, o, url)
	if e := d.Close(context.WithoutCancel(ctx)); err == nil {
		err = e
	}
	p.pipeline.Stop(nil)
	if e := <-ended; err == nil {
		err = e
	}
	return err
}

func init() { slog.SetDefault(slog.New(slog.DiscardHandler)) }
