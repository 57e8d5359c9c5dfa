package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:4100", "address to listen on")
	secret := flag.String("secret", strings.Repeat("phxbench", 8), "secret that tokens are signed with")
	resume := flag.Bool("resume", false, "add the resumable topics kept:*")
	profile := flag.String("cpuprofile", "", "write a CPU profile of the whole run to this `file`")
	period := flag.Duration("presence-period", 0, "gather changes of presences for so long before they are broadcast")
	ping := flag.Duration("ping", 0, "send WebSocket pings this often to clients of /socket")
	hosts := flag.String("hosts", "localhost,127.0.0.1,[::1]", "hosts by which the server may be reached, with commas; empty for any")
	clusterListen := flag.String("cluster", "", "share broadcasts and presences with others over a NATS server inside the process, which listens for theirs at this `host:port`")
	join := flag.String("join", "", "with -cluster: the -cluster of others, with commas")
	node := flag.String("node", "", "with -cluster: the name of this server; empty makes one up")
	batch := flag.Int("shutdown-batch", 0, "clients that are closed at once at the end, a tenth of a second before the next ones; 0 for the library's default")
	percent := flag.Int("gc-percent", 400, "GOGC while the collector runs 20 times a second or more often; below that, and always with 0, it is the usual one")
	loop := flag.Bool("event-loop", false, "connections are in event loops (EndpointConfig.EventLoop)")
	sites := flag.Bool("heap-sites", false, "record every allocation, for GET /heap")
	verbose := flag.Bool("v", false, "log connects and joins")
	flag.Parse()
	if *sites {
		runtime.MemProfileRate = 1
	}
	level := slog.LevelError + 1
	if *verbose {
		level = slog.LevelDebug
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	o := options{secret: *secret, resume: *resume, diffPeriod: *period, ping: *ping, batch: *batch, eventLoop: *loop, logger: logger}
	err := profiled(*profile, func() error {
		others, err := openCluster(*node, *clusterListen, *join, &o)
		if err != nil {
			return err
		}
		return run(*listen, *hosts, *percent, o, others)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "channelserver:", err)
		os.Exit(1)
	}
}

// profiled runs f and writes a profile of it to file, unless that is "".
func profiled(file string, f func() error) error {
	if file == "" {
		return f()
	}
	w, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(w); err != nil {
		return errors.Join(err, w.Close())
	}
	err = f()
	pprof.StopCPUProfile()
	return errors.Join(err, w.Close())
}

func run(listen, hosts string, percent int, o options, others cluster) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := newServer(o)
	if err != nil {
		return err
	}
	// All clients of a load test have one address, and connect at once.
	cfg := websocket.ServerConfig{
		Plaintext: true, Logger: o.logger,
		Limits: websocket.ServerLimits{Waiting: 1 << 18, Requests: 1 << 18, BodyBytes: 10_000_000},
	}
	if hosts != "" {
		cfg.Hosts = strings.Split(hosts, ",")
	}
	server, err := websocket.NewServer(s.mux, cfg)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	go tuneCollector(ctx, percent, func() int { return s.endpoint.Snapshot().Connections })
	failed := make(chan error, 1)
	untrack, leave := others.join(ctx, s, failed)
	defer leave()
	fmt.Println("listening on", l.Addr())
	go func() { report(failed, server.Serve(l)) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stop() // a second signal aborts
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s.endpoint.Drain()
	// Before the clients, which are at other nodes soon: there they must not be seen twice.
	untrack()
	return errors.Join(s.endpoint.Close(grace), server.Shutdown(grace))
}
