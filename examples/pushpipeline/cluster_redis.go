package main

import (
	"errors"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstock-go/penstock/pubsub/redis"
)

// redisOptions reads the URL of a Redis. The error has no part of it: what cannot be parsed
// may be a part of the password.
func redisOptions(text string) (*goredis.UniversalOptions, error) {
	o, err := goredis.ParseURL(text)
	if err != nil {
		return nil, errors.New("-cluster is not the URL of a Redis, redis://user:password@host:port")
	}
	return &goredis.UniversalOptions{
		Addrs: []string{o.Addr}, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
	}, nil
}

// openRedis makes the remote of -cluster redis://host:port.
func (a *app) openRedis() error {
	options, err := redisOptions(a.cfg.Cluster)
	if err != nil {
		return err
	}
	r, err := redis.New(redis.Config{Node: a.cfg.Node, Options: options, Metrics: a.recorder, Logger: a.log})
	if err != nil {
		return fmt.Errorf("-cluster: %w", err)
	}
	a.cluster.remote, a.cluster.nodes = r, func() []string { return r.Snapshot().Nodes }
	return nil
}
