package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/penstock-go/penstock/pubsub/nats"
	"github.com/penstock-go/penstock/pubsub/nats/embedded"
)

// cluster joins this server to others. Its zero value is a server without others.
type cluster struct {
	server *embedded.Server // nil unless it is embedded
	remote *nats.Remote
}

// openCluster starts the NATS server of this process, which listens for others at listen
// and joins those at the addresses in join. Without a listen there is no cluster.
func openCluster(node, listen, join string, o *options) (c cluster, err error) {
	if listen == "" {
		return c, nil
	}
	joins := strings.FieldsFunc(join, func(r rune) bool { return r == ',' })
	if c.server, err = embedded.Start(embedded.Config{ClusterListen: listen, Join: joins, Logger: o.logger}); err != nil {
		return c, fmt.Errorf("-cluster: %w", err)
	}
	if c.remote, err = nats.New(nats.Config{Node: node, Options: c.server.Options(), Logger: o.logger}); err != nil {
		c.server.Close()
		return c, fmt.Errorf("-cluster: %w", err)
	}
	o.remote = c.remote
	return c, nil
}

// patience is how long the start waits for the others.
const patience = 5 * time.Second

// join takes part with the hub and the tracker. untrack ends the tracker with its goodbye
// and may be called again, leave the rest; both wait.
func (c cluster) join(ctx context.Context, s *server, failed chan<- error) (untrack, leave func()) {
	if c.server == nil {
		return func() {}, func() {}
	}
	stopHub := background(func(ctx context.Context) { report(failed, s.endpoint.PubSub().Run(ctx)) })
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// Without the others it begins all the same.
	if err := c.remote.Sync(limit); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		report(failed, err)
	}
	untrack = background(func(ctx context.Context) { report(failed, s.tracker.Run(ctx)) })
	return untrack, func() {
		untrack()
		stopHub()
		c.server.Close()
	}
}

// report sends an error to failed unless there is one already.
func report(failed chan<- error, err error) {
	if err == nil {
		return
	}
	select {
	case failed <- err:
	default:
	}
}

// background runs f in a goroutine until stop is called, which waits for it.
func background(f func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}
