package delivery_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
	"github.com/penstock-go/penstock/stage"
)

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
