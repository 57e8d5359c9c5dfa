package pubsub_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

func TestADeliveryWithoutRunIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := pubsubtest.NewNetwork()
		h := newHub(t, pubsub.Config{Remote: net.Remote("a")})
		reported(t, deliverFrom(t, h), pubsub.ErrNoAnswer)
		s := &socket{}
		subscribeAll(t, h, s)
		got := deliverFrom(t, h)
		s.taken[0].Report(time.Now(), nil)
		reported(t, got, nil)
		stop := pubsubtest.Run(t, h.Run)
		synctest.Wait()
		if err := h.Run(t.Context()); !errors.Is(err, pubsub.ErrRunning) {
			t.Errorf("a second Run: %v", err)
		}
		// The end of Run ends what waits.
		other, _ := net.Hub(t, "b", pubsub.Config{})
		subscribeAll(t, other, &socket{})
		synctest.Wait()
		got = deliverFrom(t, h)
		s.taken[1].Report(time.Time{}, pubsub.ErrGone)
		stop()
		reported(t, got, pubsub.ErrNoAnswer)
	})
}

func TestAHubRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := pubsubtest.NewNetwork()
		a, stop := net.Hub(t, "a", pubsub.Config{})
		b, _ := net.Hub(t, "b", pubsub.Config{})
		got := &recorder{}
		subscribe(t, a, "t", got)
		synctest.Wait()
		for n := range 2 {
			send(t, b, "t", "e", num{n})
			synctest.Wait()
			stop()
			send(t, b, "t", "missed", nil)
			stop = pubsubtest.Run(t, a.Run)
			synctest.Wait()
		}
		send(t, b, "t", "e", num{2})
		synctest.Wait()
		if got.String() != "[e0 e1 e2]" || a.Snapshot().Lost != 3 {
			t.Errorf("%s, %+v", got, a.Snapshot())
		}
	})
}
