package main

import (
	"fmt"

	"github.com/penstock-go/penstock/examples/internal/nodes"
	"github.com/penstock-go/penstock/pubsub/redis"
)

// openRedis makes the remote of -cluster redis://host:port.
func (a *app) openRedis() error {
	options, err := nodes.RedisOptions(a.cfg.Cluster)
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
