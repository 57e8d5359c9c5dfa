package presence_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestUsersOfANodeThatEndsAreShownOnce: once Run has returned the presences of a node
// have left everywhere, although its clients are still connected. Those that come to other
// nodes are never shown twice, nor when the node closes them, nor when it is back.
func TestUsersOfANodeThatEndsAreShownOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := newCluster(t, "a", "b", "c")
		before, closed := owner(t)
		track(t, m["a"].Tracker, before, "room", "x", nil)
		pass(2 * time.Second)
		is(t, keys(m["b"])+" "+keys(m["c"]), "x x")
		m["a"].stop()
		is(t, keys(m["b"])+" "+keys(m["c"]), " ")

		after, cancel := owner(t)
		track(t, m["b"].Tracker, after, "room", "x", nil)
		closed()
		m["a"] = c.start("a")
		for range 40 {
			pass(50 * time.Millisecond)
			for _, x := range m {
				if n := len(x.Get("room", "x")); n > 1 {
					t.Errorf("%s shows x %d times", x.name, n)
				}
			}
		}
		is(t, keys(m["a"])+" "+keys(m["b"])+" "+keys(m["c"]), "x x x")
		for _, x := range m {
			x.stop()
		}
		cancel()
	})
}

// TestAUserWhoMovesIsShownTwiceForAPeriod: a client that leaves a node which goes on is
// shown at that node too until its next announcement.
func TestAUserWhoMovesIsShownTwiceForAPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, m := newCluster(t, "a", "b")
		before, closed := owner(t)
		after, cancel := owner(t)
		track(t, m["a"].Tracker, before, "room", "x", nil)
		pass(2 * time.Second)
		closed()
		track(t, m["b"].Tracker, after, "room", "x", nil)
		if n := len(m["b"].Get("room", "x")); n != 2 {
			t.Errorf("shown %d times at first, want 2: then the documentation is wrong", n)
		}
		pass(1500 * time.Millisecond) // BroadcastPeriod
		if a, b := len(m["a"].Get("room", "x")), len(m["b"].Get("room", "x")); a != 1 || b != 1 {
			t.Errorf("shown %d and %d times after BroadcastPeriod, want once", a, b)
		}
		for _, x := range m {
			x.stop()
		}
		cancel()
	})
}
