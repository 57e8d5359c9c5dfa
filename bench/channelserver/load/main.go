//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	roomTopic  = "room:load"
	usersTopic = "user:"
)

type options struct {
	suite                 bool
	mode, server, path    string
	binary                string
	conns, parallel       int
	loops, workers        int
	rounds, rate, bytes   int
	repeat                int
	quiet, hold, duration time.Duration
}

const usageText = `Load measures a channelserver with many WebSocket clients on the same machine.

	load -suite                          all measurements, with servers of its own
	load -mode room -rounds 600          one measurement of a server that runs

Modes: idle, memory, room, users, echo, pipeline, stalled, reconnect.

`

func parse(args []string, errs io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.SetOutput(errs)
	f.Usage = func() {
		fmt.Fprint(f.Output(), usageText)
		f.PrintDefaults()
	}
	f.BoolVar(&o.suite, "suite", false, "start servers, make all measurements, print one table with the targets")
	f.StringVar(&o.mode, "mode", "room", "what to measure if not the suite")
	f.StringVar(&o.server, "server", "127.0.0.1:4100", "IPv4 `address` of the server; in the suite where its servers listen")
	f.StringVar(&o.path, "path", "/socket/websocket", "`path` of the socket; stalled uses "+limitedPath)
	f.StringVar(&o.binary, "server-binary", "", "in the suite: the channelserver to start; empty: build it")
	f.IntVar(&o.conns, "conns", 5000, "`number` of clients")
	f.IntVar(&o.parallel, "parallel", 128, "clients that connect at once; reconnect means all")
	f.IntVar(&o.loops, "loops", runtime.GOMAXPROCS(0), "epoll loops of the client")
	f.IntVar(&o.rounds, "rounds", 0, "broadcasts, or pushes for each client; 0: as in the suite")
	f.IntVar(&o.rate, "rate", 0, "broadcasts or pushes `per second`; 0: flat out (stalled: 10, echo: 10,000)")
	f.IntVar(&o.bytes, "bytes", 200, "length of the filler in each payload")
	f.IntVar(&o.workers, "workers", 2, "goroutines of the server that push (users), or pools (pipeline)")
	f.IntVar(&o.repeat, "repeat", 1, "measure so often, with the same connections")
	f.DurationVar(&o.quiet, "quiet", 5*time.Second, "give up when nothing came for so long")
	f.DurationVar(&o.hold, "hold", 0, "idle: stay connected for so long")
	f.DurationVar(&o.duration, "timeout", 3*time.Minute, "give up after so long")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; -h explains the flags", f.Arg(0))
	}
	for name, v := range map[string]int{"conns": o.conns, "parallel": o.parallel, "loops": o.loops, "workers": o.workers, "repeat": o.repeat} {
		if v < 1 {
			return o, fmt.Errorf("-%s is %d, allowed: 1 or more", name, v)
		}
	}
	for name, v := range map[string]int{"rounds": o.rounds, "rate": o.rate, "bytes": o.bytes} {
		if v < 0 {
			return o, fmt.Errorf("-%s is %d, allowed: 0 or more", name, v)
		}
	}
	if _, ok := modes[o.mode]; !ok {
		return o, fmt.Errorf("-mode is %q, allowed: idle, memory, room, users, echo, pipeline, stalled, reconnect", o.mode)
	}
	if most := openFiles() - 100; o.conns > most {
		return o, fmt.Errorf("-conns is %d, allowed: up to %d (the bound of open files, less a hundred)", o.conns, most)
	}
	return o, nil
}

// openFiles is how many files this process, and a server it starts, may open.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return int(min(limit.Cur, 1<<30))
}

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.duration)
	defer cancel()
	if o.suite {
		err = suite(ctx, o, os.Stdout)
	} else {
		err = single(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", strings.ReplaceAll(err.Error(), "\n", "\n\t"))
		os.Exit(1)
	}
}

// progress prints a line for the user.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
