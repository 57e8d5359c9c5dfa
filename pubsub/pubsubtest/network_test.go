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
			pubsubtest.TestRemote(t, func(_ *testing.T, names ...string) []pubsub.Remote {
				n := pubsubtest.NewNetwork()
				n.Uncounted = uncounted
				remotes := make([]pubsub.Remote, len(names))
				for i, name := range names {
					remotes[i] = n.Remote(name)
				}
				return remotes
			})
		})
	}
}
