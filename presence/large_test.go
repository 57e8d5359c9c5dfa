package presence_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/pubsub"
)

// TestALargeRoomTravelsInParts pins that no message between nodes, and no diff, is
// much larger than its bound, with 10,000 users of whom a node learns in a state
// and in a delta, and that all of them arrive and leave.
func TestALargeRoomTravelsInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const users = 10_000
		c, m := newCluster(t, "a", "b")
		var diff atomic.Int64
		counts := func(name string) *crowd {
			room := &crowd{present: map[string]bool{}, largest: &diff}
			if _, err := m[name].hub.Subscribe("room", room); err != nil {
				t.Fatal(err)
			}
			return room
		}
		byDelta := counts("b")
		ctx, leave := owner(t)
		for n := range users {
			track(t, m["a"].Tracker, ctx, "room", fmt.Sprint("user-", n), meta{"device": "phone", "online_at": 1700000000 + n})
		}
		pass(2 * time.Second)
		m["c"] = c.start("c")
		byState := counts("c")
		pass(2 * time.Second)
		for name, room := range map[string]*crowd{"b": byDelta, "c": byState} {
			if n := m[name].Count("room"); n != users || room.len() != users {
				t.Errorf("%s knows %d users and has told of %d, want %d", name, n, room.len(), users)
			}
		}
		leave()
		pass(2 * time.Second)
		for name, room := range map[string]*crowd{"b": byDelta, "c": byState} {
			if n := m[name].Count("room"); n != 0 || room.len() != 0 {
				t.Errorf("%s knows %d users and has told of %d, want none", name, n, room.len())
			}
		}
		c.mu.Lock()
		largest := c.largest
		c.mu.Unlock()
		if largest > 160<<10 || diff.Load() > 100<<10 {
			t.Errorf("the largest message between nodes has %d bytes, the largest diff %d", largest, diff.Load())
		}
		t.Logf("largest message between nodes: %d bytes, largest diff: %d bytes", largest, diff.Load())
		for _, x := range m {
			x.stop()
		}
	})
}

// crowd applies the diffs of a room.
type crowd struct {
	mu      sync.Mutex
	present map[string]bool
	largest *atomic.Int64
}

func (c *crowd) Deliver(m *pubsub.Message) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.largest.Store(max(c.largest.Load(), int64(len(m.Payload.Data))))
	var d presence.Diff
	if err := m.Payload.Decode(&d); err != nil {
		panic(err)
	}
	for key := range d.Joins {
		c.present[key] = true
	}
	for key := range d.Leaves {
		delete(c.present, key)
	}
	return true
}

func (c *crowd) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.present)
}
