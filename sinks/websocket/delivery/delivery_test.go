package delivery_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
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

func TestADrainWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{})
		first := r.push("away", "back")
		begin := time.Now()
		go func() {
			pass(time.Second)
			_, ch := r.join("back")
			ch.AssertBroadcast("push", payload{N: first + 1})
		}()
		if err := r.drain(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("the drain took %v, want the grace", took)
		}
		r.expect(first, noSubscriber, done)
	})
}

func TestADrainDiscardsWhatWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{
			queue: websocket.QueueConfig{Events: 4}, write: time.Hour,
			config: delivery.Config[push]{DiscardOnDrain: true},
		})
		full, _ := r.join("full")
		held, heldChannel := r.join("held")
		full.Pause()
		held.Pause()
		for range 4 {
			if _, err := r.endpoint.Broadcast(t.Context(), "user:full", "noise", nil); err != nil {
				t.Fatal(err)
			}
		}
		first := r.push("away", "full", "held", "away", "full")
		begin := time.Now()
		go func() {
			pass(time.Second)
			held.Resume()
			heldChannel.AssertBroadcast("push", payload{N: first + 2})
		}()
		if err := r.drain(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("the drain took %v, want 1s", took)
		}
		clientFull := string(delivery.ClientFull)
		r.expect(first, noSubscriber, clientFull, done, noSubscriber, clientFull)
	})
}

// TestADrainWaitsForItsGrace: then it discards what waits.
func TestADrainWaitsForItsGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{
			queue: websocket.QueueConfig{Events: 1}, write: 2 * time.Second,
			config: delivery.Config[push]{DiscardOnDrain: true, DrainGrace: 3 * time.Second},
		})
		mute, _ := r.join("mute")
		mute.Pause()
		users := []string{"away", "back"}
		for range 50 {
			users = append(users, "mute")
		}
		first := r.push(users...)
		begin := time.Now()
		over := make(chan struct{})
		go func() {
			defer close(over)
			pass(2 * time.Second)
			_, ch := r.join("back")
			ch.AssertBroadcast("push", payload{N: first + 1})
		}()
		if err := r.drain(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("the drain took %v, want 3s", took)
		}
		for n, ends := range r.ends {
			if n == first+1 && fmt.Sprint(ends) != "["+done+"]" || len(ends) != 1 {
				t.Errorf("push %d to %s: %v", n, users[n-first], ends)
			}
		}
		<-over
	})
}

// TestAStopGivesNoReceipts: what was not delivered has none, and what is
// reported later does no harm.
func TestAStopGivesNoReceipts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{})
		held, heldChannel := r.join("held")
		held.Pause()
		first := r.push("away", "held")
		r.pipeline.Stop(nil)
		if err := <-r.ended; !errors.Is(err, stage.ErrStopped) && err != nil {
			t.Error(err)
		}
		r.ended <- nil
		held.Resume()
		heldChannel.AssertBroadcast("push", payload{N: first + 1})
		r.join("away")
		pass(time.Minute)
		for n, ends := range r.ends {
			// The producer may still be there to see its consumer go.
			if got := fmt.Sprint(ends); got != "[]" && got != "[abandoned]" {
				t.Errorf("push %d: %s", n, got)
			}
		}
		r.stats(delivery.Snapshot{})
		if first != 0 {
			t.Fatal("other pushes came first")
		}
	})
}

func TestTwoConsumersOfOneEndpoint(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{consumers: 2, config: delivery.Config[push]{MaxDemand: 3}})
		var channels []*channeltest.Channel
		users := make([]string, 10)
		for i := range users {
			users[i] = fmt.Sprint(i)
			_, ch := r.join(users[i])
			channels = append(channels, ch)
		}
		first := r.push(users...)
		away := r.push("away", "away2")
		for i, ch := range channels {
			ch.AssertBroadcast("push", payload{N: first + i})
			r.expect(first+i, done)
		}
		for i, user := range []string{"away", "away2"} {
			_, ch := r.join(user)
			ch.AssertBroadcast("push", payload{N: away + i})
			r.expect(away+i, done)
		}
		a, b := r.sockets[0].Snapshot(), r.sockets[1].Snapshot()
		if a.Delivered+b.Delivered != 12 || a.Delivered == 0 || b.Delivered == 0 {
			t.Errorf("delivered %d and %d", a.Delivered, b.Delivered)
		}
	})
}

// Whichever consumer gets the next push of an absent user: there is one grace for all of them.
func TestConsumersShareTheGraceOfAUser(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{consumers: 3, config: delivery.Config[push]{Grace: 3 * time.Second}})
		users := slices.Repeat([]string{"1"}, 40)
		first := r.push(users...)
		pass(3*time.Second - 1)
		r.expect(first, "")
		pass(1)
		r.expect(first, slices.Repeat([]string{noSubscriber}, len(users))...)
		// A client that comes has all that follows, and after it there is a grace again.
		client, _ := r.join("1")
		synctest.Wait()
		first = r.push(users...)
		r.expect(first, slices.Repeat([]string{done}, len(users))...)
		client.Close()
		synctest.Wait()
		first = r.push(users...)
		pass(3*time.Second - 1)
		r.expect(first, "")
		r.join("1")
		synctest.Wait()
		r.expect(first, slices.Repeat([]string{done}, len(users))...)
	})
}

func TestLatencyAndCallbacks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rec := &timers{}
		var calls []string
		r := start(t, options{config: delivery.Config[push]{
			Grace: time.Second, Metrics: rec,
			Enqueued:  func(p push) time.Time { return p.At },
			Delivered: func(p push, at time.Time) { calls = append(calls, fmt.Sprint(p.N, " after ", at.Sub(p.At))) },
			Discarded: func(p push, reason receipt.Reason) { calls = append(calls, fmt.Sprint(p.N, " ", reason)) },
		}})
		c, ch := r.join("1")
		c.Pause()
		first := r.push("1", "away")
		pass(2 * time.Second)
		c.Resume()
		ch.AssertBroadcast("push", payload{N: first})
		r.expect(first, done, noSubscriber)
		if err := r.queue.TryPush(push{User: "1", N: 2, At: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		ch.AssertBroadcast("push", payload{N: 2})
		r.expect(2, done)
		want := "[1 no_subscriber 0 after 2s 2 after -1h0m0s]"
		if got := fmt.Sprint(calls); got != want {
			t.Errorf("calls %s, want %s", got, want)
		}
		if got := fmt.Sprint(rec.took); got != "[2s 0s]" {
			t.Errorf("latencies %s", got)
		}
	})
}

// timers is a recorder of pipeline.push_delivered.
type timers struct{ took []time.Duration }

func (r *timers) Counter(name string, tags ...metrics.Tag) metrics.Counter {
	return metrics.Nop().Counter(name, tags...)
}

func (r *timers) Gauge(name string, tags ...metrics.Tag) metrics.Gauge {
	return metrics.Nop().Gauge(name, tags...)
}

func (r *timers) Timer(name string, tags ...metrics.Tag) metrics.Timer {
	if name != "pipeline.push_delivered" {
		return metrics.Nop().Timer(name, tags...)
	}
	return r
}

func (r *timers) Observe(d time.Duration) { r.took = append(r.took, d) }
