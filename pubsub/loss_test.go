package pubsub_test

import (
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

// TestALossIsToldWithoutHistory pins that a subscriber with a copy of something learns
// that it may have missed a change, on a hub without history and on a topic that the
// hub's history does not keep.
func TestALossIsToldWithoutHistory(t *testing.T) {
	for name, cfg := range map[string]func(t *testing.T) pubsub.Config{
		"no history":      func(*testing.T) pubsub.Config { return pubsub.Config{} },
		"of other topics": func(t *testing.T) pubsub.Config { return pubsub.Config{History: kept(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := pubsubtest.NewNetwork()
				a, stopA := net.Hub(t, "a", pubsub.Config{})
				b, stopB := net.Hub(t, "b", cfg(t))
				f := &follower{}
				subscribe(t, b, "plain", f)
				subscribe(t, b, "other", &recorder{})
				synctest.Wait()
				f.lost = nil // of the beginning
				net.Cut("a", "b")
				send(t, a, "plain", "e", nil)
				net.Heal()
				if got := f.losses(); got != "[plain]" {
					t.Errorf("after it: %s", got)
				}
				if s := b.Snapshot(); s.Lost == 0 {
					t.Errorf("%+v", s)
				}
				stopA()
				stopB()
			})
		})
	}
}
