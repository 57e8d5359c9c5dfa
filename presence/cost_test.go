package presence_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/pubsub"
)

// broadcastPeriod is the default.
const broadcastPeriod = 1500 * time.Millisecond

// TestTenThousandPresencesOverThreeNodes pins how soon a join reaches the other nodes,
// in how many messages a new node learns of all, and what a presence takes in memory.
func TestTenThousandPresencesOverThreeNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each, nodes = 3333, 3
		c, m := newCluster(t, "a", "b", "c")
		ctx, leave := owner(t)
		pass(broadcastPeriod)
		before := heapInUse()
		for n := range each * nodes {
			track(t, m[string(rune('a'+n%nodes))].Tracker, ctx, "room", fmt.Sprint("user-", n), meta{"device": "phone", "online_at": 1_700_000_000 + n})
		}
		pass(broadcastPeriod + time.Second)
		for name, node := range m {
			if n := node.Count("room"); n != each*nodes {
				t.Errorf("%s knows %d presences after %v, want %d", name, n, broadcastPeriod+time.Second, each*nodes)
			}
			node.diff.forget()
		}
		// At each of the three nodes a third is its own, with what it takes to end it.
		bytes := (heapInUse() - before) / (each * nodes) / nodes
		t.Logf("%d bytes for each presence at each node", bytes)
		if bytes > 1500 {
			t.Errorf("a presence takes %d bytes at each node, want 1500 at most", bytes)
		}
		for n := range 5 { // at several moments of the period
			key := fmt.Sprint("late-", n)
			track(t, m["a"].Tracker, ctx, "room", key, nil)
			pass(broadcastPeriod + time.Second)
			if !m["b"].Online("room", key) || !m["c"].Online("room", key) {
				t.Errorf("%s has not reached the others after %v", key, broadcastPeriod+time.Second)
			}
			pass(broadcastPeriod / 5)
		}
		m["d"] = c.start("d")
		pass(time.Second)
		if n := m["d"].Count("room"); n != each*nodes+5 {
			t.Errorf("a new node knows %d presences after a second", n)
		}
		if n := m["d"].hub.Snapshot().Received; n > 60 {
			t.Errorf("a new node got %d messages, want at most 60", n)
		} else {
			t.Logf("a new node learns of all in %d messages", n)
		}
		leave()
		pass(2 * broadcastPeriod)
		for _, node := range m {
			node.stop()
		}
	})
}

// forget drops the diffs that have come.
func (d *diffs) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = nil
}

// heapInUse returns the bytes that are reachable.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// TestAHerdIsTrackedWhileFetchIsSlow pins that no call of Track waits for the diffs of
// others, on a node of several.
func TestAHerdIsTrackedWhileFetchIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const joins = 2500
		c, m := newCluster(t, "a", "b")
		hub, stop := c.net.Hub(t, "c", pubsub.Config{})
		tr := newTracker(t, presence.Config{Hub: hub, Fetch: named(func(context.Context, string) { time.Sleep(20 * time.Millisecond) })})
		run, end := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- tr.Run(run) }()
		ctx, leave := owner(t)
		begin := time.Now()
		for n := range joins {
			track(t, tr, ctx, "room", fmt.Sprint(n), nil)
		}
		if took := time.Since(begin); took > 0 { // of virtual time, which Fetch takes
			t.Errorf("%d calls of Track took %v", joins, took)
		}
		pass(broadcastPeriod + time.Second)
		if n := m["b"].Count("room"); n != joins {
			t.Errorf("another node knows %d of %d", n, joins)
		}
		leave()
		synctest.Wait()
		settle(t, tr)
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		stop()
		for _, node := range m {
			node.stop()
		}
	})
}
