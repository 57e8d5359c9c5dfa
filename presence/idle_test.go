package presence

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

// TestATrackerThatDoesNotRun pins that it keeps no more changes for other nodes than
// its bound, says that they do not see them, and has them ask for the state when it
// runs.
func TestATrackerThatDoesNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		net := pubsubtest.NewNetwork()
		hubA, stopA := net.Hub(t, "a", pubsub.Config{})
		hubB, stopB := net.Hub(t, "b", pubsub.Config{})
		a, err := New(Config{Hub: hubA, Logger: slog.New(slog.NewTextHandler(&text, nil))})
		if err != nil {
			t.Fatal(err)
		}
		b, err := New(Config{Hub: hubB})
		if err != nil {
			t.Fatal(err)
		}
		stopTrackerB := pubsubtest.Run(t, b.Run)
		// Right after New it is no fault that Run does not run yet.
		if _, err := a.Track(t.Context(), "room", "first", nil); err != nil {
			t.Fatal(err)
		}
		a.UntrackAll(t.Context())
		if text.Len() > 0 {
			t.Errorf("a warning at the beginning: %s", &text)
		}
		time.Sleep(time.Minute)
		for range maxUnannounced/2 + 10 {
			if _, err := a.Track(t.Context(), "room", "1", nil); err != nil {
				t.Fatal(err)
			}
			a.UntrackAll(t.Context())
		}
		if n := len(a.machine.joins) + len(a.machine.leaves); n > maxUnannounced {
			t.Errorf("%d changes wait", n)
		}
		if n := strings.Count(text.String(), "does not run"); n != 1 {
			t.Errorf("%d lines, want 1: %s", n, &text)
		}
		if _, err := a.Track(t.Context(), "room", "1", nil); err != nil {
			t.Fatal(err)
		}
		stopTrackerA := pubsubtest.Run(t, a.Run)
		time.Sleep(5 * time.Second)
		if b.Count("room") != 1 {
			t.Error("the other node does not know the presence")
		}
		a.UntrackAll(t.Context())
		time.Sleep(5 * time.Second)
		if b.Count("room") != 0 {
			t.Error("the other node knows the presence still")
		}
		stopTrackerA()
		time.Sleep(time.Second)
		if _, err := a.Track(t.Context(), "room", "late", nil); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(text.String(), "does not run"); n != 2 {
			t.Errorf("%d lines, want 2: %s", n, &text)
		}
		a.UntrackAll(t.Context())
		stopTrackerB()
		stopA()
		stopB()
	})
}
