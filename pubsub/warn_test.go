package pubsub_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

// TestAForgottenRunIsLogged pins that a hub with a remote whose Run was never called
// says so, once in a second, and not before it has had time to begin.
func TestAForgottenRunIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		net := pubsubtest.NewNetwork()
		h := newHub(t, pubsub.Config{Remote: net.Remote("a"), Logger: slog.New(slog.NewTextHandler(&text, nil))})
		lines := func() int { return strings.Count(text.String(), "remote and does not run") }
		subscribe(t, h, "t", &recorder{})
		if lines() != 0 || h.Snapshot().Running {
			t.Errorf("at once: %s", &text)
		}
		time.Sleep(10 * time.Second)
		for range 3 {
			subscribe(t, h, "t", &recorder{})
			_, _ = h.Broadcast(t.Context(), "t", "e", nil) // not sent to other nodes
		}
		if lines() != 1 {
			t.Errorf("%d lines, want 1: %s", lines(), &text)
		}
		stop := pubsubtest.Run(t, h.Run)
		synctest.Wait()
		if !h.Snapshot().Running {
			t.Error("it runs, and its snapshot does not say so")
		}
		time.Sleep(10 * time.Second)
		subscribe(t, h, "t", &recorder{})
		stop()
		time.Sleep(10 * time.Second)
		subscribe(t, h, "t", &recorder{})
		if lines() != 1 {
			t.Errorf("%d lines, want 1: %s", lines(), &text)
		}
	})
}

// TestMessagesForNodesThatAreNotThere pins that they are no error, and are counted
// and logged.
func TestMessagesForNodesThatAreNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		h, stop := pubsubtest.NewNetwork().Hub(t, "a", pubsub.Config{Logger: slog.New(slog.NewTextHandler(&text, nil))})
		synctest.Wait()
		for range 3 {
			if _, err := h.DirectBroadcast(t.Context(), "nowhere", "t", "e", nil); err != nil {
				t.Error(err)
			}
		}
		if s := h.Snapshot(); s.NoNode != 3 || strings.Count(text.String(), "not there") != 1 {
			t.Errorf("%+v: %s", s, &text)
		}
		if _, err := h.DirectBroadcast(t.Context(), "nowhere", "t", "e", []int{1}); err == nil {
			t.Error("a bad payload was taken")
		}
		stop()
	})
}
