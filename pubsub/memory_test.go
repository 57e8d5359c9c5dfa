package pubsub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

func newMemory(t testing.TB, c pubsub.MemoryConfig) (*pubsub.Memory, *pubsub.Hub) {
	t.Helper()
	if c.Topics == nil {
		c.Topics = []string{"kept:*"}
	}
	h, err := pubsub.NewMemory(c)
	if err != nil {
		t.Fatal(err)
	}
	return h, newHub(t, pubsub.Config{History: h})
}

// since answers the offsets kept after an offset, in the topic's own epoch.
func since(t testing.TB, h *pubsub.Memory, topic string, after uint64) (string, error) {
	t.Helper()
	_, now, err := h.Since(t.Context(), topic, pubsub.Position{})
	if !errors.Is(err, pubsub.ErrEpoch) {
		t.Fatal(err)
	}
	records, again, err := h.Since(t.Context(), topic, pubsub.Position{Epoch: now.Epoch, Offset: after})
	if again != now {
		t.Errorf("position %v, then %v", now, again)
	}
	var text []string
	for _, r := range records {
		text = append(text, fmt.Sprint(r.Offset, r.Event, string(r.Data)))
	}
	return strings.Join(text, " "), err
}

func send(t testing.TB, h *pubsub.Hub, topic, event string, payload any) {
	t.Helper()
	if _, err := h.Broadcast(t.Context(), topic, event, payload); err != nil {
		t.Fatal(err)
	}
}

func TestHistoryKeepsWhatItIsToldTo(t *testing.T) {
	h, hub := newMemory(t, pubsub.MemoryConfig{})
	var seen []string
	subscribe(t, hub, "kept:a", pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
		r, kept := m.Record()
		seen = append(seen, fmt.Sprint(m.Event, r.Offset, kept))
		return true
	}))
	reused := json.RawMessage(`{"n": 2}`)
	send(t, hub, "kept:a", "map", map[string]int{"n": 1})
	send(t, hub, "kept:a", "raw", reused)
	copy(reused, "overwritten")
	send(t, hub, "kept:a", "bytes", []byte(`{}`))
	send(t, hub, "kept:a", "presence_diff", nil) // not kept
	send(t, hub, "kept:a", "nothing", nil)
	send(t, hub, "kept:b", "other", nil)
	send(t, hub, "plain", "lost", nil)
	if got, err := since(t, h, "kept:a", 0); got != `1map{"n":1} 2raw{"n": 2} 3bytes{} 4nothing{}` || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := since(t, h, "kept:a", 3); got != "4nothing{}" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	if want := "[map1 true raw2 true bytes3 true presence_diff0 false nothing4 true]"; fmt.Sprint(seen) != want {
		t.Errorf("the subscriber saw %v, want %s", seen, want)
	}
	if _, _, err := h.Since(t.Context(), "plain", pubsub.Position{}); !errors.Is(err, pubsub.ErrNotKept) {
		t.Errorf("plain: %v", err)
	}
}

func TestPositionsOfOtherEpochs(t *testing.T) {
	h, hub := newMemory(t, pubsub.MemoryConfig{})
	send(t, hub, "kept:a", "e", nil)
	_, a, _ := h.Since(t.Context(), "kept:a", pubsub.Position{})
	_, b, _ := h.Since(t.Context(), "kept:b", pubsub.Position{})
	after, _ := newMemory(t, pubsub.MemoryConfig{}) // as after a restart
	for _, c := range []struct {
		h  *pubsub.Memory
		at pubsub.Position
	}{
		{h, b}, {h, pubsub.Position{Epoch: "x"}}, {after, a}, {after, pubsub.Position{Epoch: a.Epoch}},
		{h, pubsub.Position{Epoch: a.Epoch, Offset: 2}}, {h, pubsub.Position{Epoch: a.Epoch, Offset: 1 << 63}},
	} {
		if _, _, err := c.h.Since(t.Context(), "kept:a", c.at); !errors.Is(err, pubsub.ErrEpoch) {
			t.Errorf("%v: %v", c.at, err)
		}
	}
	if records, _, err := h.Since(t.Context(), "kept:a", a); len(records) != 0 || err != nil {
		t.Errorf("nothing is missing: %v, %v", records, err)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, hub := newMemory(t, pubsub.MemoryConfig{Events: 3, Bytes: 30, Age: time.Minute, MaxBytes: 45, MaxTopics: 3})
		for n := range 5 {
			send(t, hub, "kept:a", "e", map[string]int{"n": n}) // 7 bytes each
		}
		for after, want := range []string{"", "", "3e{\"n\":2} 4e{\"n\":3} 5e{\"n\":4}"} {
			got, err := since(t, h, "kept:a", uint64(after))
			if (want == "") != errors.Is(err, pubsub.ErrTrimmed) || got != want {
				t.Errorf("events, after %d: %s, %v", after, got, err)
			}
		}
		send(t, hub, "kept:a", "e", map[string]string{"x": "0123456789"}) // 18 bytes: 7 more fit beside it
		if got, err := since(t, h, "kept:a", 4); got != `5e{"n":4} 6e{"x":"0123456789"}` || err != nil {
			t.Errorf("bytes: %s, %v", got, err)
		}
		if _, err := since(t, h, "kept:a", 3); !errors.Is(err, pubsub.ErrTrimmed) {
			t.Errorf("bytes: %v", err)
		}
		<-time.After(time.Minute)
		send(t, hub, "kept:a", "e", nil)
		if got, err := since(t, h, "kept:a", 4); got == "" || err != nil {
			t.Errorf("after exactly its age: %s, %v", got, err)
		}
		<-time.After(time.Second)
		if got, err := since(t, h, "kept:a", 6); got != "7e{}" || err != nil {
			t.Errorf("age: %s, %v", got, err)
		}
		if _, err := since(t, h, "kept:a", 5); !errors.Is(err, pubsub.ErrTrimmed) {
			t.Errorf("age: %v", err)
		}
		// Together: the topic without a broadcast for longest gives way, but
		// its position stays known.
		send(t, hub, "kept:b", "e", map[string]string{"x": "0123456789012"}) // 21 bytes
		send(t, hub, "kept:c", "e", map[string]string{"x": "01234567890123456"})
		if _, err := since(t, h, "kept:a", 6); !errors.Is(err, pubsub.ErrTrimmed) {
			t.Errorf("all bytes: %v", err)
		}
		if got, err := since(t, h, "kept:a", 7); got != "" || err != nil {
			t.Errorf("nothing was missed: %s, %v", got, err)
		}
		if got, err := since(t, h, "kept:c", 0); got == "" || err != nil {
			t.Errorf("the newest: %s, %v", got, err)
		}
		// A fourth topic: the one unused for longest among those without
		// records begins anew.
		_, b, _ := h.Since(t.Context(), "kept:b", pubsub.Position{})
		_, a, _ := h.Since(t.Context(), "kept:a", pubsub.Position{})
		send(t, hub, "kept:d", "e", nil)
		if _, _, err := h.Since(t.Context(), "kept:a", a); err != nil {
			t.Errorf("used later: %v", err)
		}
		if _, _, err := h.Since(t.Context(), "kept:b", b); !errors.Is(err, pubsub.ErrEpoch) {
			t.Errorf("forgotten topic: %v", err)
		}
		// What is too old goes with the next broadcast on any topic.
		<-time.After(2 * time.Minute)
		send(t, hub, "kept:d", "e", nil)
		if _, err := since(t, h, "kept:c", 0); !errors.Is(err, pubsub.ErrTrimmed) {
			t.Errorf("aged: %v", err)
		}
	})
}

func TestWhatCannotBeKeptReachesNobody(t *testing.T) {
	_, hub := newMemory(t, pubsub.MemoryConfig{})
	calls := 0
	subscribe(t, hub, "kept:a", pubsub.SubscriberFunc(func(*pubsub.Message) bool { calls++; return true }))
	for _, payload := range []any{1, "x", []int{1}, json.RawMessage(`[1]`), json.RawMessage(`{`), make(chan int), panics{}} {
		if n, err := hub.Broadcast(t.Context(), "kept:a", "e", payload); n != 0 || err == nil {
			t.Errorf("%v: %d, %v", payload, n, err)
		}
		if n, err := hub.LocalBroadcast(nil, "kept:a", "e", payload); n != 0 || err == nil {
			t.Errorf("%v: %d, %v", payload, n, err)
		}
		if n, err := hub.BroadcastFrom(t.Context(), nil, "empty", "e", payload); n != 0 || err == nil {
			t.Errorf("%v, without a subscriber: %d, %v", payload, n, err)
		}
	}
	if calls != 0 {
		t.Errorf("%d deliveries", calls)
	}
	if _, err := hub.Broadcast(t.Context(), "kept:a", "e", []int{}); !errors.Is(err, pubsub.ErrPayload) {
		t.Error(err)
	}
	if _, err := hub.Broadcast(t.Context(), "kept:a", "e", pubsub.Binary("x")); !errors.Is(err, pubsub.ErrNotObject) {
		t.Error(err)
	}
}

type panics struct{}

func (panics) MarshalJSON() ([]byte, error) { panic("no") }

// TestWhoBroadcastIsKnown also checks that a record does not keep its
// broadcaster in memory.
func TestWhoBroadcastIsKnown(t *testing.T) {
	h, hub := newMemory(t, pubsub.MemoryConfig{})
	collected := make(chan struct{})
	func() {
		heavy := &recorder{}
		runtime.AddCleanup(heavy, func(ch chan struct{}) { close(ch) }, collected)
		sub, other := subscribe(t, hub, "kept:a", heavy), subscribe(t, hub, "kept:a", &recorder{})
		if _, err := hub.BroadcastFrom(t.Context(), sub, "kept:a", "e", nil); err != nil {
			t.Fatal(err)
		}
		_, now, _ := h.Since(t.Context(), "kept:a", pubsub.Position{})
		records, _, err := h.Since(t.Context(), "kept:a", pubsub.Position{Epoch: now.Epoch})
		if err != nil || len(records) != 1 || !records[0].From(sub) || records[0].From(other) || records[0].From(nil) {
			t.Errorf("%v, %v", records, err)
		}
		sub.Unsubscribe()
	}()
	for range 5 {
		runtime.GC()
	}
	select {
	case <-collected:
	case <-time.After(time.Minute):
		t.Error("the record holds its broadcaster")
	}
}

// TestHistoryModel compares the history with a plain list.
func TestHistoryModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	h, hub := newMemory(t, pubsub.MemoryConfig{Events: 10, Bytes: 200, MaxBytes: 1000})
	type topic struct {
		last  uint64
		sizes []int
	}
	model := map[string]*topic{}
	for range 20_000 {
		name := fmt.Sprint("kept:", r.IntN(12))
		m := model[name]
		if m == nil {
			m = &topic{}
			model[name] = m
		}
		if r.IntN(3) > 0 {
			payload := map[string]string{"x": strings.Repeat("x", r.IntN(60))}
			send(t, hub, name, "e", payload)
			m.last++
			m.sizes = append(m.sizes, len(`{"x":""}`)+len(payload["x"]))
			continue
		}
		after := m.last - min(m.last, uint64(r.IntN(14)))
		_, now, _ := h.Since(t.Context(), name, pubsub.Position{})
		records, _, err := h.Since(t.Context(), name, pubsub.Position{Epoch: now.Epoch, Offset: after})
		if now.Offset != m.last {
			t.Fatalf("%s at %d, want %d", name, now.Offset, m.last)
		}
		bytes := 0
		for _, n := range m.sizes[after:] {
			bytes += n
		}
		missed := m.last - after
		switch {
		case err == nil:
			if uint64(len(records)) != missed || missed > 10 || bytes > 200 {
				t.Fatalf("%d of %d records with %d bytes", len(records), missed, bytes)
			}
			for i, rec := range records {
				if rec.Offset != after+uint64(i)+1 || len(rec.Data) != m.sizes[rec.Offset-1] {
					t.Fatalf("record %d: %+v", i, rec)
				}
			}
		case errors.Is(err, pubsub.ErrTrimmed) && (missed > 10 || bytes > 200 || len(model) > 4):
		default:
			t.Fatal(err)
		}
	}
}

func TestMemoryConfigIsChecked(t *testing.T) {
	for _, c := range []pubsub.MemoryConfig{
		{}, {Topics: []string{""}}, {Topics: []string{"a*b"}}, {Topics: []string{"a"}, Events: -1}, {Topics: []string{"a"}, Bytes: -1},
		{Topics: []string{"a"}, MaxBytes: -1}, {Topics: []string{"a"}, MaxTopics: -1}, {Topics: []string{"a"}, Age: -1},
	} {
		var bad *pubsub.OptionError
		if _, err := pubsub.NewMemory(c); !errors.As(err, &bad) || bad.Error() == "" {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func ExampleNewMemory() {
	history, err := pubsub.NewMemory(pubsub.MemoryConfig{Topics: []string{"room:*"}, Events: 100})
	if err != nil {
		fmt.Println(err)
		return
	}
	hub, err := pubsub.New(pubsub.Config{History: history})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	_, was, err := history.Since(ctx, "room:a", pubsub.Position{}) // where we are
	fmt.Println(was.Offset, err)
	for n := range 2 {
		if _, err := hub.Broadcast(ctx, "room:a", "msg", map[string]int{"n": n}); err != nil {
			fmt.Println(err)
		}
	}
	missed, _, err := history.Since(ctx, "room:a", was)
	for _, r := range missed {
		fmt.Println(r.Offset, r.Event, string(r.Data), err)
	}
	// Output:
	// 0 pubsub: position of another epoch
	// 1 msg {"n":0} <nil>
	// 2 msg {"n":1} <nil>
}
