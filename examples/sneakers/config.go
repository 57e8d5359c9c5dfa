package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/penstock-go/penstock/examples/internal/nodes"
	"github.com/penstock-go/penstock/examples/internal/otlp"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// config is everything that can be chosen when the program is started; the help of the
// flags explains each.
type config struct {
	Addr      string
	Hosts     string
	Plaintext bool
	Database  string // empty: a SQLite file in a temporary folder
	StatsD    string
	OTLP      otlp.Flags
	LogLevel  string

	SecretFile, AdminPasswordFile string
	// What the files hold, or what was made up.
	Secret, AdminPassword string
	MadeUpPassword        bool

	Stock, Released            int // of an empty shop: pairs of each size, and products
	MaxPerAddress, ConnectRate int
	AdminAttempts              int // a minute and address

	Cluster, ClusterListen, Join, Node, ClusterSecretFile string
	ClusterSecret                                         string

	// The load.
	Shoppers int
	Shops    string // addresses of others; empty: of this process
	For      time.Duration
	JSON     bool

	// Parts of a test, in place of those that the options choose.
	listener net.Listener
	remote   pubsub.InterestedRemote
}

// errUsage ends the program with the exit code for a wrong command line. The message has
// been written by then.
var errUsage = errors.New("usage")

// minSecret is how many bytes a secret must have at least.
const minSecret = 20

// parseConfig reads the flags.
func parseConfig(args []string, stdout, stderr io.Writer) (config, error) {
	var c config
	fs := flag.NewFlagSet("sneakers", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // it writes its own messages, without the help in front of them
	fs.StringVar(&c.Addr, "addr", "127.0.0.1:4020", "`host:port` of the shop")
	fs.StringVar(&c.Hosts, "host", "", "`names` by which browsers ask for the shop, separated by commas; an address that is listened on needs no name")
	fs.BoolVar(&c.Plaintext, "plaintext", false, "serve on an address that is not loopback: for a proxy in front that ends TLS; cookies are then for HTTPS only")
	fs.StringVar(&c.Database, "database", "", "postgres://user:password@host:port/name, or the `file` of a SQLite database; empty makes one in a temporary folder, which is removed at the end")
	fs.StringVar(&c.SecretFile, "secret-file", "", "`file` with the secret of at least 20 bytes that signs carts, sessions and forms; without it one is made up, and carts end with this process")
	fs.StringVar(&c.AdminPasswordFile, "admin-password-file", "", "`file` with the admin's password of at least 8 bytes; without it one is made up and printed")
	fs.IntVar(&c.AdminAttempts, "admin-attempts", 10, "wrong passwords a minute that one address may send to /admin, 1 or more; all addresses together may send ten times as many")
	fs.IntVar(&c.Stock, "stock", 25, "pairs of each of the 20 sizes that an empty shop begins with, 0 to 10000")
	fs.IntVar(&c.Released, "released", 2, "how many of the 4 shoes of an empty shop can be bought from the beginning, 0 to 4")
	fs.IntVar(&c.MaxPerAddress, "max-per-address", 1000, "WebSocket connections from one address, 1 or more")
	fs.IntVar(&c.ConnectRate, "connect-rate", 200, "WebSocket connections a second that one address may try to make, 1 or more")
	fs.StringVar(&c.StatsD, "statsd", "", "StatsD `host:port` (UDP) that gets all measurements")
	c.OTLP.Register(fs, "alerts, from the change in stock to the shopper's socket", "alerts that are traced, from 0 to 1", 1)
	fs.StringVar(&c.Cluster, "cluster", "", "form one shop with other processes: embedded starts a NATS server inside this process, nats://host:port and redis://host:port use one elsewhere; needs -database and -secret-file")
	fs.StringVar(&c.ClusterListen, "cluster-listen", "", "`host:port` at which the server of -cluster embedded is joined by others; default 127.0.0.1:6232, with -join any port of 127.0.0.1")
	fs.StringVar(&c.Join, "join", "", "`host:port,...` of the -cluster-listen of other processes, of which one is enough")
	fs.StringVar(&c.Node, "node", "", "`name` of this process in the cluster, which no other one has; default the machine's name and a random part")
	fs.StringVar(&c.ClusterSecretFile, "cluster-secret-file", "", "`file` with a secret of at least 20 bytes that processes need to join each other; it passes in the clear")
	fs.IntVar(&c.Shoppers, "shoppers", 0, "instead of waiting for visitors, let so many shoppers loose on the shop, and print what became of it, 1 to 100000; nothing is released before they are all there")
	fs.StringVar(&c.Shops, "shops", "", "with -shoppers, `http://host:port,...` of running nodes to visit instead of a shop of this process; needs their -database, to count what was sold")
	fs.DurationVar(&c.For, "for", 0, "how long: with -shoppers 60s unless given, otherwise until a signal")
	fs.BoolVar(&c.JSON, "json", false, "with -shoppers, print the result as one JSON object on standard output")
	fs.StringVar(&c.LogLevel, "log-level", "info", "debug, info, warn or error; logs go to standard error")
	complain := func(format string, a ...any) (config, error) {
		fmt.Fprintf(stderr, "sneakers: "+format+"\nRun with -h for the options.\n", a...)
		return c, errUsage
	}
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stdout, "sneakers is a shop for limited shoes. Its options:")
		fs.SetOutput(stdout)
		fs.PrintDefaults()
		return c, err
	}
	if err != nil {
		return complain("%v", err)
	}
	if fs.NArg() > 0 {
		return complain("unexpected argument %q", fs.Arg(0))
	}
	if c.Shoppers > 0 && c.For == 0 {
		c.For = time.Minute
	}
	if err := c.validate(); err != nil {
		return complain("%v", err)
	}
	if err := c.readFiles(); err != nil {
		return complain("%v", err)
	}
	return c, nil
}

// validate returns an error that names all wrong options, not only the first.
func (c config) validate() error {
	within := func(name string, value, low, high int) error {
		if value < low || value > high {
			return fmt.Errorf("-%s %d is not allowed: from %d to %d", name, value, low, high)
		}
		return nil
	}
	errs := []error{
		nodes.Address("addr", c.Addr), c.validateCluster(), c.OTLP.Check(),
		within("stock", c.Stock, 0, 10_000), within("released", c.Released, 0, 4), within("shoppers", c.Shoppers, 0, 100_000),
		within("admin-attempts", c.AdminAttempts, 1, 1_000_000),
		within("max-per-address", c.MaxPerAddress, 1, math.MaxInt32), within("connect-rate", c.ConnectRate, 1, math.MaxInt32),
	}
	if c.For < 0 {
		errs = append(errs, fmt.Errorf("-for %s is not allowed: 0 or more", c.For))
	}
	if c.StatsD != "" {
		errs = append(errs, nodes.Address("statsd", c.StatsD))
	}
	if host, _, err := net.SplitHostPort(c.Addr); err == nil && !nodes.Loopback(host) {
		for _, option := range []struct {
			name string
			set  bool
		}{{"plaintext", c.Plaintext}, {"secret-file", c.SecretFile != ""}, {"admin-password-file", c.AdminPasswordFile != ""}} {
			if !option.set {
				errs = append(errs, fmt.Errorf("-addr %q, which is not on a loopback interface, needs -%s", c.Addr, option.name))
			}
		}
	}
	for _, shop := range nodes.List(c.Shops) {
		if u, err := url.Parse(shop); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
			errs = append(errs, errors.New("-shops has what is not http://host:port"))
		}
	}
	if c.Shops != "" && (c.Shoppers == 0 || c.Database == "") {
		errs = append(errs, errors.New("-shops needs -shoppers and -database"))
	}
	if c.JSON && c.Shoppers == 0 {
		errs = append(errs, errors.New("-json needs -shoppers"))
	}
	if _, err := logLevel(c.LogLevel); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// hosts returns the names by which requests may ask for the shop.
func (c config) hosts(listening string) []string {
	host, _, _ := net.SplitHostPort(listening)
	names := nodes.List(c.Hosts)
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return append(names, "localhost", "127.0.0.1", "[::1]")
	} else if ip != nil && !ip.IsUnspecified() && ip.To4() != nil {
		return append(names, host)
	} else if ip != nil && !ip.IsUnspecified() {
		return append(names, "["+host+"]")
	}
	return names
}

// limits are what one address may do. The shoppers of this process are of one address.
func (c config) limits() websocket.EndpointLimits {
	l := websocket.EndpointLimits{Connections: 100_000, PerAddress: c.MaxPerAddress, ConnectRate: c.ConnectRate, PerID: 20}
	if c.Shoppers > 0 {
		l.PerAddress, l.ConnectRate = 100_000, 100_000
	}
	return l
}

// logLevel parses the value of -log-level.
func logLevel(name string) (level slog.Level, err error) {
	if err = level.UnmarshalText([]byte(name)); err != nil {
		err = fmt.Errorf("-log-level %q is not allowed: debug, info, warn or error", name)
	}
	return level, err
}
