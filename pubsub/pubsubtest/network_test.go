package pubsubtest_test

import (
	"testing"

	"go.uber.org/goleak"

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
					c.Remotes = append(c.Remotes, n.Remote(name))
				}
				return c
			})
		})
	}
}
