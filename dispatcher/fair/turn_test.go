package fair

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
)

// worker subscribes one consumer that has asked for n events.
func (r *rig) worker(n int) {
	r.t.Helper()
	if err := r.f.Subscribe(0, dispatcher.SubscribeConfig{}); err != nil {
		r.t.Fatal(err)
	}
	r.f.Ask(0, n)
	r.dispatch()
}

// TestATurnHasSeveralEvents: they are handed out together, and the key waits until each
// has its receipt.
func TestATurnHasSeveralEvents(t *testing.T) {
	r := newRig(t, Config[ev]{Turn: 3, Credits: 1})
	r.offer("a", "a", "a", "a", "a", "b", "c", "c")
	r.worker(6)
	r.want("a1 a2 a3 b1 c1 c2")
	r.finish(0, receipt.Done)
	r.finish(0, receipt.Done)
	r.want("a1 a2 a3 b1 c1 c2") // a3 is in flight
	r.finish(0, receipt.Done)
	r.want("a1 a2 a3 b1 c1 c2 a4 a5")
	r.drained()
}

// TestATurnEndsWithTheDemand: what is left has its turn after the others.
func TestATurnEndsWithTheDemand(t *testing.T) {
	r := newRig(t, Config[ev]{Turn: 3, Credits: 1})
	r.offer("a", "a", "a", "b", "b")
	r.worker(2)
	r.want("a1 a2")
	r.finish(1, receipt.Done)
	r.want("a1 a2 b1")
	r.finish(0, receipt.Done)
	r.finish(0, receipt.Done)
	r.want("a1 a2 b1 a3 b2")
	r.drained()
}

// TestATurnThatComesBackKeepsItsOrder: events that a consumer had when it died.
func TestATurnThatComesBackKeepsItsOrder(t *testing.T) {
	r := newRig(t, Config[ev]{Turn: 4})
	r.offer("a", "a", "a", "a", "a")
	r.worker(4)
	r.want("a1 a2 a3 a4")
	r.finish(3, receipt.Returned)
	r.finish(1, receipt.Returned)
	r.finish(1, receipt.Done)
	r.want("a1 a2 a3 a4")
	r.finish(0, receipt.Returned)
	r.want("a1 a2 a3 a4 a1 a2 a4 a5")
	r.drained()
}

func TestATurnGoesToOneSubscription(t *testing.T) {
	r := newRig(t, Config[ev]{Turn: 3})
	r.workers(3) // each has asked for one event
	r.offer("a", "a", "a")
	r.want("a1")
	r.drained()
}

func TestTurnIsRefusedWithWhatItDoesNotServe(t *testing.T) {
	tenant := func(e ev) string { return e.key }
	for _, cfg := range []Config[ev]{
		{Turn: -1}, {Turn: 65}, {Turn: 2, UnorderedInFlight: 2}, {Turn: 2, Weights: []int{1}}, {Turn: 2, Tenant: tenant}, {Turn: 2, MeasuredCost: true},
		{Turn: 2, Retry: retry.Policy{MaxAttempts: 2}}, {Turn: 2, Retry: retry.Policy{MaxAttempts: retry.Unlimited}}, {Turn: 2, Retry: retry.Policy{Backoff: time.Second}},
	} {
		var refused *OptionError
		if err := cfg.Validate(); !errors.As(err, &refused) || refused.Option != "Turn" {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	if err := (Config[ev]{Turn: 2, Retry: retry.Policy{MaxAttempts: 1}}).Validate(); err != nil {
		t.Error(err)
	}
	if err := (Config[ev]{Turn: 1, MeasuredCost: true, Tenant: tenant, Weights: []int{1, 2}}).Validate(); err != nil {
		t.Error(err)
	}
}

// TestTurnsOfKeysWithoutCredits: with turns of several events they get every second turn if they
// are the most that wait, and one of seventeen if they are few.
func TestTurnsOfKeysWithoutCredits(t *testing.T) {
	for _, c := range []struct{ without, with, of, want int }{
		{without: 8, with: 8, of: 8, want: 4},
		{without: 20, with: 4, of: 8, want: 4},
		{without: 4, with: 12, of: 8, want: 2},
		{without: 1, with: 40, of: 34, want: 2},
	} {
		r := newRig(t, Config[ev]{Turn: 2, Credits: 1})
		for i := range c.without {
			for range 10 {
				r.offer(fmt.Sprint("without", i))
			}
		}
		r.worker(1)
		r.serve(2 * c.without) // each has spent its credit
		newcomers := 0
		for range c.with {
			newcomers++
			r.offer(fmt.Sprint("with", newcomers))
		}
		got := 0
		for range c.of {
			r.serve(1)
			if strings.HasPrefix(r.log[len(r.log)-1].event.key, "without") {
				got++
				continue
			}
			newcomers++
			r.offer(fmt.Sprint("with", newcomers))
		}
		if got != c.want {
			t.Errorf("%d keys without credits and %d with: %d of %d turns were of those without, want %d", c.without, c.with, got, c.of, c.want)
		}
		r.drained()
	}
}
