package redis_test

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstock-go/penstock/internal/sourcetest"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
	"github.com/penstock-go/penstock/pubsub/pubsubtest/cutproxy"
	"github.com/penstock-go/penstock/pubsub/redis"
)

// clusters counts the clusters of this process, each of which has a prefix of its own.
var clusters atomic.Int64

func newPrefix() string { return fmt.Sprint("test", time.Now().UnixNano(), "-", clusters.Add(1)) }

func at(addr string) *goredis.UniversalOptions {
	return &goredis.UniversalOptions{Addrs: []string{addr}}
}

// newRemote makes a remote with short times.
func newRemote(t testing.TB, cfg redis.Config) *redis.Remote {
	t.Helper()
	if cfg.Beat == 0 {
		cfg.Beat = 50 * time.Millisecond
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	r, err := redis.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// runHub makes a hub on a remote and runs it until the end of the test or until stop.
func runHub(t testing.TB, cfg redis.Config) (h *pubsub.Hub, r *redis.Remote, stop func()) {
	t.Helper()
	r = newRemote(t, cfg)
	h, err := pubsub.New(pubsub.Config{Remote: r, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	stop = pubsubtest.Run(t, h.Run)
	if err := r.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h, r, stop
}

// TestRemote holds the remote against the contract, each node behind a proxy of its own.
func TestRemote(t *testing.T) {
	addr := sourcetest.Server(t, "redis")
	pubsubtest.TestRemote(t, func(t *testing.T, names ...string) pubsubtest.Cluster {
		prefix := newPrefix()
		proxies := make(map[string]*cutproxy.Proxy)
		c := pubsubtest.Cluster{
			Cut:  func(name string) { proxies[name].Cut() },
			Heal: func(name string) { proxies[name].Heal() },
		}
		for _, name := range names {
			proxies[name] = cutproxy.New(t, addr)
			c.Remotes = append(c.Remotes, pubsub.Remote(newRemote(t, redis.Config{Node: name, Prefix: prefix, Options: at(proxies[name].Addr())})))
		}
		return c
	})
}

// await waits until done reports true, also on a machine that is busy with other work.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for begin := time.Now(); !done(); <-time.After(2 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
