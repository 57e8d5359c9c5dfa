package fair

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
)

func TestServesKeysInTurn(t *testing.T) {
	r := newRig(t, Config[ev]{})
	r.offer("a", "a", "a", "a", "b", "b", "c")
	r.workers(1).serve(7)
	r.want("a1 b1 c1 a2 b2 a3 a4")
	r.drained()
}

func TestKeepsOneOfAKeyInFlight(t *testing.T) {
	r := newRig(t, Config[ev]{}).workers(3)
	r.offer("a", "a", "b")
	r.want("a1 b1")
	if r.f.Held() != 1 {
		t.Fatalf("held %d, want 1", r.f.Held())
	}
	r.finish(1, receipt.Done) // b's: a is still busy
	r.want("a1 b1")
	r.finish(0, receipt.Done)
	r.want("a1 b1 a2")
	r.drained()
}

func TestUnorderedInFlight(t *testing.T) {
	r := newRig(t, Config[ev]{UnorderedInFlight: 2}).workers(4)
	r.offer("a", "a", "a", "b")
	r.want("a1 b1 a2")
	r.finish(2, receipt.Done)
	r.want("a1 b1 a2 a3")
	r.drained()
}

// A message for a key that is in no list because its cap is reached must run
// when the cap is free again, not when the key's next message comes.
func TestBusyKeyDoesNotSleep(t *testing.T) {
	r := newRig(t, Config[ev]{}).workers(2)
	r.offer("a")
	r.offer("a") // unlisted but in flight
	r.want("a1")
	r.finish(0, receipt.Done)
	r.want("a1 a2")
	r.drained()
}

// An idle key that has used up its credits is remembered for as long as it has
// not earned them back, and is no newcomer when it returns.
func TestGhostIsNoNewcomer(t *testing.T) {
	r := newRig(t, Config[ev]{Credits: 2})
	many := strings.Split(strings.Repeat("a b c ", 5), " ")
	r.offer(many[:15]...)
	r.workers(1).serve(6) // the credits of all three
	r.offer("x", "x")
	r.serve(2)
	x := r.f.index.find("x", r.f.index.hash("x"))
	if x == 0 {
		t.Fatal("x is forgotten while others wait")
	}
	r.log = nil
	r.offer("x") // a ghost without credits: it waits for a turn
	r.serve(4)
	if got := r.order(); strings.HasPrefix(got, "x") || !strings.Contains(got, "x3") {
		t.Errorf("order %q, want x3 in its turn", got)
	}
	r.serve(r.f.Held() + len(r.flying))
	r.drained()
}

// A victim's second message in the same round keeps the privilege of the first.
func TestSecondMessageInTheSameRound(t *testing.T) {
	const flooders = 400
	r := newRig(t, Config[ev]{})
	for range 20 {
		for i := range flooders {
			r.offer(key("f", i))
		}
	}
	r.workers(16).serve(flooders * 10) // all flooders' credits are spent
	for n := range 8 {
		r.log = nil
		r.offer("v")
		r.serve(1)
		if len(r.log) != 1 || r.log[0].event.key != "v" {
			t.Fatalf("message %d of the victim waits behind %v", n+1, r.order())
		}
		for len(r.flying) > 0 && r.flying[len(r.flying)-1].event.key == "v" {
			r.finish(len(r.flying)-1, receipt.Done)
		}
	}
}

func TestNewcomerGoesFirst(t *testing.T) {
	r := newRig(t, Config[ev]{Credits: 1})
	for range 3 {
		for i := range 1000 {
			r.offer(key("f", i))
		}
	}
	r.workers(1).serve(1200)
	r.offer("new")
	r.log = nil
	r.serve(1)
	r.want("new1")
}

func TestOverflow(t *testing.T) {
	abab := []string{"a", "a", "a", "a", "b"}
	for _, tc := range []struct {
		name      string
		cfg       Config[ev]
		offer     []string
		taken     int
		discarded []string
		demand    int
	}{
		{"drop oldest of the key", Config[ev]{Overflow: DropLongest, KeyMaxEvents: 2, KeyOverflow: DropOldest, MaxEvents: 16}, abab, 5, []string{"a1 key_full", "a2 key_full"}, 256},
		{"drop newest of the key", Config[ev]{Overflow: DropLongest, KeyMaxEvents: 2, KeyOverflow: DropNewest, MaxEvents: 16}, abab, 5, []string{"a3 key_full", "a4 key_full"}, 256},
		{"pause on a full key", Config[ev]{MaxEvents: 16, KeyMaxEvents: 2, KeyOverflow: Pause}, abab, 2, nil, 0},
		{"a full key pauses by default", Config[ev]{MaxEvents: 16, KeyMaxEvents: 2}, abab, 2, nil, 0},
		{"no bound for a key by default", Config[ev]{MaxEvents: 4}, abab, 4, nil, 0},
		{"drop from the longest", Config[ev]{Overflow: DropLongest, MaxEvents: 24, Intake: 5},
			[]string{"a", "a", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x"}, 26,
			[]string{"a1 queue_full", "a2 queue_full"}, 5},
		{"pause the source", Config[ev]{MaxEvents: 3}, []string{"a", "b", "c", "d", "e"}, 3, nil, 0},
		{"room is demand", Config[ev]{MaxEvents: 10, Overflow: Pause}, []string{"a", "b", "c"}, 3, nil, 7},
		{"all have one", Config[ev]{Overflow: DropLongest, MaxEvents: 3, Intake: 1}, []string{"a", "b", "c", "d"}, 4, []string{"d1 queue_full"}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, tc.cfg)
			if taken := r.offer(tc.offer...); taken != tc.taken {
				t.Errorf("took %d, want %d", taken, tc.taken)
			}
			r.wantDiscarded(tc.discarded...)
			if d := r.f.Demand(); d != tc.demand {
				t.Errorf("demand %d, want %d", d, tc.demand)
			}
			r.f.check(t)
			r.workers(1)
			r.dispatch()
			r.drained()
		})
	}
}

// What a worker is waiting for is handed out before anything is dropped.
func TestHandsOutBeforeItDrops(t *testing.T) {
	r := newRig(t, Config[ev]{Overflow: DropLongest, MaxEvents: 2}).workers(4)
	r.offer("a", "b", "c", "d")
	r.want("a1 b1 c1 d1")
	r.wantDiscarded()
}

func TestByteBounds(t *testing.T) {
	size := func(e ev) int { return e.size }
	t.Run("key", func(t *testing.T) {
		r := newRig(t, Config[ev]{KeyMaxBytes: 100, KeyOverflow: DropOldest, Size: size})
		r.offerEvents(ev{"a", 1, "", 60}, ev{"a", 2, "", 40}, ev{"a", 3, "", 1}, ev{"a", 4, "", 101})
		r.wantDiscarded("a1 key_full", "a4 key_full")
		r.f.check(t)
	})
	t.Run("longest is the one with most bytes", func(t *testing.T) {
		r := newRig(t, Config[ev]{Overflow: DropLongest, MaxEvents: 80, MaxBytes: 80 * 16, Size: size})
		for _, k := range strings.Split("b c d e f g h", " ") {
			for n := range 8 {
				r.offerEvents(ev{k, n, "", 16}) // 8 events, 128 bytes
			}
		}
		r.offerEvents(ev{"a", 1, "", 80}, ev{"a", 2, "", 80}) // two events, 160 bytes
		for n := range 8 {
			r.offerEvents(ev{key("x", n), 1, "", 30})
		}
		if len(r.discarded) == 0 || r.discarded[0] != "a1 queue_full" {
			t.Errorf("discarded %v, want a1 first", r.discarded)
		}
		r.f.check(t)
	})
	t.Run("pause", func(t *testing.T) {
		r := newRig(t, Config[ev]{MaxBytes: 100, Size: size, Overflow: Pause, KeyOverflow: Pause})
		if taken := r.offerEvents(ev{"a", 1, "", 90}, ev{"b", 1, "", 20}); taken != 1 || r.f.Demand() != 0 {
			t.Errorf("took %d with demand %d", taken, r.f.Demand())
		}
		if taken := r.offerEvents(ev{"b", 1, "", 10}); taken != 1 || r.f.Demand() != 0 {
			t.Errorf("took %d with demand %d", taken, r.f.Demand())
		}
		// An event larger than everything goes through an empty dispatcher.
		r.workers(2)
		r.dispatch()
		if taken := r.offerEvents(ev{"c", 1, "", 1000}); taken != 1 {
			t.Error("a huge event is stuck")
		}
		r.drained()
	})
}

func TestReturnedComesBackInOrder(t *testing.T) {
	r := newRig(t, Config[ev]{}).workers(2)
	r.offer("a", "a", "b")
	if o := r.finish(0, receipt.Returned); o != receipt.Requeued {
		t.Fatalf("outcome %v", o)
	}
	r.want("a1 b1 a1")
	r.serve(3)
	r.want("a1 b1 a1 a2")
	r.drained()
}

func TestReturnedTogether(t *testing.T) {
	for _, backwards := range []bool{false, true} {
		r := newRig(t, Config[ev]{UnorderedInFlight: 3}).workers(3)
		r.offer("a", "a", "a", "a")
		rs := make([]dispatcher.Receipt[ev], 3)
		for i, g := range r.flying {
			if backwards {
				i = 2 - i
			}
			rs[i] = dispatcher.Receipt[ev]{Seq: g.seq, Ticket: g.ticket, Outcome: receipt.Returned, Event: g.event}
		}
		r.flying = nil
		r.f.Receipts(0, rs)
		r.f.check(t)
		r.f.Ask(0, 4)
		r.dispatch()
		r.want("a1 a2 a3 a1 a2 a3")
		r.serve(1)
		r.want("a1 a2 a3 a1 a2 a3 a4")
		r.drained()
	}
}

func TestStaleReceiptsAreIgnored(t *testing.T) {
	r := newRig(t, Config[ev]{}).workers(1)
	r.offer("a", "a", "a")
	first := r.flying[0]
	r.serve(1)
	before := r.f.Snapshot().InFlight
	for _, rc := range []dispatcher.Receipt[ev]{
		{Seq: first.seq, Ticket: first.ticket},
		{Seq: r.flying[0].seq, Ticket: first.ticket},
		{Seq: r.flying[0].seq + 1, Ticket: r.flying[0].ticket},
		{Seq: 1, Ticket: 0},
		{Seq: 1, Ticket: 1 << 20},
	} {
		r.f.Receipts(0, []dispatcher.Receipt[ev]{rc})
	}
	if got := r.f.Snapshot().InFlight; got != before {
		t.Errorf("in flight %d, want %d", got, before)
	}
	r.f.check(t)
}

func TestPark(t *testing.T) {
	r := newRig(t, Config[ev]{MaxParked: 2}).workers(2)
	r.offer("a", "a")
	if first := r.f.Park("a"); !first || !r.f.Park("a") || !r.f.Park("unseen") {
		t.Fatal("not parked")
	}
	if r.f.Park("third") {
		t.Error("more keys parked than MaxParked")
	}
	r.finish(0, receipt.Done)
	r.offer("a", "unseen", "unseen", "b")
	r.want("a1 b1")
	if s := r.f.Snapshot(); s.Parked != 2 || s.Held != 4 {
		t.Errorf("snapshot %+v", s)
	}
	r.f.Unpark("a")
	r.f.Unpark("a")
	r.f.Unpark("nobody")
	r.dispatch()
	r.want("a1 b1 a2")
	r.finish(0, receipt.Done)
	r.finish(0, receipt.Done)
	r.f.Unpark("unseen")
	r.dispatch()
	r.serve(3)
	r.want("a1 b1 a2 a3 unseen1 unseen2")
	r.drained()
	if r.f.parked != 0 || len(r.f.absent) != 0 {
		t.Error("parked keys are left")
	}
}

func TestParkedKeyWithoutEventsComesAndGoes(t *testing.T) {
	r := newRig(t, Config[ev]{}).workers(1)
	r.f.Park("a")
	r.f.Unpark("a")
	r.offer("a")
	r.want("a1")
	r.f.Park("a") // in flight
	r.finish(0, receipt.Done)
	r.offer("a")
	r.want("a1")
	r.f.Unpark("a")
	r.dispatch()
	r.want("a1 a2")
	r.drained()
}

func TestDiscardHeld(t *testing.T) {
	r := newRig(t, Config[ev]{}).workers(1)
	r.offer("a", "a", "b", "c", "c")
	r.f.Park("c")
	r.f.DiscardHeld(r, receipt.Stopped)
	if r.f.Held() != 0 || r.lost[receipt.Stopped] != 4 {
		t.Errorf("held %d, discarded %v", r.f.Held(), r.discarded)
	}
	r.f.check(t)
	r.f.Unpark("c")
	r.drained()
}

func TestSubscriptionsTakeTurns(t *testing.T) {
	r := newRig(t, Config[ev]{})
	for sub := range 3 {
		_ = r.f.Subscribe(sub, dispatcher.SubscribeConfig{})
		r.f.Ask(sub, 3)
	}
	r.f.Cancel(1)
	for i := range 5 {
		r.offer(key("k", i))
	}
	var subs []int
	for _, g := range r.log {
		subs = append(subs, g.sub)
	}
	if len(subs) != 5 || subs[0] != 0 || subs[1] != 2 || subs[2] != 0 || subs[3] != 2 || subs[4] != 0 {
		t.Errorf("subscriptions %v, want 0 2 0 2 0", subs)
	}
}

// Demand that was asked for saturates.
func TestAskSaturates(t *testing.T) {
	r := newRig(t, Config[ev]{})
	_ = r.f.Subscribe(0, dispatcher.SubscribeConfig{})
	r.f.Ask(0, int(^uint(0)>>1))
	r.f.Ask(0, 5)
	r.offer("a")
	r.want("a1")
}

func TestSnapshotNamesTheLongest(t *testing.T) {
	r := newRig(t, Config[ev]{})
	for i := range 100 {
		for range i + 1 {
			r.offer(key("k", i))
		}
	}
	s := r.f.Snapshot()
	if s.Backlogged != 100 || s.Held != 5050 || s.Longest != 100 || len(s.Top) != 32 {
		t.Fatalf("snapshot %+v", s)
	}
	for i, top := range s.Top {
		if top.Key != key("k", 99-i) || top.Events != 100-i {
			t.Errorf("top %d is %+v", i, top)
		}
	}
}

// A page shows how long a key waits, and which one is parked.
func TestSnapshotSaysWhyAKeyWaits(t *testing.T) {
	r := newRig(t, Config[ev]{Rate: Rate{PerSecond: 0.1, Burst: 1}}).workers(1)
	r.offer("slow", "slow", "slow", "parked", "parked", "parked", "parked")
	r.f.Park("parked")
	r.finish(0, receipt.Done)
	r.dispatch()
	s := r.f.Snapshot()
	if len(s.Top) != 2 {
		t.Fatalf("snapshot %+v", s)
	}
	if top := s.Top[0]; top.Key != "parked" || !top.Parked || top.Left != 0 {
		t.Errorf("the parked key is %+v", top)
	}
	if top := s.Top[1]; top.Key != "slow" || top.Parked || top.Left < 9*time.Second || top.Left > 11*time.Second {
		t.Errorf("the key over its limit is %+v", top)
	}
}

func TestOptionsOfOtherDispatchersAreRefused(t *testing.T) {
	f := newRig(t, Config[ev]{}).f
	for name, opts := range map[string]dispatcher.SubscribeConfig{
		"Partition": {Partition: 1},
		"Selector":  {Selector: func(ev) bool { return true }},
	} {
		var refused *OptionError
		if err := f.Subscribe(0, opts); !errors.As(err, &refused) || refused.Option != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := f.Subscribe(0, dispatcher.SubscribeConfig{}); err != nil {
		t.Error(err)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, tc := range []struct {
		cfg    Config[ev]
		option string
	}{
		{Config[ev]{MaxEvents: -1}, "MaxEvents"},
		{Config[ev]{MaxBytes: -1}, "MaxBytes"},
		{Config[ev]{KeyMaxEvents: -1}, "KeyMaxEvents"},
		{Config[ev]{KeyMaxBytes: -1}, "KeyMaxBytes"},
		{Config[ev]{Overflow: 2}, "Overflow"},
		{Config[ev]{KeyOverflow: 4}, "KeyOverflow"},
		{Config[ev]{Intake: -1}, "Intake"},
		{Config[ev]{Credits: 65}, "Credits"},
		{Config[ev]{UnorderedInFlight: -1}, "UnorderedInFlight"},
		{Config[ev]{Weights: []int{1, 0}}, "Weights[1]"},
		{Config[ev]{Weights: []int{65}}, "Weights[0]"},
		{Config[ev]{Weights: make([]int, 9)}, "Weights"},
		{Config[ev]{Class: func(ev) int { return 0 }}, "Weights"},
		{Config[ev]{TenantClass: func(ev) int { return 0 }, Weights: []int{1}}, "TenantClass"},
		{Config[ev]{Rate: Rate{PerSecond: -1}}, "Rate.PerSecond"},
		{Config[ev]{Rate: Rate{Burst: -1}}, "Rate.Burst"},
		{Config[ev]{TTL: -1}, "TTL"},
		{Config[ev]{Retry: retry.Policy{MaxAttempts: 1 << 16}}, "Retry.MaxAttempts"},
		{Config[ev]{Retry: retry.Policy{Backoff: -1}}, "Retry.Backoff"},
		{Config[ev]{Retry: retry.Policy{Retryable: func(error) bool { return true }}}, "Retry.Retryable"},
		{Config[ev]{MaxParked: -1}, "MaxParked"},
		{Config[ev]{CostUnit: -1}, "CostUnit"},
		{Config[ev]{KeyOverflow: Conflate}, "SubKey"},
		{Config[ev]{KeyOverflow: DropOldest}, "KeyMaxEvents"},
		{Config[ev]{KeyOverflow: DropNewest}, "KeyMaxEvents"},
	} {
		f, err := New(evKey, tc.cfg)
		var refused *OptionError
		if !errors.As(err, &refused) || refused.Option != tc.option || f != nil {
			t.Errorf("%s: got %v", tc.option, err)
		}
	}
	var refused *OptionError
	if _, err := New[ev, string](nil, Config[ev]{}); !errors.As(err, &refused) || refused.Option != "key" {
		t.Errorf("nil key: %v", err)
	}
}

// Demand is for as many events as fit in bytes too, by the mean size of those that
// are held: a source of large events is not asked for as many as of small ones.
func TestDemandInBytes(t *testing.T) {
	f := option.Must(New(evKey, Config[ev]{MaxEvents: 1000, MaxBytes: 1 << 20, Size: func(e ev) int { return e.size }}))
	if d := f.Demand(); d != 16 {
		t.Errorf("demand %d before the first event, want 16 of %d bytes", d, unknownSize)
	}
	r := newRig(t, Config[ev]{MaxEvents: 1000, MaxBytes: 1 << 20, Size: func(e ev) int { return e.size }})
	r.offerEvents(ev{"a", 1, "", 1 << 10}, ev{"b", 1, "", 3 << 10})
	if d := r.f.Demand(); d != 510 {
		t.Errorf("demand %d, want 510 events of 2 KiB", d)
	}
	r.workers(2)
	r.dispatch()
	if d := r.f.Demand(); d != 512 {
		t.Errorf("demand %d of an empty dispatcher, want 512", d)
	}
	r.offerEvents(ev{"c", 1, "", 1})
	if d := r.f.Demand(); d != 999 {
		t.Errorf("demand %d, want the room in events", d)
	}
	r.drained()
	large := option.Must(New(func([1024]byte) int { return 0 }, Config[[1024]byte]{MaxBytes: 10 << 10}))
	if d := large.Demand(); d != 10 {
		t.Errorf("demand %d for events of 1 KiB without Size, want 10", d)
	}
}
