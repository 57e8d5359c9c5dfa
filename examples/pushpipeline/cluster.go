package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/penstock-go/penstock/examples/internal/nodes"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/nats"
	"github.com/penstock-go/penstock/pubsub/nats/embedded"
)

// cluster joins this process to others: a push that one of them takes in reaches its
// user's sockets at all of them. The zero value is a process without others.
type cluster struct {
	server *embedded.Server        // nil unless it is embedded
	remote pubsub.InterestedRemote // nil without -cluster
	nodes  func() []string         // the names of the other processes
	hub    *pubsub.Hub             // nil without -cluster: the endpoint makes its own
}

// defaultClusterListen is where the first process of a machine listens for others. One
// that joins takes any port.
const defaultClusterListen = "127.0.0.1:6222"

// clusterFlags are the flags of a cluster.
func (c config) clusterFlags() nodes.Flags {
	return nodes.Flags{Cluster: c.Cluster, Listen: c.ClusterListen, Join: c.Join, SecretFile: c.ClusterSecretFile, Node: c.Node}
}

// validateCluster returns why these processes cannot form a cluster.
func (c config) validateCluster() error {
	err := c.clusterFlags().Check()
	if c.Cluster != "" && c.Fairness {
		err = errors.Join(err, errors.New("-fairness measures one process: without -cluster"))
	}
	return err
}

// openCluster makes the hub of -cluster, and its server if that is to run in this
// process. It waits a moment for the others.
func (a *app) openCluster() (err error) {
	if a.cfg.Cluster == "" {
		return nil
	}
	if a.cfg.clusterFlags().OnRedis() {
		err = a.openRedis()
	} else {
		err = a.openNATS()
	}
	if err != nil {
		return err
	}
	a.cluster.hub, err = pubsub.New(pubsub.Config{Remote: a.cluster.remote, RemoteTimeout: answerTimeout, Logger: a.log})
	return err
}

// answerTimeout is how long an attempt waits for other nodes. It is what a push that was
// on its way to a node which is killed waits before it is tried again.
const answerTimeout = 3 * time.Second

// openNATS makes the remote of -cluster embedded and of -cluster nats://host:port.
func (a *app) openNATS() (err error) {
	cfg := nats.Config{Node: a.cfg.Node, Metrics: a.recorder, Logger: a.log}
	if a.cfg.Cluster == nodes.Embedded {
		if a.cluster.server, err = a.cfg.startServer(a); err != nil {
			return err
		}
		cfg.Options = a.cluster.server.Options()
	} else {
		cfg.URL = a.cfg.Cluster
	}
	r, err := nats.New(cfg)
	if err != nil {
		return fmt.Errorf("-cluster: %w", err)
	}
	a.cluster.remote, a.cluster.nodes = r, func() []string { return r.Snapshot().Nodes }
	return nil
}

// startServer starts the server of this process.
func (c config) startServer(a *app) (*embedded.Server, error) {
	cfg := embedded.Config{ClusterListen: c.ClusterListen, Join: nodes.List(c.Join), Logger: a.log}
	if cfg.ClusterListen == "" && len(cfg.Join) == 0 {
		cfg.ClusterListen = defaultClusterListen
	}
	if c.ClusterSecretFile != "" {
		text, err := os.ReadFile(c.ClusterSecretFile)
		if err != nil {
			return nil, fmt.Errorf("-cluster-secret-file: %w", err)
		}
		if cfg.Secret = strings.TrimSpace(string(text)); len(cfg.Secret) < minSecret {
			return nil, fmt.Errorf("-cluster-secret-file: the secret has %d bytes: %d or more are required", len(cfg.Secret), minSecret)
		}
	}
	server, err := embedded.Start(cfg)
	if err != nil {
		return nil, fmt.Errorf("-cluster: %w", err)
	}
	return server, nil
}

// clusterPatience is how long the start waits for the other processes.
const clusterPatience = 5 * time.Second

// joinCluster runs the hub until leaveCluster, and waits until the others are reached.
// Without them the program begins all the same: users of this process get their pushes.
func (r *run) joinCluster() {
	if r.cluster.hub == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.cluster.hub.Run(ctx); err != nil {
			r.fail(err)
		}
	}()
	sharing := make(chan struct{})
	go func() {
		defer close(sharing)
		r.shared.run(ctx)
	}()
	r.leaveCluster = func() {
		cancel()
		<-ended
		<-sharing
	}
	limit, stop := context.WithTimeout(r.ctx, clusterPatience)
	defer stop()
	if err := r.cluster.remote.Sync(limit); err != nil {
		r.log.Warn("other processes are not reached yet", "error", err)
		return
	}
	attrs := []any{"node", r.cluster.remote.Node(), "others", r.cluster.nodes()}
	if r.cluster.server != nil {
		attrs = append(attrs, "join", r.cluster.server.ClusterAddr())
	}
	r.log.Info("in the cluster", attrs...)
}

// names returns the names of this process and of the others.
func (c *cluster) names() (own string, others []string) {
	if c.remote == nil {
		return "", nil
	}
	return c.remote.Node(), c.nodes()
}

// close ends the server of this process.
func (c *cluster) close() {
	if c.server != nil {
		c.server.Close()
		c.server = nil
	}
}
