package presence_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/pubsub"
)

// TestACrowdIsToldInFewDiffs has users come four in a millisecond to a topic whose
// subscriber takes a while: each client learns of all of them in order, from few diffs, and
// no diff is late. Users who come one by one are told at once.
func TestACrowdIsToldInFewDiffs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, err := pubsub.New(pubsub.Config{})
		if err != nil {
			t.Fatal(err)
		}
		m := &mirror{t: t, refs: map[string]string{}}
		slow := pubsub.SubscriberFunc(func(msg *pubsub.Message) bool {
			time.Sleep(2 * time.Millisecond)
			return m.Deliver(msg)
		})
		if _, err := hub.Subscribe("room", slow); err != nil {
			t.Fatal(err)
		}
		tr := newTracker(t, presence.Config{Hub: hub})
		ctx, leave := context.WithCancel(t.Context())
		for n := range 1000 {
			track(t, tr, ctx, "room", fmt.Sprint(n), nil)
			pass(250 * time.Microsecond)
		}
		pass(50 * time.Millisecond)
		if len(m.refs) != 1000 || m.diffs > 16 {
			t.Errorf("%d users in %d diffs, want 1000 in 16 at most", len(m.refs), m.diffs)
		}
		m.diffs = 0
		for n := range 20 {
			track(t, tr, ctx, "room", fmt.Sprint("late", n), nil)
			pass(3 * time.Millisecond)
			if len(m.refs) != 1001+n {
				t.Fatalf("user %d is not told after 3 ms", n)
			}
		}
		leave()
		pass(50 * time.Millisecond)
		settle(t, tr)
		if len(m.refs) != 0 || m.diffs > 20+8 {
			t.Errorf("%d users are left after %d diffs", len(m.refs), m.diffs)
		}
	})
}
