package nats_test

import (
	"log/slog"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/nats"
	"github.com/penstock-go/penstock/pubsub/nats/embedded"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
	"github.com/penstock-go/penstock/pubsub/pubsubtest/cutproxy"
)

// startServer runs a server until the end of the test.
func startServer(t testing.TB, cfg embedded.Config) *embedded.Server {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	server, err := embedded.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// newRemote makes a remote with short times.
func newRemote(t testing.TB, cfg nats.Config) *nats.Remote {
	t.Helper()
	if cfg.Beat == 0 {
		cfg.Beat = 50 * time.Millisecond
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	r, err := nats.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRemote holds the remote against the contract: three nodes at one server, and at
// three servers that are joined.
func TestRemote(t *testing.T) {
	t.Run("one_server", func(t *testing.T) {
		pubsubtest.TestRemote(t, func(t *testing.T, names ...string) pubsubtest.Cluster {
			url := startServer(t, embedded.Config{Listen: "127.0.0.1:0"}).Server.Addr().String()
			return behindProxies(t, names, func(int) string { return url })
		})
	})
	t.Run("a_server_each", func(t *testing.T) {
		pubsubtest.TestRemote(t, func(t *testing.T, names ...string) pubsubtest.Cluster {
			servers := startServers(t, len(names))
			return behindProxies(t, names, func(i int) string { return servers[i].Server.Addr().String() })
		})
	})
}

// startServers runs servers that have joined each other.
func startServers(t testing.TB, count int) (all []*embedded.Server) {
	t.Helper()
	for i := range count {
		cfg := embedded.Config{Listen: "127.0.0.1:0", ClusterListen: "127.0.0.1:0", Secret: "secret"}
		if i > 0 {
			cfg.Join = []string{all[0].ClusterAddr()}
		}
		all = append(all, startServer(t, cfg))
	}
	for _, s := range all {
		await(t, "the routes", func() bool { return s.Routes() == count-1 })
	}
	return all
}

// behindProxies makes remotes, each behind a proxy of its own that can be cut.
func behindProxies(t *testing.T, names []string, server func(i int) string) pubsubtest.Cluster {
	proxies := make(map[string]*cutproxy.Proxy)
	c := pubsubtest.Cluster{
		Cut:  func(name string) { proxies[name].Cut() },
		Heal: func(name string) { proxies[name].Heal() },
	}
	for i, name := range names {
		proxies[name] = cutproxy.New(t, server(i))
		c.Remotes = append(c.Remotes, pubsub.Remote(newRemote(t, nats.Config{Node: name, URL: "nats://" + proxies[name].Addr()})))
	}
	return c
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

// requirePassword makes a server ask clients for a password.
func requirePassword(o *natsserver.Options) { o.Username, o.Password = "a", "right" }
