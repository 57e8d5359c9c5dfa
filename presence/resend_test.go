package presence_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

// TestAFailedSendIsNotRepeatedAtOnce pins that a node without its backplane waits before
// each further attempt, so that a minute costs it a hundred or two of them, not millions.
func TestAFailedSendIsNotRepeatedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := pubsubtest.NewNetwork()
		hub, _ := net.Hub(t, "a", pubsub.Config{Logger: slog.New(slog.DiscardHandler)})
		tracker, err := presence.New(presence.Config{Hub: hub, BroadcastPeriod: time.Second, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		pubsubtest.Run(t, tracker.Run)
		time.Sleep(time.Second)
		for name, cut := range map[string]func(){"disconnected": func() { net.Disconnect("a") }, "killed": func() { net.Kill("a") }} {
			before := tracker.Snapshot().Failed
			cut()
			if _, err := tracker.Track(t.Context(), "t", name, map[string]int{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := tracker.Snapshot().Failed - before; n < 1 || n > 200 {
				t.Errorf("%s: %d attempts in a minute", name, n)
			}
			net.Reconnect("a")
		}
	})
}
