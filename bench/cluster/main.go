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
	"syscall"
	"time"
)

// readAhead is how many records a node of the push pipeline may have unfinished: with all
// partitions it has a window of this in all. They come again after a fault at the worst.
func (c config) readAhead() int { return min(c.bufferMiB<<20/(8<<10), 100_000) }

func main() {
	var cfg config
	flag.StringVar(&cfg.backplane, "backplane", "nats", "what joins the nodes: nats or redis, each a server of its own, or embedded")
	flag.IntVar(&cfg.nodes, "nodes", 3, "processes of the push pipeline, 2 to 9")
	flag.IntVar(&cfg.clients, "clients", 300, "users with one client each")
	flag.IntVar(&cfg.rate, "rate", 5000, "records a second that are produced into Kafka")
	flag.IntVar(&cfg.partitions, "partitions", 12, "of the topic")
	flag.IntVar(&cfg.cycles, "cycles", 50, "faults, one after the other")
	faults := flag.String("faults", "", "`list` with commas of kill, restart, stop, backplane and cut; empty for all that the backplane has")
	flag.BoolVar(&cfg.phoenix, "phoenix", false, "the clients are phoenix clients of npm in a process of Node, behind a balancer that takes the nodes in turn; .ci/rolling installs them")
	flag.DurationVar(&cfg.length, "for", 5*time.Second, "how long each cycle is watched after its fault at least")
	flag.Uint64Var(&cfg.seed, "seed", rand.Uint64(), "of the order of the faults, the nodes that have them, and the users' choices")
	flag.DurationVar(&cfg.grace, "grace", 30*time.Second, "the nodes' -grace: how long a push waits for a user without a client")
	flag.DurationVar(&cfg.session, "session-timeout", 10*time.Second, "the nodes' -session-timeout: how long the group waits for a node that died")
	flag.DurationVar(&cfg.recovery, "recovery", 5*time.Second, "bound on the recovery after each fault")
	flag.IntVar(&cfg.bufferMiB, "buffer-mib", 800, "the nodes' -buffer-mib, 1 or more: pushes for users who are away hold up their partitions when 128 records for each MiB wait, in all partitions together")
	memory := flag.Int64("memory", 512, "`MiB` of resident memory that a node may take")
	flag.StringVar(&cfg.program, "program", "", "the push pipeline's `file`; empty builds it")
	flag.StringVar(&cfg.logs, "logs", "", "`folder` in which the nodes' logs are kept; empty keeps none")
	withJSON := flag.Bool("json", false, "print the result as one JSON object, and nothing else on standard output")
	nats := flag.String("serve-nats", "", "be a NATS server at this `host:port` until SIGTERM: what this program starts for -backplane nats")
	flag.Parse()
	if *nats != "" {
		if err := serveNATS(*nats); err != nil {
			fail(err)
		}
		return
	}
	var err error
	if cfg.faults, err = parseFaults(*faults, cfg.backplane); err == nil {
		err = cfg.validate()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(2)
	}
	cfg.memory = *memory << 20
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Fprintf(os.Stderr, "seed %d, %d nodes, %s, %d clients, %d records a second, %d cycles\n", cfg.seed, cfg.nodes, cfg.backplane, cfg.clients, cfg.rate, cfg.cycles)
	res, err := execute(ctx, cfg)
	if err != nil {
		fail(err)
	}
	res.Missed = res.misses(bounds{Recovery: cfg.recovery, Memory: cfg.memory, Twice: cfg.readAhead()})
	if *withJSON {
		err = res.printJSON(os.Stdout)
	} else {
		err = res.print(os.Stdout)
	}
	if err != nil {
		fail(err)
	}
	for _, m := range res.Missed {
		fmt.Fprintln(os.Stderr, "MISSED:", m)
	}
	if len(res.Missed) > 0 {
		os.Exit(1)
	}
}

// validate returns why a run is not possible.
func (c config) validate() error {
	switch {
	case c.backplane != "embedded" && c.backplane != "nats" && c.backplane != "redis":
		return fmt.Errorf("-backplane %q is not allowed: embedded, nats or redis", c.backplane)
	case c.nodes < 2 || c.nodes > 9:
		return fmt.Errorf("-nodes %d is not allowed: from 2 to 9", c.nodes)
	case c.clients < 1 || c.rate < 1 || c.partitions < 1 || c.cycles < 1 || c.bufferMiB < 1:
		return errors.New("-clients, -rate, -partitions, -cycles and -buffer-mib are 1 or more")
	}
	return nil
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "cluster:", err)
	os.Exit(1)
}
