package presence_test

import (
	"context"
	"fmt"
	"strings"
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

// TestACrowdDoesNotDelayOtherTopics: while a lobby is busy all the time, whose subscriber
// takes 2 ms, a user who comes to another topic is told as soon as that has returned, and a
// state of many parts there does not wait for the lobby's diffs. The lobby gets as few
// diffs as it would alone.
func TestACrowdDoesNotDelayOtherTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, err := pubsub.New(pubsub.Config{})
		if err != nil {
			t.Fatal(err)
		}
		lobby, quiet := &mirror{t: t, refs: map[string]string{}}, &mirror{t: t, refs: map[string]string{}}
		slow := pubsub.SubscriberFunc(func(msg *pubsub.Message) bool {
			time.Sleep(2 * time.Millisecond)
			return lobby.Deliver(msg)
		})
		for topic, m := range map[string]pubsub.Subscriber{"lobby": slow, "quiet": quiet} {
			if _, err := hub.Subscribe(topic, m); err != nil {
				t.Fatal(err)
			}
		}
		tr := newTracker(t, presence.Config{Hub: hub})
		ctx, leave := context.WithCancel(t.Context())
		for n := range 4000 {
			track(t, tr, ctx, "large", fmt.Sprint(n), meta{"pad": strings.Repeat("x", 200)})
		}
		settle(t, tr)
		pass(time.Second)
		var took time.Duration
		parts := 0 // calls follow each other
		ended := make(chan error, 1)
		for n := range 1000 {
			track(t, tr, ctx, "lobby", fmt.Sprint(n), nil)
			switch n {
			case 500: // the crowd is under way
				begin := time.Now()
				go func() {
					err := tr.PushState(t.Context(), "large", func(_ string, _ any, written func(time.Time, error)) error {
						parts++
						if written != nil {
							written(time.Now(), nil)
						}
						return nil
					})
					took = time.Since(begin)
					ended <- err
				}()
			case 600, 700, 800:
				before := len(quiet.refs)
				track(t, tr, ctx, "quiet", fmt.Sprint(n), nil)
				pass(2 * time.Millisecond)
				if len(quiet.refs) != before+1 {
					t.Errorf("a user of a quiet topic is not told after 2 ms")
				}
			}
			pass(250 * time.Microsecond)
		}
		if err := <-ended; err != nil || parts < 10 || took > 5*time.Millisecond {
			t.Errorf("%v: %d parts took %v", err, parts, took)
		}
		pass(50 * time.Millisecond)
		if len(lobby.refs) != 1000 || lobby.diffs > 18 {
			t.Errorf("%d users in %d diffs, want 1000 in 18 at most", len(lobby.refs), lobby.diffs)
		}
		leave()
		pass(50 * time.Millisecond)
		settle(t, tr)
		if len(lobby.refs)+len(quiet.refs) != 0 {
			t.Errorf("%d and %d users are left", len(lobby.refs), len(quiet.refs))
		}
	})
}
