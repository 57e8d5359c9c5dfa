package main

import (
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/penstock-go/penstock/examples/internal/nodes"
	"github.com/penstock-go/penstock/examples/internal/otlp"
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
	Linger  time.Duration // of a push, for others to share its request

	// What it listens on and reports to.
	Addr      string
	DebugAddr string // or off
	Control   bool   // of the dashboard
	Plaintext bool
	StatsD    string // address of a server; empty for none
	OTLP      otlp.Flags
	// Of the tokens. Secret is what the file holds.
	SecretFile string
	Secret     string
	MadeUp     bool // the secret

	Hosts    string // names, separated by commas, by which clients ask
	Proxies  string // networks, separated by commas
	TLSCert  string // files
	TLSKey   string
	TokenAge time.Duration
	Demo     bool // serve the page and what it needs
	// Of WebSocket connections.
	MaxConnections, MaxPerAddress, MaxPerUser, ConnectRate int
	EventLoop                                              bool

	// POST /push.
	PushAddr    string // a listener of its own; empty for that of Addr; or off
	PushKeyFile string
	PushJWTFile string
	PushRate    float64 // pushes a second of a producer; 0 for no bound

	// Other processes.
	Cluster           string // embedded, a URL, or empty for none
	ClusterListen     string
	Join              string // addresses, separated by commas
	Node              string // name of this process among them
	ClusterSecretFile string

	// The end of the pipeline.
	Workers int           // pushes that are on their way to sockets at once
	Work    time.Duration // for each push, before it is sent
	Grace   time.Duration // for users without a client
	// Whether the grace is not shortened for the sake of other users; from Kafka.
	FullGrace bool

	// What is held at once.
	Overflow     string // pause or drop
	Buffer       int    // pushes, of the memory source
	BufferMiB    int
	UserBuffer   int // pushes of one user, of the memory source
	RetentionMiB int // of the broker inside this process
	GCFloorMiB   int // garbage between two collections, at least; see garbage

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

	// Variables with the program's prefix that are no option.
	Unread []unread

	rival rival // nil is the fair dispatcher
}

// errUsage ends the program with the exit code for a wrong command line. The
// message has been written by then.
var errUsage = errors.New("usage")

// parseConfig reads the flags, and the environment for those that are missing.
func parseConfig(args []string, env environment, stdout, stderr io.Writer) (config, error) {
	var c config
	var version bool
	fs := flag.NewFlagSet("pushpipeline", flag.ContinueOnError)
	// parseConfig prints its own messages, without the help in front of them.
	fs.SetOutput(io.Discard)
	fs.StringVar(&c.Source, "source", "kafka", "where pushes wait: kafka or memory")
	fs.StringVar(&c.Brokers, "brokers", "", "Kafka `host:port,...`; empty starts a broker inside this process")
	fs.StringVar(&c.Topic, "topic", "pushes", "Kafka topic, created if it does not exist")
	fs.StringVar(&c.Group, "group", "pushpipeline", "Kafka consumer group")
	fs.IntVar(&c.Parts, "partitions", 8, "partitions of a topic that has to be created, 1 to 1000")
	fs.StringVar(&c.Member, "member", "", "`name` of this process in the group: one that is started again with the same name gets its partitions back at once")
	fs.DurationVar(&c.Session, "session-timeout", 10*time.Second, "how long the group waits for a process that died, 1s to 5m; brokers refuse less than their group.min.session.timeout.ms, 6s unless changed")
	fs.DurationVar(&c.Commit, "commit-interval", time.Second, "how often finished pushes are committed in Kafka, 10ms to 1m; those since the last time are delivered again after a crash")
	fs.DurationVar(&c.Linger, "linger", time.Millisecond, "how long a push waits for others that share its request to Kafka, 1ms to 1s; above 10,000 pushes a second 5ms costs less processor time")
	fs.StringVar(&c.Addr, "addr", "127.0.0.1:4000", "`host:port` for clients: page, /push, /socket, /healthz, /readyz")
	fs.StringVar(&c.Hosts, "host", "", "`names` by which clients ask for -addr and -push-addr, separated by commas, such as push.example.com; requests for others get 421. An address that is listened on needs no name")
	fs.StringVar(&c.TLSCert, "tls-cert", "", "`file` with the certificate chain (PEM) with which -addr and -push-addr serve TLS 1.2 or newer; it is read again when it changes")
	fs.StringVar(&c.TLSKey, "tls-key", "", "`file` with the key of -tls-cert")
	fs.StringVar(&c.Proxies, "proxies", "", "`networks` of the proxies in front, separated by commas, whose X-Forwarded-For is believed, such as 10.0.0.0/8")
	fs.BoolVar(&c.Demo, "demo", false, "serve the live page with /api/stats and /api/token, which gives everyone a token for every user; default true if -addr is on a loopback interface")
	fs.DurationVar(&c.TokenAge, "token-age", 15*time.Minute, "how long a socket token is valid, 2s to 24h; a client renews it before its end, or is closed with 4001")
	fs.IntVar(&c.MaxConnections, "max-connections", 100_000, "WebSocket connections in all, 1 or more")
	fs.IntVar(&c.MaxPerAddress, "max-per-address", 1000, "WebSocket connections from one address (the program's own clients count as one each), 1 or more")
	fs.IntVar(&c.MaxPerUser, "max-per-user", 20, "WebSocket connections of one user, 1 or more")
	fs.IntVar(&c.ConnectRate, "connect-rate", 100, "WebSocket connections a second that one address may try to make, 1 or more")
	fs.BoolVar(&c.EventLoop, "event-loop", false, "on Linux and without -tls-cert, wait for WebSocket connections in epolls of the endpoint, which takes less memory for each idle one; docs/performance-channels.md")
	fs.StringVar(&c.DebugAddr, "debug-addr", "127.0.0.1:4001", "loopback `host:port` for /dashboard/, /metrics, which a Prometheus server scrapes, pprof, expvar and /debug/stages; off for none")
	fs.BoolVar(&c.Control, "dashboard-control", false, "let /dashboard/ of -debug-addr pause the delivery, change -workers and limit the pushes a second of each user; every program of this machine can do so then")
	fs.StringVar(&c.PushAddr, "push-addr", "", "`host:port` for /push alone, which -addr then does not serve; off for no /push at all")
	fs.StringVar(&c.PushKeyFile, "push-key-file", "", "`file` with a shared key of 20 bytes or more a line, one of which POST /push then requires: Authorization: Bearer KEY")
	fs.StringVar(&c.PushJWTFile, "push-jwt-file", "", "`file` with a secret of 32 bytes or more (HS256) or a public key (PEM: RS256, ES256, EdDSA) for the JSON Web Tokens that POST /push then requires: with exp, sub and the audience push")
	fs.Float64Var(&c.PushRate, "push-rate", 10_000, "pushes a second that one producer (a token's sub, the holders of keys, or all without either) may make; 0 for no bound")
	fs.BoolVar(&c.Plaintext, "plaintext", false, "serve clients on an address that is not loopback, as this program does without TLS: for a proxy in front that ends it")
	fs.StringVar(&c.StatsD, "statsd", "", "StatsD `host:port` (UDP) that gets every measurement too; the page and the summary read a small listener inside this process in any case")
	c.OTLP.Register(fs, "traced pushes", "the requests without a traceparent header that are traced, from 0 to 1; those with one are traced if it says so", 0)
	fs.StringVar(&c.SecretFile, "secret-file", "", "`file` with the secret of at least 20 bytes that signs socket tokens; on a loopback interface, and with -demo, one is made up at every start without it. The variable PUSHPIPELINE_SECRET may hold the secret itself, an option may not: every program of a machine can read the command lines")
	fs.StringVar(&c.Cluster, "cluster", "", "form a cluster with other processes, so that a push reaches its user's sockets at any of them: embedded starts a NATS server inside this process, nats://host:port uses one elsewhere, redis://host:port a Redis (rediss:// with TLS)")
	fs.StringVar(&c.ClusterListen, "cluster-listen", "", "`host:port` at which the server of -cluster embedded is joined by others; default 127.0.0.1:6222, with -join any port of 127.0.0.1")
	fs.StringVar(&c.Join, "join", "", "`host:port,...` of the -cluster-listen of other processes, of which one is enough")
	fs.StringVar(&c.ClusterSecretFile, "cluster-secret-file", "", "`file` with a secret of at least 20 bytes that processes need to join each other; it passes in the clear")
	fs.StringVar(&c.Node, "node", "", "`name` of this process in the cluster, which no other one has; default the machine's name and a random part")
	fs.IntVar(&c.Workers, "workers", 64, "pushes that are worked on or on their way to sockets at once, 1 to 100000")
	fs.DurationVar(&c.Work, "work", 0, "how long each push takes before it is sent, as a lookup would, 0 to 1m")
	fs.DurationVar(&c.Grace, "grace", 5*time.Second, "how long a push waits for a user without a client, who may be reconnecting, before it is discarded as no_subscriber, 0 to 24h; from Kafka it is discarded earlier if it would hold up the pushes of others, see -full-grace")
	fs.BoolVar(&c.FullGrace, "full-grace", false, "let pushes wait for all of -grace, although they hold up the other users of their partition meanwhile")
	fs.StringVar(&c.Overflow, "overflow", "pause", "what a flood that fills its user's queue does: pause loses nothing, as POST /push refuses that user with 429 and Kafka is read later; drop discards the user's oldest pushes")
	fs.IntVar(&c.Buffer, "buffer", 10_000, "pushes that the memory source holds before it refuses, 1 or more")
	fs.IntVar(&c.UserBuffer, "user-buffer", 1000, "pushes of one user that the memory source holds before it refuses, 1 or more")
	fs.IntVar(&c.BufferMiB, "buffer-mib", 64, "`MiB` of pushes that this process holds at once, an eighth of it of one user, 1 to 1000000")
	fs.IntVar(&c.RetentionMiB, "retention-mib", 64, "`MiB` that the broker inside this process keeps, 8 to 1000000")
	fs.IntVar(&c.GCFloorMiB, "gc-floor-mib", 64, "`MiB` of garbage that gather between two collections at least, so that a small heap is not collected many times a second, 0 to 1000000; 0 leaves it to the runtime, and so does the variable GOGC")
	fs.IntVar(&c.Users, "users", 200, "users that the load generator pushes to, 1 to 1000000")
	fs.Float64Var(&c.Rate, "rate", 2000, "pushes per second that the load generator makes; 0 for none")
	fs.Float64Var(&c.HeavyShare, "heavy-share", 0.5, "share of the load that goes to user 1, from 0 to 1")
	fs.IntVar(&c.Clients, "clients", perUser, "WebSocket clients that the program opens against itself, one for each of the first users; -1 for one per user")
	fs.BoolVar(&c.Fairness, "fairness", false, "instead of serving, measure what a flood does to the other users under the fair dispatcher and under others, and print a table; each of twelve runs takes -duration and two seconds; the defaults are then "+strings.Join(fairnessDefaults, " "))
	fs.StringVar(&c.SVG, "svg", "", "with -fairness, write a picture of the table to this `file`")
	fs.DurationVar(&c.Duration, "duration", 0, "end by itself after this long; 0 runs until SIGINT or SIGTERM")
	fs.DurationVar(&c.Drain, "drain", 25*time.Second, "how long the orderly end may take, 0 to 24h; clients that take nothing get three tenths of it; an orchestrator must wait five seconds longer before it kills")
	fs.BoolVar(&c.JSON, "json", false, "print the summary as one JSON object on standard output, and nothing else there")
	fs.StringVar(&c.LogLevel, "log-level", "info", "debug, info, warn or error; logs go to standard error")
	fs.BoolVar(&version, "version", false, "print the version and end")
	complain := func(format string, a ...any) (config, error) {
		fmt.Fprintf(stderr, "pushpipeline: "+format+"\nRun with -h for the options.\n", a...)
		return c, errUsage
	}
	explain(fs)

	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		printUsage(fs, stdout)
		return c, err
	}
	if err != nil {
		return complain("%v", err)
	}
	if fs.NArg() > 0 {
		return complain("unexpected argument %q", fs.Arg(0))
	}
	// As -h does, it ends the program with the exit code 0.
	if version {
		fmt.Fprintln(stdout, versionLine())
		return c, flag.ErrHelp
	}
	if name, err := env.set(fs); err != nil {
		return complain("environment variable %s: %v", name, err)
	}
	c.Unread = env.unread(fs)
	if c.Fairness {
		if err := fairnessConfig(fs); err != nil {
			return complain("%v", err)
		}
	}
	demo := false
	fs.Visit(func(f *flag.Flag) { demo = demo || f.Name == "demo" })
	if host, _, err := net.SplitHostPort(c.Addr); !demo && err == nil {
		c.Demo = nodes.Loopback(host)
	}
	// After the defaults of -fairness, which set the users.
	if c.Clients == perUser {
		c.Clients = c.Users
	}
	if err = c.validate(); err != nil {
		return complain("%v", err)
	}
	if c.Secret, err = readSecret(c.SecretFile, env.get(secretVariable)); err != nil {
		return complain("%v", err)
	}
	if err := c.checkFiles(); err != nil {
		return complain("%v", err)
	}
	if c.Secret == "" {
		if host, _, _ := net.SplitHostPort(c.Addr); !c.Demo && !nodes.Loopback(host) {
			return complain("-addr %q, which is not on a loopback interface, needs -secret-file: without it no other program can make the tokens that clients connect with", c.Addr)
		}
		c.Secret, c.MadeUp = rand.Text(), true
	}
	return c, nil
}

// maxWorkers is the most that -workers, and the dashboard, may set.
const maxWorkers = 100_000

// perUser is the value of -clients for one client for each user.
const perUser = -1

// readSecret returns the secret of a file, or else of the environment, or "".
func readSecret(file, environment string) (string, error) {
	secret, from := environment, "environment variable "+secretVariable
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("-secret-file: %w", err)
		}
		secret, from = strings.TrimSpace(string(text)), "-secret-file "+file
	}
	if secret == "" && file == "" {
		return "", nil
	}
	if len(secret) < minSecret {
		return "", fmt.Errorf("%s: the secret has %d bytes: %d or more are required", from, len(secret), minSecret)
	}
	return secret, nil
}

// minSecret is how many bytes the secret of socket tokens must have at least.
const minSecret = 20
