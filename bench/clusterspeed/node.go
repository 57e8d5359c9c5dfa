//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"
	"time"

	natsgo "github.com/nats-io/nats.go"
	goredis "github.com/redis/go-redis/v9"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/nats"
	"github.com/penstock-go/penstock/pubsub/nats/embedded"
	"github.com/penstock-go/penstock/pubsub/redis"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// node is one of the processes that form the cluster. One request is handled at a time.
type node struct {
	name    string
	server  *embedded.Server // of NATS
	redis   *goredis.UniversalOptions
	remote  pubsub.InterestedRemote
	hub     *pubsub.Hub
	sockets *websocket.Endpoint
	ends    []func() // in the order of their beginning

	users    []*pubsub.Subscription
	room     *room
	bare     *bare
	trackers map[string]*tracked
	profile  *os.File
}

// nodeConfig is how a node begins.
type nodeConfig struct {
	Name string `json:"name"`
	// Join is the address of an embedded server, empty for the first node; Redis that
	// of a Redis, which is used instead.
	Join  string `json:"join"`
	Redis string `json:"redis"`
}

// joined is where other nodes join.
type joined struct {
	Join string `json:"join"`
}

func (n *node) handlers() map[string]handler {
	return map[string]handler{
		"start": on(n.start), "reach": on(n.reach), "subscriptions": on(n.subscriptions), "usage": on(usage), "heap": on(heap), "profile": on(n.profileTo),
		"users": on(n.setUsers), "listen": on(n.listen), "push": on(n.push),
		"room": on(n.openRoom), "broadcast": on(n.broadcast), "await": on(n.awaitRoom), "got": on(n.gotRoom),
		"track": on(n.track), "count": on(n.awaitCount), "online": on(n.awaitOnline), "untrack": on(n.untrack), "herd": on(n.herd),
		"topics": on(n.topics),
	}
}

// start joins the cluster.
func (n *node) start(ctx context.Context, cfg nodeConfig) (j joined, err error) {
	n.name, n.trackers = cfg.Name, make(map[string]*tracked)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	slog.SetDefault(log)
	if cfg.Redis != "" {
		n.redis = &goredis.UniversalOptions{Addrs: []string{cfg.Redis}}
		n.remote, err = redis.New(redis.Config{Node: n.name, Options: n.redis})
	} else {
		e := embedded.Config{ClusterListen: "127.0.0.1:0"}
		if cfg.Join != "" {
			e.Join = []string{cfg.Join}
		}
		if n.server, err = embedded.Start(e); err != nil {
			return j, err
		}
		n.ends = append(n.ends, n.server.Close)
		j.Join = n.server.ClusterAddr()
		n.remote, err = nats.New(nats.Config{Node: n.name, Options: n.server.Options()})
	}
	if err != nil {
		return j, err
	}
	if n.hub, err = pubsub.New(pubsub.Config{Remote: n.remote}); err != nil {
		return j, err
	}
	if n.sockets, err = websocket.NewEndpoint(websocket.EndpointConfig{PubSub: n.hub}); err != nil {
		return j, err
	}
	n.run("the hub", n.hub.Run)
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return j, n.remote.Sync(limit)
}

// patience is how long anything may take that should be done at once.
const patience = 30 * time.Second

// run runs something until the end of the process, or until stop is called.
func (n *node) run(what string, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			slog.Error(what+" has ended", "node", n.name, "error", err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	n.ends = append(n.ends, stop)
	return stop
}

// close ends what runs, the latest first.
func (n *node) close() {
	for i := len(n.ends) - 1; i >= 0; i-- {
		n.ends[i]()
	}
}

// reach waits until this node knows so many others.
func (n *node) reach(ctx context.Context, others int) (none, error) {
	known := func() int {
		if r, ok := n.remote.(*nats.Remote); ok {
			return len(r.Snapshot().Nodes)
		}
		return len(n.remote.(*redis.Remote).Snapshot().Nodes)
	}
	return none{}, until(ctx, fmt.Sprintf("%d other nodes", others), func() bool { return known() == others })
}

// until waits until done reports true.
func until(ctx context.Context, what string, done func() bool) error {
	end := time.Now().Add(patience)
	for !done() {
		if time.Now().After(end) {
			return fmt.Errorf("waited for %s in vain", what)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// dropped returns how many messages the remote has dropped, both ways.
func (n *node) dropped() int64 {
	if r, ok := n.remote.(*nats.Remote); ok {
		s := r.Snapshot()
		return s.DroppedIn + s.DroppedOut
	}
	s := n.remote.(*redis.Remote).Snapshot()
	return s.DroppedIn + s.DroppedOut
}

// subscriptions returns how many the embedded server knows, those of its clients and
// those of other servers.
func (n *node) subscriptions(context.Context, none) (int, error) {
	return int(n.server.Server.NumSubscriptions()), nil
}

// profileTo begins a processor profile, or ends it if the path is empty.
func (n *node) profileTo(_ context.Context, path string) (none, error) {
	if path == "" {
		pprof.StopCPUProfile()
		return none{}, n.profile.Close()
	}
	var err error
	if n.profile, err = os.Create(path); err != nil {
		return none{}, err
	}
	return none{}, pprof.StartCPUProfile(n.profile)
}

// connectBare is a client of its own of the server in this process.
func (n *node) connectBare() (*natsgo.Conn, error) {
	return natsgo.Connect(natsgo.DefaultURL, n.server.Options()...)
}
