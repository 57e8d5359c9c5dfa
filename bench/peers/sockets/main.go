//go:build linux

package main

import (
	"bytes"
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

	"github.com/penstock-go/penstock/bench/internal/report"
)

const usageText = `Sockets compares WebSocket servers on the same work with the same clients.

	sockets                                  every server and work, medians of three
	sockets -peers bare,penstock -works room two servers, one work
	sockets -conns 500 -rounds 1             short form, half a minute

`

type options struct {
	peers         []peer
	works         []work
	rounds, conns int
	write         string // a document that gets the tables too
	json          string // a file that gets the medians
}

func parse(args []string, errs io.Writer) (o options, err error) {
	f := flag.NewFlagSet("sockets", flag.ContinueOnError)
	f.SetOutput(errs)
	names, doing := f.String("peers", "", "servers, with commas: "+list(peers, peerName)+"; empty for all"),
		f.String("works", "", "works, with commas: "+list(works, workName)+"; empty for all")
	f.IntVar(&o.rounds, "rounds", 3, "measure so often, of which the median counts, 1 or more")
	f.IntVar(&o.conns, "conns", 5000, "`number` of clients, 1 or more")
	f.StringVar(&o.write, "write", "", "put the whole tables into this `document` as well")
	f.StringVar(&o.json, "json", "", "write the medians into this `file` as well")
	f.Usage = func() {
		fmt.Fprint(f.Output(), usageText)
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch most := openFiles() - 100; {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q; -h explains the flags", f.Arg(0))
	case o.rounds < 1:
		return o, fmt.Errorf("-rounds is %d, allowed: 1 or more", o.rounds)
	case o.conns < 1 || o.conns > most:
		return o, fmt.Errorf("-conns is %d, allowed: 1 to %d (the bound of open files, less a hundred)", o.conns, most)
	}
	if o.peers, err = choose("-peers", peers, peerName, *names); err != nil {
		return o, err
	}
	if o.works, err = choose("-works", works, workName, *doing); err != nil {
		return o, err
	}
	if o.write != "" && (*names != "" || *doing != "") {
		return o, errors.New("-write puts whole tables into a document: neither -peers nor -works")
	}
	return o, nil
}

func list[T any](all []T, name func(T) string) string {
	var names []string
	for _, x := range all {
		names = append(names, name(x))
	}
	return strings.Join(names, ", ")
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
	if name := os.Getenv(serveVariable); name != "" {
		if err := serveNamed(name); err != nil {
			fmt.Fprintf(os.Stderr, "sockets: %s: %v\n", name, err)
			os.Exit(1)
		}
		return
	}
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sockets:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var printed bytes.Buffer
	measured, err := compare(ctx, o, io.MultiWriter(os.Stdout, &printed), os.Stderr)
	if o.json != "" && ctx.Err() == nil {
		err = errors.Join(err, measured.Write(o.json))
	}
	if err == nil && o.write != "" {
		err = report.Replace(o.write, "sockets", printed.Bytes())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sockets:", err)
		os.Exit(1)
	}
}

// serveNamed is the process of a server.
func serveNamed(name string) error {
	chosen, err := choose(serveVariable, peers, peerName, name)
	if err != nil {
		return err
	}
	s, err := chosen[0].make()
	if err != nil {
		return err
	}
	return serveCommands(s, os.Stdin, os.Stdout)
}

// result is what a peer has reached in a work.
type result struct {
	runs [][]float64
	err  error
}

// void reports whether figures of a work at a rate are those of a smaller load.
func (w work) void(figures []float64) bool {
	at := slices.Index(w.columns, ofRate)
	return at >= 0 && figures[at] < leastOfRate
}

// results returns the medians of a work, none if the peer has failed or was below the rate.
func (p peer) results(w work, r result) (all []report.Result) {
	if r.err != nil {
		return nil
	}
	figures := medians(r.runs)
	if w.void(figures) {
		return nil
	}
	for i, column := range w.columns {
		all = append(all, report.Result{Work: w.name, Name: p.name, Kind: p.kind(), Unit: column, Value: figures[i]})
	}
	return all
}

// compare does each work with all peers in turns, prints a table for each and returns the
// medians. A peer that fails has a reason in place of figures, and the error is returned at the
// end.
func compare(ctx context.Context, o options, out, progress io.Writer) (measured report.Results, failed error) {
	measured.Machine = report.ThisMachine(ctx)
	fmt.Fprint(out, heading(measured.Machine, o))
	for _, w := range o.works {
		fmt.Fprintf(progress, "%s: %s\n", w.name, w.what)
		results := make([]result, len(o.peers))
		for round := range o.rounds {
			for i, p := range o.peers {
				if results[i].err != nil {
					continue
				}
				begun := time.Now()
				figures, err := measure(ctx, p, w, o.conns)
				if ctx.Err() != nil {
					return measured, ctx.Err()
				}
				if err != nil {
					results[i].err = err
					failed = errors.Join(failed, fmt.Errorf("%s, %s: %w", w.name, p.name, err))
					fmt.Fprintf(progress, "  %s, round %d: %v\n", p.name, round+1, err)
					continue
				}
				results[i].runs = append(results[i].runs, figures)
				fmt.Fprintf(progress, "  %s, round %d: %s (%v)\n", p.name, round+1, inWords(w, figures), time.Since(begun).Round(100*time.Millisecond))
			}
		}
		printTable(out, w, o.peers, results)
		for i, p := range o.peers {
			measured.Results = append(measured.Results, p.results(w, results[i])...)
		}
	}
	printPeers(out, o.peers)
	return measured, failed
}
