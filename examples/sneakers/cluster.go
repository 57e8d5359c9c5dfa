package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/nats"
	"github.com/penstock-go/penstock/pubsub/nats/embedded"
	"github.com/penstock-go/penstock/pubsub/redis"
)

// cluster joins this node to others. The zero value is a node alone.
type cluster struct {
	server *embedded.Server        // nil unless it is embedded
	remote pubsub.InterestedRemote // nil without -cluster
}

// inside is the value of -cluster for a server in this process.
const inside = "embedded"

// openHub makes the hub, and what joins it to the other nodes.
func (a *app) openHub() (err error) {
	if err = a.openCluster(); err != nil {
		return fmt.Errorf("-cluster: %w", err)
	}
	cfg := pubsub.Config{Logger: a.log}
	if a.cluster.remote != nil {
		cfg.Remote = a.cluster.remote
	}
	a.hub, err = pubsub.New(cfg)
	return err
}

func (a *app) openCluster() (err error) {
	c := a.cfg
	cfg := nats.Config{Node: c.Node, Metrics: a.recorder, Logger: a.log}
	switch {
	case c.remote != nil:
		a.cluster.remote = c.remote
		return nil
	case c.Cluster == "":
		return nil
	case hasScheme(c.Cluster, "redis", "rediss"):
		options, err := redisOptions(c.Cluster)
		if err != nil {
			return err
		}
		remote, err := redis.New(redis.Config{Node: c.Node, Options: options, Metrics: a.recorder, Logger: a.log})
		if err != nil {
			return err // an interface around a nil pointer would not be nil
		}
		a.cluster.remote = remote
		return nil
	case c.Cluster == inside:
		server := embedded.Config{ClusterListen: c.ClusterListen, Join: list(c.Join), Secret: c.ClusterSecret, Logger: a.log}
		if server.ClusterListen == "" && len(server.Join) == 0 {
			server.ClusterListen = "127.0.0.1:6232"
		}
		if a.cluster.server, err = embedded.Start(server); err != nil {
			return err
		}
		cfg.Options = a.cluster.server.Options()
	default:
		cfg.URL = c.Cluster
	}
	remote, err := nats.New(cfg)
	if err != nil {
		return err
	}
	a.cluster.remote = remote
	return nil
}

// meetOthers waits a moment for the other nodes. Without them the shop opens all the same.
func (a *app) meetOthers(ctx context.Context) {
	if a.cluster.remote == nil {
		return
	}
	limit, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := a.cluster.remote.Sync(limit); err != nil {
		a.log.Warn("other nodes are not reached yet", "error", err)
		return
	}
	attrs := []any{"node", a.cluster.remote.Node()}
	if a.cluster.server != nil {
		attrs = append(attrs, "join", a.cluster.server.ClusterAddr())
	}
	a.log.Info("in the cluster", attrs...)
}

// close ends the server of this process.
func (c *cluster) close() {
	if c.server != nil {
		c.server.Close()
		c.server = nil
	}
}

// validateCluster returns why these nodes cannot form a cluster.
func (c config) validateCluster() error {
	var errs []error
	switch {
	case c.Cluster == "", c.Cluster == inside, hasScheme(c.Cluster, "nats", "tls"):
	case hasScheme(c.Cluster, "redis", "rediss"):
		_, err := redisOptions(c.Cluster)
		errs = append(errs, err)
	default:
		errs = append(errs, fmt.Errorf("-cluster %q is not allowed: embedded, or the nats://host:port or redis://host:port of a server", c.Cluster))
	}
	for _, option := range [][2]string{{"cluster-listen", c.ClusterListen}, {"join", c.Join}, {"cluster-secret-file", c.ClusterSecretFile}} {
		if option[1] != "" && c.Cluster != inside {
			errs = append(errs, fmt.Errorf("-%s needs -cluster embedded", option[0]))
		}
	}
	if c.Node != "" && c.Cluster == "" {
		errs = append(errs, errors.New("-node needs -cluster"))
	}
	if c.Cluster != "" && c.Database == "" {
		errs = append(errs, errors.New("-cluster needs -database: nodes with databases of their own are not one shop"))
	}
	if c.Cluster != "" && c.SecretFile == "" {
		errs = append(errs, errors.New("-cluster needs -secret-file: a cart of one node must be valid at the others"))
	}
	for _, join := range list(c.Join) {
		errs = append(errs, address("join", join))
	}
	if c.ClusterListen != "" {
		errs = append(errs, address("cluster-listen", c.ClusterListen))
		if host, _, err := net.SplitHostPort(c.ClusterListen); err == nil && !loopback(host) && c.ClusterSecretFile == "" {
			errs = append(errs, fmt.Errorf("-cluster-listen %q, which is not on a loopback interface, needs -cluster-secret-file", c.ClusterListen))
		}
	}
	return errors.Join(errs...)
}

// redisOptions reads the URL of a Redis. The error does not have its password.
func redisOptions(text string) (*goredis.UniversalOptions, error) {
	o, err := goredis.ParseURL(text)
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return nil, fmt.Errorf("-cluster is not the URL of a Redis, redis://user:password@host:port: %w", err)
	}
	return &goredis.UniversalOptions{Addrs: []string{o.Addr}, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig}, nil
}

// hasScheme reports whether text is a URL of one of these schemes.
func hasScheme(text string, schemes ...string) bool {
	scheme, _, ok := strings.Cut(text, "://")
	return ok && slices.Contains(schemes, scheme)
}

// list reads what is separated by commas.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
