package pubsubtest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNetwork(t *testing.T) {
	for name, uncounted := range map[string]bool{"counted": false, "uncounted": true} {
		t.Run(name, func(t *testing.T) {
			pubsubtest.TestRemote(t, func(_ *testing.T, names ...string) pubsubtest.Cluster {
				n := pubsubtest.NewNetwork()
				n.Uncounted = uncounted
				c := pubsubtest.Cluster{Heal: func(string) { n.Heal() }}
				c.Cut = func(name string) {
					for _, other := range names {
						if other != name {
							n.Cut(name, other)
						}
					}
				}
				for _, name := range names {
					// Nothing notices a cut, so that there is no reach to speak of.
					c.Remotes = append(c.Remotes, struct{ pubsub.InterestedRemote }{n.Remote(name)})
				}
				return c
			})
		})
	}
}

func TestNetworkWithDisconnects(t *testing.T) {
	pubsubtest.TestRemote(t, func(_ *testing.T, names ...string) pubsubtest.Cluster {
		n := pubsubtest.NewNetwork()
		c := pubsubtest.Cluster{Cut: func(name string) { n.Disconnect(name) }, Heal: func(name string) { n.Reconnect(name) }}
		for _, name := range names {
			c.Remotes = append(c.Remotes, n.Remote(name))
		}
		return c
	})
}

func TestHistories(t *testing.T) {
	cfg := pubsub.MemoryConfig{Topics: []string{"kept:*"}}
	t.Run("memory", func(t *testing.T) {
		pubsubtest.TestHistory(t, func(t *testing.T) pubsubtest.Histories {
			var h pubsubtest.Histories
			for range 2 {
				memory, err := pubsub.NewMemory(cfg)
				if err != nil {
					t.Fatal(err)
				}
				h.Nodes = append(h.Nodes, memory)
			}
			return h
		})
	})
	t.Run("shared", func(t *testing.T) {
		pubsubtest.TestHistory(t, func(t *testing.T) pubsubtest.Histories {
			h := pubsubtest.NewSharedHistory(t, cfg)
			return pubsubtest.Histories{Nodes: []pubsub.History{h, h}, Shared: true}
		})
	})
}
