package main

import (
	"context"
	"fmt"
	"time"

	"github.com/penstock-go/penstock/examples/internal/nodes"
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
	case c.clusterFlags().OnRedis():
		options, err := nodes.RedisOptions(c.Cluster)
		if err != nil {
			return err
		}
		remote, err := redis.New(redis.Config{Node: c.Node, Options: options, Metrics: a.recorder, Logger: a.log})
		if err != nil {
			return err // an interface around a nil pointer would not be nil
		}
		a.cluster.remote = remote
		return nil
	case c.Cluster == nodes.Embedded:
		server := embedded.Config{ClusterListen: c.ClusterListen, Join: nodes.List(c.Join), Secret: c.ClusterSecret, Logger: a.log}
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
