package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

// TestATopicWithASubscriptionIsNotForgotten makes random use of more topics than
// MaxTopics: the positions of those with a subscription go on, and no more than
// MaxTopics of the others are known.
func TestATopicWithASubscriptionIsNotForgotten(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	h, hub := newMemory(t, pubsub.MemoryConfig{Events: 3, MaxBytes: 100, MaxTopics: 3})
	where := func(name string) pubsub.Position {
		_, now, _ := h.Since(t.Context(), name, pubsub.Position{})
		return now
	}
	type followed struct {
		subs []*pubsub.Subscription
		at   pubsub.Position
	}
	topics := map[string]*followed{}
	for range 5000 {
		name := fmt.Sprint("kept:", r.IntN(12))
		f := topics[name]
		if f == nil {
			f = &followed{}
			topics[name] = f
		}
		switch r.IntN(4) {
		case 0:
			if f.subs = append(f.subs, subscribe(t, hub, name, &recorder{})); len(f.subs) == 1 {
				f.at = where(name)
			}
		case 1:
			if n := len(f.subs); n > 0 {
				f.subs[n-1].Unsubscribe()
				f.subs = f.subs[:n-1]
			}
		case 2:
			send(t, hub, name, "e", nil)
			f.at.Offset++
		}
		for name, f := range topics {
			if len(f.subs) > 0 {
				if now := where(name); now != f.at {
					t.Fatalf("%s is at %+v, want %+v", name, now, f.at)
				}
			}
		}
	}
	if s := h.Snapshot(); s.Topics > 12 || s.Topics-s.Subscribed > 3 || s.Forgotten == 0 {
		t.Errorf("%+v, want at most 3 topics besides those with a subscription", s)
	}
}

// TestAnUnsubscribedTopicCounts pins that topics give way once their last
// subscription has ended.
func TestAnUnsubscribedTopicCounts(t *testing.T) {
	h, hub := newMemory(t, pubsub.MemoryConfig{MaxTopics: 2})
	var subs []*pubsub.Subscription
	for n := range 5 {
		subs = append(subs, subscribe(t, hub, fmt.Sprint("kept:", n), &recorder{}))
	}
	if s := h.Snapshot(); s.Topics != 5 || s.Subscribed != 5 || s.Forgotten != 0 {
		t.Errorf("%+v, want 5 topics", s)
	}
	for _, s := range subs {
		s.Unsubscribe()
	}
	if s := h.Snapshot(); s.Topics != 2 || s.Subscribed != 0 || s.Forgotten != 3 {
		t.Errorf("%+v, want 2 topics", s)
	}
}

// refusing is a history that cannot keep what other nodes send.
type refusing struct {
	*pubsub.Memory
	err error
}

func (h refusing) Append(ctx context.Context, m *pubsub.Message) error {
	if m.Origin() == "a" {
		return h.err
	}
	return h.Memory.Append(ctx, m)
}

// lossy notes losses.
type lossy struct {
	recorder
	lost []string
}

func (f *lossy) HandleLoss(topic string) { f.lost = append(f.lost, topic) }

// TestAMessageThatTheHistoryCannotKeepIsALoss pins that subscribers are told when
// the history fails over a message of another node, which they do not get, and that
// earlier positions do not resume over the gap.
func TestAMessageThatTheHistoryCannotKeepIsALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := pubsubtest.NewNetwork()
		a, stopA := net.Hub(t, "a", pubsub.Config{})
		memory, _ := newMemory(t, pubsub.MemoryConfig{})
		b, stopB := net.Hub(t, "b", pubsub.Config{History: refusing{memory, errors.New("store is down")}})
		f := &lossy{}
		subscribe(t, b, "kept:a", f)
		time.Sleep(time.Second)
		synctest.Wait()
		send(t, b, "kept:a", "own", nil)
		_, before, _ := memory.Since(t.Context(), "kept:a", pubsub.Position{})
		f.lost = nil // of the beginning
		send(t, a, "kept:a", "e", nil)
		synctest.Wait()
		if fmt.Sprint(f.lost) != "[kept:a]" {
			t.Errorf("told of losses of %v, want kept:a", f.lost)
		}
		if _, _, err := memory.Since(t.Context(), "kept:a", before); !errors.Is(err, pubsub.ErrEpoch) {
			t.Errorf("resuming over the gap: %v", err)
		}
		if s := b.Snapshot(); s.Refused != 1 {
			t.Errorf("%+v", s)
		}
		stopA()
		stopB()
	})
}

// TestASubscriberThatPanics pins that the others get the message all the same. The
// panic of a local broadcast reaches its caller.
func TestASubscriberThatPanics(t *testing.T) {
	hub := newHub(t, pubsub.Config{})
	var first, last recorder
	subscribe(t, hub, "t", &first)
	for range 2 {
		subscribe(t, hub, "t", pubsub.SubscriberFunc(func(*pubsub.Message) bool { panic("in a subscriber") }))
	}
	sub := subscribe(t, hub, "t", &last)
	func() {
		defer func() {
			if v := recover(); v == nil {
				t.Error("the caller did not notice")
			}
		}()
		_, _ = hub.Broadcast(t.Context(), "t", "e", nil) // panics
	}()
	if a, b := first.String(), last.String(); a != b || a == "" {
		t.Errorf("the first got %q, the last %q", a, b)
	}
	sub.Unsubscribe() // the walk is over: no copy is left behind
	if n := hub.Subscribers("t"); n != 3 {
		t.Errorf("%d subscriptions", n)
	}
}
