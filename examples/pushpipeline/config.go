package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// config is everything that can be chosen when the program is started; the help
// of the flags explains each.
type config struct {
	// Where pushes wait.
	Source  string // kafka or memory
	Brokers string // empty: a broker inside this process
	Topic   string
	// Processes of one group share the partitions of the topic.
	Group  string
	Parts  int // partitions of a topic that has to be created
	Member string
	// How long the group waits for a member that has died.
	Session time.Duration
	Commit  time.Duration // interval

	// What it listens on and reports to.
	Addr      string
	DebugAddr string // or off
	Plaintext bool
	StatsD    string // address of a server; empty for none
	Secret    string // of the tokens

	// The end of the pipeline.
	Workers int           // pushes that are on their way to sockets at once
	Work    time.Duration // for each push, before it is sent
	Grace   time.Duration // for users without a client
	Buffer  int           // pushes, of the memory source

	// The load.
	// The ids are 1 to Users; user 1 is the heavy one.
	Users      int
	Rate       float64 // pushes a second of all users
	HeavyShare float64 // of user 1, 0 to 1
	Clients    int

	// Compare dispatchers instead of serving, and write a picture to SVG.
	Fairness bool
	SVG      string // a file

	Duration time.Duration // 0: until a signal
	Drain    time.Duration // how long the end may take
	// The summary as one JSON object.
	JSON     bool
	LogLevel string

	rival rival // nil is the fair dispatcher
}

// errUsage ends the program with the exit code for a wrong command line. The
// message has been written by then.
var errUsage = errors.New("usage")

// envPrefix and a flag's name in capitals make the name of the environment
// variable that is read where the flag is not given.
const envPrefix = "PUSHPIPELINE_"

// parseConfig reads the flags, and the environment for those that are missing.
func parseConfig(args []string, getenv func(string) string, stdout, stderr io.Writer) (config, error) {
	var c config
	var version bool
	fs := flag.NewFlagSet("pushpipeline", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&c.Source, "source", "kafka", "where pushes wait: kafka or memory")
	fs.StringVar(&c.Brokers, "brokers", "", "Kafka `host:port,...`; empty starts a broker inside this process")
	fs.StringVar(&c.Topic, "topic", "pushes", "Kafka topic, created if it does not exist")
	fs.StringVar(&c.Group, "group", "pushpipeline", "Kafka consumer group")
	fs.IntVar(&c.Parts, "partitions", 8, "partitions of a topic that has to be created, 1 to 1000")
	fs.StringVar(&c.Member, "member", "", "`name` of this process in the group: one that is started again with the same name gets its partitions back at once")
	fs.DurationVar(&c.Session, "session-timeout", 10*time.Second, "how long the group waits for a process that died, 1s to 5m")
	fs.DurationVar(&c.Commit, "commit-interval", time.Second, "how often finished pushes are committed in Kafka, 10ms to 1m; those since the last time are delivered again after a crash")
	fs.StringVar(&c.Addr, "addr", "127.0.0.1:4000", "`host:port` for clients: page, /push, /socket, /healthz, /readyz")
	fs.StringVar(&c.DebugAddr, "debug-addr", "127.0.0.1:4001", "loopback `host:port` for pprof, expvar and /debug/stages; off for none")
	fs.BoolVar(&c.Plaintext, "plaintext", false, "serve clients on an address that is not loopback, as this program does without TLS: for a proxy in front that ends it")
	fs.StringVar(&c.StatsD, "statsd", "", "StatsD `host:port` (UDP) that gets every measurement too; the page and the summary read a small listener inside this process in any case")
	fs.StringVar(&c.Secret, "secret", "", "secret of at least 20 bytes that signs socket tokens; empty makes one up at every start")
	fs.IntVar(&c.Workers, "workers", 64, "pushes that are worked on or on their way to sockets at once, 1 to 100000")
	fs.DurationVar(&c.Work, "work", 0, "how long each push takes before it is sent, as a lookup would, 0 to 1m")
	fs.DurationVar(&c.Grace, "grace", 0, "how long a push waits for a user without a client before it is discarded as no_subscriber")
	fs.IntVar(&c.Buffer, "buffer", 10_000, "pushes that the memory source holds before it refuses, 1 or more")
	fs.IntVar(&c.Users, "users", 200, "users that the load generator pushes to, 1 to 1000000")
	fs.Float64Var(&c.Rate, "rate", 2000, "pushes per second that the load generator makes; 0 for none")
	fs.Float64Var(&c.HeavyShare, "heavy-share", 0.5, "share of the load that goes to user 1, from 0 to 1")
	fs.IntVar(&c.Clients, "clients", -1, "WebSocket clients that the program opens against itself, one for each of the first users; -1 for one per user")
	fs.BoolVar(&c.Fairness, "fairness", false, "instead of serving, measure what a flood does to the other users under the fair dispatcher and under others, and print a table; each of twelve runs takes -duration and two seconds; the defaults are then "+strings.Join(fairnessDefaults, " "))
	fs.StringVar(&c.SVG, "svg", "", "with -fairness, write a picture of the table to this `file`")
	fs.DurationVar(&c.Duration, "duration", 0, "end by itself after this long; 0 runs until SIGINT or SIGTERM")
	fs.DurationVar(&c.Drain, "drain", 30*time.Second, "how long the orderly end may take")
	fs.BoolVar(&c.JSON, "json", false, "print the summary as one JSON object on standard output, and nothing else there")
	fs.StringVar(&c.LogLevel, "log-level", "info", "debug, info, warn or error; logs go to standard error")
	fs.BoolVar(&version, "version", false, "print the version and end")
	fs.Usage = func() { usage(fs) }

	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return c, err
		}
		return c, errUsage
	}
	complain := func(format string, a ...any) (config, error) {
		fmt.Fprintf(stderr, "pushpipeline: "+format+"\nRun with -h for the options.\n", a...)
		return c, errUsage
	}
	if fs.NArg() > 0 {
		return complain("unexpected argument %q", fs.Arg(0))
	}
	// As -h does, it ends the program with the exit code 0.
	if version {
		fmt.Fprintln(stdout, versionLine())
		return c, flag.ErrHelp
	}
	if name, err := fromEnvironment(fs, getenv); err != nil {
		return complain("environment variable %s: %v", name, err)
	}
	if c.Fairness {
		if err := fairnessConfig(fs); err != nil {
			return complain("%v", err)
		}
	}
	// After the defaults of -fairness, which set the users.
	if c.Clients < 0 {
		c.Clients = c.Users
	}
	if err := c.validate(); err != nil {
		return complain("%v", err)
	}
	if c.Secret == "" {
		var b [32]byte
		_, _ = rand.Read(b[:]) // never fails
		c.Secret = hex.EncodeToString(b[:])
	}
	return c, nil
}

// fromEnvironment sets the flags that were not given from their environment
// variables. It returns the name of the variable with the first wrong value.
// -version is not read.
func fromEnvironment(fs *flag.FlagSet, getenv func(string) string) (name string, err error) {
	// A flag on the command line takes precedence over the environment.
	given := map[string]bool{"version": true}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	fs.VisitAll(func(f *flag.Flag) {
		if value := getenv(envName(f.Name)); value != "" && !given[f.Name] && err == nil {
			if err = fs.Set(f.Name, value); err != nil {
				name = envName(f.Name)
			}
		}
	})
	return name, err
}

// envName returns the environment variable of a flag.
func envName(flagName string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

// usage prints the help: each flag with its default and its variable.
func usage(fs *flag.FlagSet) {
	out := fs.Output()
	fmt.Fprint(out, `Pushpipeline delivers pushes to users' WebSocket channels through a fair dispatcher.

Usage: pushpipeline [options]

Each option can also be given by the environment variable named after it; the option wins.

`)
	fs.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		fmt.Fprintf(out, "  -%s %s\n    \t%s", f.Name, value, text)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "0s" {
			fmt.Fprintf(out, " (default %s)", f.DefValue)
		}
		if f.Name != "version" {
			fmt.Fprintf(out, " [%s]", envName(f.Name))
		}
		fmt.Fprintln(out)
	})
	fmt.Fprint(out, `
SIGINT or SIGTERM ends it in order: it takes nothing more, delivers what it has taken, closes the sockets and prints a summary. A second one ends it at once.
Exit codes: 0 after an orderly end, 1 after a failure, 2 for a wrong command line.
`)
}

// validate returns an error that names all wrong options, not only the first.
func (c config) validate() error {
	within := func(name string, value, low, high int) error {
		if value < low || value > high {
			return fmt.Errorf("-%s %d is not allowed: from %d to %d", name, value, low, high)
		}
		return nil
	}
	positive := func(name string, d time.Duration) error {
		if d < 0 {
			return fmt.Errorf("-%s %s is not allowed: 0 or more", name, d)
		}
		return nil
	}
	address := func(name, value string) error {
		_, port, err := net.SplitHostPort(value)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return fmt.Errorf("-%s %q is not a host:port", name, value)
		}
		return nil
	}
	// All faults are reported at once.
	errs := []error{
		within("workers", c.Workers, 1, 100_000),
		within("partitions", c.Parts, 1, 1000),
		within("users", c.Users, 1, 1_000_000),
		within("clients", c.Clients, 0, c.Users),
		within("buffer", c.Buffer, 1, 100_000_000),
		positive("work", c.Work), positive("grace", c.Grace), positive("duration", c.Duration), positive("drain", c.Drain),
		address("addr", c.Addr),
	}
	switch c.Source {
	case "kafka", "memory":
	default:
		errs = append(errs, fmt.Errorf("-source %q is not allowed: kafka or memory", c.Source))
	}
	if c.Session < time.Second || c.Session > 5*time.Minute {
		errs = append(errs, fmt.Errorf("-session-timeout %s is not allowed: from 1s to 5m", c.Session))
	}
	if c.Commit < 10*time.Millisecond || c.Commit > time.Minute {
		errs = append(errs, fmt.Errorf("-commit-interval %s is not allowed: from 10ms to 1m", c.Commit))
	}
	if c.Work > time.Minute {
		errs = append(errs, fmt.Errorf("-work %s is not allowed: from 0 to 1m", c.Work))
	}
	if c.SVG != "" && !c.Fairness {
		errs = append(errs, errors.New("-svg needs -fairness"))
	}
	if c.Fairness {
		errs = append(errs, c.validateFairness())
	}
	if c.Source == "memory" && c.Brokers != "" {
		errs = append(errs, errors.New("-brokers needs -source kafka"))
	}
	if c.Source == "kafka" && (c.Topic == "" || c.Group == "") {
		errs = append(errs, errors.New("-topic and -group must not be empty"))
	}
	// Written as a negation, so that NaN is refused too.
	if !(c.Rate >= 0 && c.Rate <= 10_000_000) {
		errs = append(errs, fmt.Errorf("-rate %v is not allowed: from 0 to 10000000", c.Rate))
	}
	if !(c.HeavyShare >= 0 && c.HeavyShare <= 1) {
		errs = append(errs, fmt.Errorf("-heavy-share %v is not allowed: from 0 to 1", c.HeavyShare))
	}
	if n := len(c.Secret); n > 0 && n < 20 {
		errs = append(errs, fmt.Errorf("-secret of %d bytes is not allowed: 20 or more", n))
	}
	if c.StatsD != "" {
		errs = append(errs, address("statsd", c.StatsD))
	}
	for broker := range strings.SplitSeq(c.Brokers, ",") {
		if c.Brokers != "" {
			errs = append(errs, address("brokers", broker))
		}
	}
	if host, _, err := net.SplitHostPort(c.Addr); err == nil && !c.Plaintext && !loopback(host) {
		errs = append(errs, fmt.Errorf("-addr %q is not on a loopback interface: tokens would pass in the clear; -plaintext says that a proxy in front ends TLS", c.Addr))
	}
	if c.DebugAddr != "off" {
		errs = append(errs, address("debug-addr", c.DebugAddr))
		if host, _, err := net.SplitHostPort(c.DebugAddr); err == nil && !loopback(host) {
			errs = append(errs, fmt.Errorf("-debug-addr %q is not on a loopback interface", c.DebugAddr))
		}
	}
	if _, err := logLevel(c.LogLevel); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// loopback reports whether a host is this machine. An empty host means all
// interfaces, and is not.
func loopback(host string) bool {
	// A name is not looked up: it could change between this check and the listening.
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// versionLine names this build.
func versionLine() string {
	version, commit := "devel", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" && info.Main.Version != "(devel)" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = " " + s.Value
			}
		}
	}
	return fmt.Sprintf("pushpipeline %s%s %s %s/%s", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
