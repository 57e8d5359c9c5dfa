// Package embedded runs a NATS server inside the process, so that a cluster of
// programs needs no other service: each has a server, and the servers join each other
// by routes. A program that uses a server elsewhere does not compile this one.
//
//	server, err := embedded.Start(embedded.Config{ClusterListen: "127.0.0.1:6222"})
//	defer server.Close()
//	remote, err := nats.New(nats.Config{Options: server.Options()})
package embedded

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"strconv"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"

	"github.com/penstock-go/penstock/internal/option"
)

// OptionError reports a refused option. The type is the same in every package of this
// module.
type OptionError = option.Error

// Config configures [Start]. The zero value is a server without a listener, for clients
// of this process.
type Config struct {
	// Listen is the host:port for clients of other processes, which need no
	// credentials unless Configure asks for some. Default: no listener, or in a
	// cluster one on the loopback interface that asks for a password which only this
	// process knows.
	Listen string
	// ClusterListen is the host:port for the routes of other servers; port 0 is any.
	// Default: none, or 127.0.0.1:0 with Join.
	ClusterListen string
	// Join are the host:port of the ClusterListen of other servers, of which one is
	// enough. A server that is not there yet is tried again for ever. Default: none.
	Join []string
	// Secret is what servers of one cluster must have in common to join each other.
	// It passes in the clear unless Configure sets TLS. Default: none is asked for.
	Secret string
	// Name is that of the server. Default: one that is made up.
	Name string
	// JoinTimeout is how long Start waits for a route if there is something to join.
	// Without a route after it the server goes on trying. Default: 5 s.
	JoinTimeout time.Duration
	// Configure changes the options of the server before it starts, such as for TLS,
	// accounts and JetStream. Default: nothing is changed.
	Configure func(*natsserver.Options)
	// Logger receives the warnings and errors of the server. Default: slog.Default.
	Logger *slog.Logger
}

const owner option.Owner = "embedded.Server"

func (c Config) validate() error {
	for name, addresses := range map[string][]string{"Listen": {c.Listen}, "ClusterListen": {c.ClusterListen}, "Join": c.Join} {
		for _, address := range addresses {
			if _, _, err := split(address); address != "" && err != nil || address == "" && name == "Join" {
				return owner.Refuse(name, address, "host:port")
			}
		}
	}
	return option.AtLeast(owner, "JoinTimeout", c.JoinTimeout, 0)
}

func (c Config) withDefaults() Config {
	if len(c.Join) > 0 {
		option.Default(&c.ClusterListen, "127.0.0.1:0")
	}
	option.Default(&c.JoinTimeout, 5*time.Second)
	option.Logger(&c.Logger)
	return c
}

// split returns the parts of a host:port.
func split(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > math.MaxUint16 {
		return "", 0, errors.New("bad port")
	}
	return host, port, nil
}

// Server is a running server.
type Server struct {
	// Server is the server itself, for looking at it.
	Server *natsserver.Server

	credentials []natsgo.Option // that only this process knows
}

// Start runs a server until it is closed. A refused option is an [*OptionError].
func Start(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	o := cfg.options()
	if cfg.Configure != nil {
		cfg.Configure(o)
	}
	credentials := cfg.protect(o)
	for _, at := range []struct{ option, address string }{{"Listen", cfg.Listen}, {"ClusterListen", cfg.ClusterListen}} {
		if err := tryListen(at.address); err != nil {
			return nil, fmt.Errorf("embedded: %s: %w", at.option, err)
		}
	}
	server, err := natsserver.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	log := &logger{log: cfg.Logger}
	server.SetLoggerV2(log, false, false, false)
	server.Start()
	s := &Server{server, credentials}
	if !server.ReadyForConnections(readyTimeout) {
		go s.Close() // may wait for ever for what has not begun
		if err := log.fatal(); err != nil {
			return nil, fmt.Errorf("embedded: %w", err)
		}
		return nil, fmt.Errorf("embedded: not ready within %v", readyTimeout)
	}
	s.awaitRoute(cfg)
	return s, nil
}

// readyTimeout is how long the listeners may take.
const readyTimeout = 5 * time.Second

// tryListen returns why an address cannot be listened on. The server itself would go on
// without the listener, and could not be ended any more.
func tryListen(address string) error {
	if address == "" {
		return nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return l.Close()
}

// awaitRoute waits for a route if there is something to join.
func (s *Server) awaitRoute(cfg Config) {
	if len(cfg.Join) == 0 {
		return
	}
	for begin := time.Now(); s.Server.NumRoutes() == 0; time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > cfg.JoinTimeout {
			cfg.Logger.Warn("embedded: no other server of the cluster is reached yet", "join", cfg.Join)
			return
		}
	}
}

// cluster is the name of every cluster: servers with different names do not join.
const cluster = "penstock"

// options are those of the server.
func (c Config) options() *natsserver.Options {
	o := &natsserver.Options{
		ServerName: c.Name, NoSigs: true, DontListen: c.Listen == "" && c.ClusterListen == "",
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT,
	}
	if c.Listen != "" {
		o.Host, o.Port, _ = split(c.Listen) // checked
		if o.Port == 0 {
			o.Port = natsserver.RANDOM_PORT
		}
	}
	if c.ClusterListen == "" {
		return o
	}
	o.Cluster.Name = cluster
	o.Cluster.Host, o.Cluster.Port, _ = split(c.ClusterListen)
	if o.Cluster.Port == 0 {
		o.Cluster.Port = natsserver.RANDOM_PORT
	}
	var user *url.Userinfo
	if c.Secret != "" {
		o.Cluster.Username, o.Cluster.Password = cluster, c.Secret
		user = url.UserPassword(cluster, c.Secret)
	}
	for _, address := range c.Join {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats", User: user, Host: address})
	}
	return o
}

// protect makes up a password for a listener that was not asked for, which a server
// with routes cannot do without, unless clients need credentials anyway.
func (c Config) protect(o *natsserver.Options) []natsgo.Option {
	if c.Listen != "" || o.DontListen || o.Username != "" || o.Authorization != "" || len(o.Users)+len(o.Nkeys)+len(o.TrustedOperators)+len(o.TrustedKeys) > 0 ||
		o.CustomClientAuthentication != nil || o.AuthCallout != nil {
		return nil
	}
	password := rand.Text()
	o.CustomClientAuthentication = ownPassword(password)
	return []natsgo.Option{natsgo.UserInfo(cluster, password)}
}

// ownPassword lets in clients that know it.
type ownPassword string

// Check implements server.Authentication.
func (p ownPassword) Check(c natsserver.ClientAuthentication) bool {
	return subtle.ConstantTimeCompare([]byte(c.GetOpts().Password), []byte(p)) == 1
}

// Options are what a client of this process needs to reach the server.
func (s *Server) Options() []natsgo.Option {
	return append([]natsgo.Option{natsgo.InProcessServer(s.Server)}, s.credentials...)
}

// URL is where clients of other processes reach the server; empty without Listen.
func (s *Server) URL() string {
	if s.Server.Addr() == nil || s.credentials != nil {
		return ""
	}
	return s.Server.ClientURL()
}

// ClusterAddr is the host:port that other servers join; empty without ClusterListen.
func (s *Server) ClusterAddr() string {
	if a := s.Server.ClusterAddr(); a != nil {
		return a.String()
	}
	return ""
}

// Routes returns the number of servers that this one is joined with.
func (s *Server) Routes() int { return s.Server.NumRemotes() }

// Close ends the server and the connections to it, and waits for that. Close clients
// first, for they would try to reconnect.
func (s *Server) Close() {
	s.Server.Shutdown()
	s.Server.WaitForShutdown()
}
