package delivery_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
	"github.com/penstock-go/penstock/stage"
)

func TestAReceiptIsGivenWhenThePushWasWritten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{})
		c, ch := r.join("1")
		c.Pause()
		first := r.push("1")
		r.expect(first, "")
		r.stats(delivery.Snapshot{InFlight: 1})
		c.Resume()
		ch.AssertBroadcast("push", payload{N: first})
		r.expect(first, done)
		r.stats(delivery.Snapshot{Delivered: 1})
	})
}

// TestAStuckTabDoesNotSilenceAHealthyOne: the healthy one gets everything at
// once, in order, and the stuck one what it had room for.
func TestAStuckTabDoesNotSilenceAHealthyOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{queue: websocket.QueueConfig{Events: 4}, write: time.Hour})
		stuck, stuckChannel := r.join("1")
		_, healthy := r.join("1")
		stuck.Pause()
		first := r.push("1", "1", "1", "1", "1", "1", "1", "1")
		for n := range 8 {
			healthy.AssertBroadcast("push", payload{N: first + n})
			r.expect(first+n, done)
		}
		r.stats(delivery.Snapshot{Delivered: 8})
		stuck.Resume()
		for n := range 4 {
			stuckChannel.AssertBroadcast("push", payload{N: first + n})
		}
		stuckChannel.Refute("push", time.Second)
	})
}

// TestAFullClientParksItsOwnUser: the others are served, and the user is when
// there is room.
func TestAFullClientParksItsOwnUser(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{
			queue: websocket.QueueConfig{Events: 4}, write: time.Hour,
			config: delivery.Config[push]{MaxDemand: 1},
		})
		slow, slowChannel := r.join("slow")
		_, quick := r.join("quick")
		slow.Pause()
		for range 4 {
			if _, err := r.endpoint.Broadcast(t.Context(), "user:slow", "noise", nil); err != nil {
				t.Fatal(err)
			}
		}
		first := r.push("slow", "slow", "quick")
		r.expect(first, "", "", done)
		r.stats(delivery.Snapshot{WaitingForRoom: 1, Delivered: 1})
		quick.AssertBroadcast("push", payload{N: first + 2})
		pass(time.Hour / 2)
		r.expect(first, "", "")
		slow.Resume()
		slowChannel.AssertBroadcast("push", payload{N: first})
		slowChannel.AssertBroadcast("push", payload{N: first + 1})
		r.expect(first, done, done)
		r.stats(delivery.Snapshot{Delivered: 3})
	})
}

// TestASlowSocketDoesNotUseUpTheDemand: a frame that is queued and not written
// counts as waiting after a while.
func TestASlowSocketDoesNotUseUpTheDemand(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{write: time.Hour, config: delivery.Config[push]{MaxDemand: 2, MaxWaiting: 2}})
		for _, user := range []string{"a", "b", "c", "d"} {
			c, _ := r.join(user)
			c.Pause()
		}
		_, quick := r.join("quick")
		first := r.push("a", "b", "quick")
		pass(50 * time.Millisecond)
		r.expect(first, "", "", "")
		pass(51 * time.Millisecond)
		r.expect(first, "", "", done)
		quick.AssertBroadcast("push", payload{N: first + 2})
		// Two more, and MaxWaiting is used up.
		first = r.push("c", "d", "quick")
		pass(time.Second)
		r.expect(first, "", "", "")
		r.stats(delivery.Snapshot{InFlight: 4, Delivered: 1})
	})
}

// TestAConnectionThatClosesWithAPushInItsQueue: the push goes to the next one.
func TestAConnectionThatClosesWithAPushInItsQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{write: 2 * time.Second})
		c, _ := r.join("1")
		c.Pause()
		first := r.push("1", "1")
		r.expect(first, "", "")
		pass(2 * time.Second) // the server gives the connection up
		r.stats(delivery.Snapshot{WaitingForClient: 1})
		_, ch := r.join("1")
		ch.AssertBroadcast("push", payload{N: first})
		ch.AssertBroadcast("push", payload{N: first + 1})
		r.expect(first, done, done)
	})
}

func TestDiscardAbsent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{config: delivery.Config[push]{DiscardAbsent: true}})
		r.expect(r.push("1"), noSubscriber)
		r.stats(delivery.Snapshot{Discarded: dropped(delivery.NoSubscriber, 1)})
	})
}

func TestTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{
			queue: websocket.QueueConfig{Events: 4}, write: time.Hour,
			config: delivery.Config[push]{Timeout: time.Minute, Grace: time.Hour},
		})
		held, heldChannel := r.join("held")
		full, _ := r.join("full")
		held.Pause()
		full.Pause()
		for range 4 {
			if _, err := r.endpoint.Broadcast(t.Context(), "user:full", "noise", nil); err != nil {
				t.Fatal(err)
			}
		}
		first := r.push("held", "full", "absent")
		pass(time.Minute - 1)
		r.expect(first, "", "", "")
		pass(1)
		r.expect(first, expired, expired, expired)
		held.Resume()
		heldChannel.AssertBroadcast("push", payload{N: first}) // as the documentation says
		r.expect(first, expired)
		next := r.push("held")
		heldChannel.AssertBroadcast("push", payload{N: next})
		r.expect(next, done)
		r.stats(delivery.Snapshot{Delivered: 1, Discarded: dropped(receipt.Expired, 3)})
	})
}

func TestAnEventThatCannotBeSentFailsAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var failed []string
		r := start(t, options{config: delivery.Config[push]{
			Payload: func(p push) (any, error) {
				switch p.User {
				case "panic":
					panic("boom")
				case "error":
					return nil, errBroken
				case "array":
					return []int{1}, nil
				case "function":
					return func() {}, nil
				case "discard":
					return nil, stage.Discard("unwanted")
				}
				return payloadOf(p)
			},
			Failed: func(p push, err error) { failed = append(failed, fmt.Sprint(p.User, ": ", err)) },
		}})
		_, ch := r.join("1")
		first := r.push("panic", "error", "array", "function", "discard", "1")
		ch.AssertBroadcast("push", payload{N: first + 5})
		r.expect(first, "failed", "failed", "failed", "failed", "unwanted", done)
		r.stats(delivery.Snapshot{Delivered: 1, Failed: 4, Discarded: dropped("unwanted", 1)})
		for i, want := range []string{"panic: panic: boom", "error: broken", "array: pubsub: payload is neither", "function: json: unsupported type"} {
			if i >= len(failed) || !strings.HasPrefix(failed[i], want) {
				t.Errorf("failed %q, want %q at %d", failed, want, i)
			}
		}
	})
}

// TestOrderWithoutAFairDispatcher: events of a topic wait for each other.
func TestOrderWithoutAFairDispatcher(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{plain: true, queue: websocket.QueueConfig{Events: 4}, write: time.Hour})
		c, ch := r.join("1")
		c.Pause()
		users := make([]string, 20)
		for i := range users {
			users[i] = "1"
		}
		first := r.push(users...)
		r.stats(delivery.Snapshot{InFlight: 4, WaitingForRoom: 16})
		c.Resume()
		for n := range users {
			ch.AssertBroadcast("push", payload{N: first + n})
		}
		absent := r.push("2", "2", "2")
		_, ch = r.join("2")
		for n := range 3 {
			ch.AssertBroadcast("push", payload{N: absent + n})
		}
	})
}

func TestResumableTopics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{resume: true, queue: websocket.QueueConfig{Events: 4}, write: time.Hour})
		c, ch := r.join("1")
		c.Pause()
		for range 6 {
			if _, err := r.endpoint.Broadcast(t.Context(), "user:1", "noise", nil); err != nil {
				t.Fatal(err)
			}
		}
		first := r.push("1")
		r.expect(first, "")
		c.Resume() // it comes from the history
		ch.AssertBroadcast("push", payload{N: first})
		r.expect(first, done)
		c.Pause()
		first = r.push("1")
		c.Close()
		r.expect(first, string(delivery.Kept))
		r.stats(delivery.Snapshot{Delivered: 1, Discarded: dropped(delivery.Kept, 1)})
	})
}
