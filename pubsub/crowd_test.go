package pubsub_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/penstock-go/penstock/pubsub"
)

// TestModelOfSmallTopics compares topics of no, one, two and three subscriptions with a list, over
// random calls: each kind of topic becomes each other kind often.
func TestModelOfSmallTopics(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	h := newHub(t, pubsub.Config{Shards: 1})
	type entry struct {
		sub   *pubsub.Subscription
		begun bool
		got   *int
	}
	model := map[string][]entry{}
	for step := range 50_000 {
		topic := strconv.Itoa(rng.IntN(3))
		list := model[topic]
		switch n := rng.IntN(3); {
		case n == 0 && len(list) < 4:
			e := entry{begun: rng.IntN(2) == 0, got: new(int)}
			take := pubsub.SubscriberFunc(func(*pubsub.Message) bool { *e.got++; return true })
			var err error
			if e.begun {
				e.sub = subscribe(t, h, topic, take)
			} else if e.sub, err = h.Prepare(topic, take); err != nil {
				t.Fatal(err)
			}
			model[topic] = append(list, e)
		case n == 0:
			i := rng.IntN(len(list))
			list[i].sub.Begin()
			list[i].begun = true
		case n == 1 && len(list) > 0:
			i := rng.IntN(len(list))
			list[i].sub.Unsubscribe()
			if name := list[i].sub.Topic(); name != "" {
				t.Fatalf("step %d: an ended subscription is in %q", step, name)
			}
			model[topic] = slices.Delete(list, i, i+1)
		}
		var from *pubsub.Subscription
		if list = model[topic]; len(list) > 0 && rng.IntN(2) == 0 {
			from = list[rng.IntN(len(list))].sub
		}
		begun, want := 0, 0
		for _, e := range list {
			if *e.got = 0; e.begun {
				begun++
				if e.sub != from {
					want++
				}
			}
			if name := e.sub.Topic(); (name == topic) != e.begun {
				t.Fatalf("step %d: a subscription is in %q, begun: %t", step, name, e.begun)
			}
		}
		if n, err := h.LocalBroadcast(from, topic, "e", nil); n != want || err != nil || h.Subscribers(topic) != begun {
			t.Fatalf("step %d: %d receivers and %d subscriptions, want %d and %d (%v)", step, n, h.Subscribers(topic), want, begun, err)
		}
		for i, e := range list {
			if (*e.got == 1) != (e.begun && e.sub != from) {
				t.Fatalf("step %d: subscription %d got it %d times", step, i, *e.got)
			}
		}
	}
	topics := 0
	for _, list := range model {
		if slices.ContainsFunc(list, func(e entry) bool { return e.begun }) {
			topics++
		}
	}
	if h.Topics() != topics {
		t.Errorf("%d topics, want %d", h.Topics(), topics)
	}
}

// TestTheLastOneGoesOn: a subscription gets every message once and in order while others come
// and go, so that it is alone, one of two and one of three by turns.
func TestTheLastOneGoesOn(t *testing.T) {
	h := newHub(t, pubsub.Config{})
	last := 0 // owned by the goroutine that broadcasts
	stays := subscribe(t, h, "t", pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
		var p num
		if err := m.Payload.Decode(&p); err != nil || p.N != last+1 {
			t.Errorf("%d after %d (%v)", p.N, last, err)
		}
		last = p.N
		return true
	}))
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for range 2000 {
				s, err := h.Subscribe("t", &recorder{})
				if err != nil {
					t.Error(err)
					return
				}
				runtime.Gosched() // so that it is seen on one processor too
				s.Unsubscribe()
			}
		})
	}
	const messages = 4000
	for n := range messages {
		if _, err := h.Broadcast(t.Context(), "t", "e", num{n + 1}); err != nil {
			t.Error(err)
		}
		runtime.Gosched()
	}
	group.Wait()
	if last != messages || h.Subscribers("t") != 1 || stays.Topic() != "t" {
		t.Errorf("got up to %d, %d subscriptions of %q", last, h.Subscribers("t"), stays.Topic())
	}
}

// TestLeavingDuringABroadcast: of two subscriptions, one ends both while it is called. The message
// that is under way still reaches the other one, and none after it does.
func TestLeavingDuringABroadcast(t *testing.T) {
	h := newHub(t, pubsub.Config{})
	var subs []*pubsub.Subscription
	got := 0
	for range 2 {
		subs = append(subs, subscribe(t, h, "t", pubsub.SubscriberFunc(func(*pubsub.Message) bool {
			got++
			for _, s := range subs {
				s.Unsubscribe()
			}
			return true
		})))
	}
	for _, want := range []int{2, 0} {
		if n, err := h.Broadcast(t.Context(), "t", "e", nil); n != want || err != nil || got != 2 || h.Topics() != 0 {
			t.Errorf("%d receivers, want %d (%v); %d calls, %d topics", n, want, err, got, h.Topics())
		}
	}
}
