// Command scene runs a pipeline that is in trouble, behind a dashboard: one user floods it,
// one worker does not return, one user is parked, and so on. The test of the page in a
// browser opens it, and so may those who change the page.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "address; port 0 takes a free one, which is printed")
	control := flag.Bool("control", true, "whether the page may control the pipeline")
	stages := flag.Int("stages", 0, "show a made-up pipeline of so many stages as well")
	calm := flag.Bool("calm", false, "a pipeline without trouble")
	interval := flag.Duration("interval", time.Second, "time between two states")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *addr, options{control: *control, stages: *stages, calm: *calm, interval: *interval}); err != nil {
		slog.Error("the scene ended", "error", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	control, calm bool
	stages        int
	interval      time.Duration
}

// run serves the dashboard of a pipeline until ctx is done.
func run(ctx context.Context, addr string, o options) error {
	s, err := newScene(o)
	if err != nil {
		return err
	}
	dash, err := s.dashboard(o)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/dashboard/", dash)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	fmt.Printf("http://%s/dashboard/\n", listener.Addr())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-ended
}
