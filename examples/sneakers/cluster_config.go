package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// validateCluster returns why these nodes cannot form a cluster.
func (c config) validateCluster() error {
	var errs []error
	switch {
	case c.Cluster == "", c.Cluster == inside:
	case hasScheme(c.Cluster, "nats", "tls"):
		errs = append(errs, natsURLs(c.Cluster))
	case hasScheme(c.Cluster, "redis", "rediss"):
		_, err := redisOptions(c.Cluster)
		errs = append(errs, err)
	default:
		errs = append(errs, errors.New("-cluster is neither embedded nor the nats://host:port or redis://host:port of a server"))
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

// redisOptions reads the URL of a Redis. The error has no part of it: what cannot be parsed
// may be a part of the password.
func redisOptions(text string) (*goredis.UniversalOptions, error) {
	o, err := goredis.ParseURL(text)
	if err != nil {
		return nil, errors.New("-cluster is not the URL of a Redis, redis://user:password@host:port")
	}
	return &goredis.UniversalOptions{Addrs: []string{o.Addr}, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig}, nil
}

// natsURLs returns why text is not a list of URLs of NATS servers. The error has no part of
// it: what cannot be parsed may be a part of the password.
func natsURLs(text string) error {
	for server := range strings.SplitSeq(text, ",") {
		if server = strings.TrimSpace(server); !strings.Contains(server, "://") {
			server = "nats://" + server
		}
		if u, err := url.Parse(server); err != nil || u.Host == "" {
			return errors.New("-cluster is not the URL of a NATS server, nats://user:password@host:port")
		}
	}
	return nil
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
