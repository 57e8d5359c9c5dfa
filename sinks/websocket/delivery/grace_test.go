package delivery_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket/delivery"
)

func TestGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{config: delivery.Config[push]{Grace: 4 * time.Second}})
		_, other := r.join("other")
		first := r.push("1", "1", "other")
		r.expect(first, "", "", done)
		other.AssertBroadcast("push", payload{N: first + 2})
		r.stats(delivery.Snapshot{WaitingForClient: 1, Delivered: 1})
		pass(4*time.Second - 1)
		r.expect(first, "")
		pass(1)
		// The second one had its grace while it waited for the first.
		r.expect(first, noSubscriber, noSubscriber)
		r.stats(delivery.Snapshot{Delivered: 1, Discarded: dropped(delivery.NoSubscriber, 2), AbsentTopics: 1})
		// So has what comes soon after.
		pass(3 * time.Second)
		r.expect(r.push("1"), noSubscriber)
		pass(3 * time.Second)
		r.expect(r.push("1"), noSubscriber)
		// Later the user may be on the way back.
		pass(5 * time.Second)
		r.stats(delivery.Snapshot{Delivered: 1, Discarded: dropped(delivery.NoSubscriber, 4)})
		first = r.push("1")
		r.expect(first, "")
		_, ch := r.join("1")
		ch.AssertBroadcast("push", payload{N: first})
		r.expect(first, done)
	})
}

func TestAUserWhoWasGivenUpIsServedOnTheirReturn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{})
		first := r.push("1")
		pass(6 * time.Second)
		r.expect(first, noSubscriber)
		_, ch := r.join("1")
		first = r.push("1")
		ch.AssertBroadcast("push", payload{N: first})
		r.expect(first, done)
		r.stats(delivery.Snapshot{Delivered: 1, Discarded: dropped(delivery.NoSubscriber, 1)})
	})
}

// TestACrowdedSourceShortensTheGrace: only of topics whose first event is crowded, and only
// while no client is here. Such a topic counts as absent afterwards.
func TestACrowdedSourceShortensTheGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		upTo := -1 // owned by the stage's goroutine while it runs
		var mu sync.Mutex
		crowd := func(n int) { mu.Lock(); upTo = n; mu.Unlock() }
		r := start(t, options{config: delivery.Config[push]{Crowded: func(p push) bool {
			mu.Lock()
			defer mu.Unlock()
			return p.N <= upTo
		}}})
		_, here := r.join("here")
		first := r.push("old", "new", "old", "here")
		here.AssertBroadcast("push", payload{N: first + 3})
		pass(time.Second)
		r.expect(first, "", "", "", done)
		crowd(first)
		pass(10 * time.Millisecond)
		r.expect(first, noSubscriber, "", noSubscriber, done)
		r.expect(r.push("old"), noSubscriber)
		_, ch := r.join("new")
		ch.AssertBroadcast("push", payload{N: first + 1})
		r.expect(first, noSubscriber, done, noSubscriber, done)
		r.stats(delivery.Snapshot{Delivered: 2, Discarded: dropped(delivery.NoSubscriber, 3), AbsentTopics: 1})
		// A slow client has no grace that could end.
		crowd(1 << 30)
		r.expect(r.push("here"), done)
	})
}

// TestACrowdedConsumerShortensTheGrace: with Crowded set a flood to users who are not here
// does not fill MaxWaiting, which would hold up all others for as long as the grace.
func TestACrowdedConsumerShortensTheGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{config: delivery.Config[push]{
			MaxDemand: 4, MaxWaiting: 8, Crowded: func(push) bool { return false },
		}})
		_, here := r.join("here")
		first := r.push("a", "b", "c", "d", "e", "f")
		pass(10 * time.Millisecond)
		r.expect(first, "", "", "", "", "", "")
		for i := range 20 {
			r.push(fmt.Sprint("x", i))
			pass(10 * time.Millisecond)
		}
		r.expect(first, noSubscriber, noSubscriber, noSubscriber, noSubscriber, noSubscriber, noSubscriber)
		last := r.push("here")
		here.AssertBroadcast("push", payload{N: last})
		r.expect(last, done)
		r.stats(delivery.Snapshot{Delivered: 1, Discarded: dropped(delivery.NoSubscriber, 20), WaitingForClient: 6, AbsentTopics: 8})
	})
}

func TestReconnectAtTheLastMoment(t *testing.T) {
	for _, resume := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			r := start(t, options{resume: resume})
			c, ch := r.join("1")
			first := r.push("1")
			ch.AssertBroadcast("push", payload{N: first})
			c.Close()
			synctest.Wait() // the server knows
			first = r.push("1", "1", "1")
			pass(5*time.Second - 1)
			_, ch = r.join("1")
			for n := range 3 {
				ch.AssertBroadcast("push", payload{N: first + n})
			}
			r.expect(first, done, done, done)
			r.stats(delivery.Snapshot{Delivered: 4})
		})
	}
}
