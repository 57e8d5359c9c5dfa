//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// bounds are what an attack must not exceed.
type bounds struct {
	Memory int64         // bytes, resident
	P99    time.Duration // of honest pushes
	End    time.Duration // from SIGTERM to the exit
}

func main() {
	program := flag.String("program", "", "the push pipeline's `file`; empty builds it")
	source := flag.String("source", "memory", "where its pushes wait: memory or kafka")
	debug := flag.String("debug-addr", "off", "`host:port` of the program's debug pages with pprof, to see what it does under an attack")
	only := flag.String("only", "", "run only attacks whose `name` contains this")
	length := flag.Duration("for", 10*time.Second, "how long each attack lasts")
	memory := flag.Int64("memory", 512, "`MiB` of resident memory that the program may take")
	p99 := flag.Duration("p99", 50*time.Millisecond, "bound on the 99th percentile of honest pushes")
	seed := flag.Uint64("seed", rand.Uint64(), "of the attackers' random choices")
	long := flag.Duration("soak", 0, "instead of attacks, let users come and go for this `time`")
	list := flag.Bool("list", false, "print the attacks and end")
	target := flag.String("target", "", "make the attack of the name -only on the program at this `host:port` until standard input ends: what this program starts for its attackers")
	flag.Parse()
	if *target != "" {
		if err := attackAlone(*only, *target, *seed); err != nil {
			fmt.Fprintln(os.Stderr, "attack:", err)
			os.Exit(1)
		}
		return
	}
	if *list {
		for _, a := range attacks {
			fmt.Printf("%-18s %s\n", a.name, a.what)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := bounds{Memory: *memory << 20, P99: *p99, End: drain + time.Second}
	err := withProgram(ctx, launch{*program, *source, *debug}, func(how launch) error {
		if *long > 0 {
			return soak(ctx, how, *long, b)
		}
		return run(ctx, how, *only, *length, b, *seed)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "attack:", err)
		os.Exit(1)
	}
}

// withProgram calls f with the program's file, which is built, and removed afterwards, if
// there is none.
func withProgram(ctx context.Context, how launch, f func(launch) error) error {
	if how.file == "" {
		built, remove, err := build(ctx)
		if err != nil {
			return err
		}
		defer remove()
		how.file = built
	}
	return f(how)
}

var errFailed = errors.New("not every attack was withstood")

func run(ctx context.Context, how launch, only string, length time.Duration, b bounds, seed uint64) error {
	fmt.Printf("seed %d, %v each, at most %d MiB and %v, source %s\n", seed, length, b.Memory>>20, b.P99, how.source)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "attack\thonest pushes\tlost\tp50 ms\tp99 ms\tnewcomers\tshut out\tpeak MiB\tend s\texit\tattackers\t")
	failed, ran := false, 0
	for _, a := range attacks {
		if !strings.Contains(a.name, only) {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		ran++
		fmt.Fprintf(os.Stderr, "%s: %s\n", a.name, a.what)
		r, err := withstand(ctx, a, how, length, b, seed)
		if err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		for _, miss := range r.misses(b) {
			failed = true
			fmt.Fprintf(os.Stderr, "%s: MISSED: %s\n", a.name, miss)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%.1f\t%.1f\t%d\t%d\t%d\t%.1f\t%d\t%s\t\n", a.name, r.sent, r.lost(), ms(r.p50), ms(r.p99), r.newcomers, r.shutOut, r.peak>>20, r.end.Seconds(), r.exit, r.attackers)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	switch {
	case ran == 0:
		return fmt.Errorf("no attack's name contains %q", only)
	case failed:
		return errFailed
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
