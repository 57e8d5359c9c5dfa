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
	"slices"
	"strings"
	"syscall"
	"time"
)

type options struct {
	backplanes, parts []string
	redis, profile    string
	json              bool
	seconds           time.Duration
	timeout           time.Duration
	child             string // set in the processes that the program starts
}

const usageText = `Clusterspeed measures three nodes on this machine, joined by NATS and by Redis, and prints
one table.

	clusterspeed                                   everything, in about three minutes
	clusterspeed -backplane nats -part pushes      a part of it

Parts: pushes, sockets, nodes, rooms, presence, topics.

`

var (
	allBackplanes = []string{"nats", "redis"}
	allParts      = []string{"pushes", "sockets", "nodes", "rooms", "presence", "topics"}
)

func parse(args []string, errs io.Writer) (o options, err error) {
	f := flag.NewFlagSet("clusterspeed", flag.ContinueOnError)
	f.SetOutput(errs)
	f.Usage = func() {
		fmt.Fprint(f.Output(), usageText)
		f.PrintDefaults()
	}
	backplanes := f.String("backplane", strings.Join(allBackplanes, ","), "the `backplanes`, separated by commas")
	parts := f.String("part", strings.Join(allParts, ","), "the `parts`, separated by commas")
	f.StringVar(&o.redis, "redis", "", "`host:port` of a Redis that is used by nothing else; empty: start redis-server")
	f.StringVar(&o.profile, "profile", "", "`directory` for the processor profiles of the nodes during pushes flat out and broadcasts; empty: none")
	f.BoolVar(&o.json, "json", false, "print JSON instead of the table")
	f.DurationVar(&o.seconds, "for", 2*time.Second, "how long each measurement of pushes lasts")
	f.DurationVar(&o.timeout, "timeout", 6*time.Minute, "give up after so long")
	f.StringVar(&o.child, "child", "", "what the program starts itself with")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; -h explains the flags", f.Arg(0))
	}
	if o.backplanes, err = listed("backplane", *backplanes, allBackplanes); err != nil {
		return o, err
	}
	if o.parts, err = listed("part", *parts, allParts); err != nil {
		return o, err
	}
	if o.seconds < 100*time.Millisecond {
		return o, fmt.Errorf("-for is %v, allowed: 100ms or more", o.seconds)
	}
	return o, nil
}

// listed returns the names of a list, all of which are allowed.
func listed(flag, text string, allowed []string) ([]string, error) {
	names := strings.Split(text, ",")
	for _, name := range names {
		if !slices.Contains(allowed, name) {
			return nil, fmt.Errorf("-%s has %q, allowed: %s", flag, name, strings.Join(allowed, ", "))
		}
	}
	return names, nil
}

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "clusterspeed:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.child != "" {
		err = child(o.child, os.Stdin, os.Stdout)
	} else {
		err = measure(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "clusterspeed:", strings.ReplaceAll(err.Error(), "\n", "\n\t"))
		os.Exit(1)
	}
}

// progress prints a line for the user.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
