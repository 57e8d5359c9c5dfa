package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

func ExampleNew() {
	hub, err := pubsub.New(pubsub.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	sub, err := hub.Subscribe("news", pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
		fmt.Println(m.Topic, m.Event, m.Payload)
		return true
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(hub.Broadcast(context.Background(), "news", "flash", map[string]int{"number": 42}))
	sub.Unsubscribe()
	fmt.Println(hub.Broadcast(context.Background(), "news", "flash", map[string]int{"number": 43}))
	// Output:
	// news flash {"number":42}
	// 1 <nil>
	// 0 <nil>
}

func newHub(t testing.TB, c pubsub.Config) *pubsub.Hub {
	t.Helper()
	h, err := pubsub.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// num is the payload of most tests.
type num struct {
	N int `json:"n"`
}

type recorder struct {
	mu  sync.Mutex
	got []string
	not bool
}

func (r *recorder) Deliver(m *pubsub.Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	var p num
	if err := m.Payload.Decode(&p); err != nil {
		panic(err)
	}
	r.got = append(r.got, fmt.Sprint(m.Event, p.N))
	return !r.not
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(r.got)
}

func subscribe(t testing.TB, h *pubsub.Hub, topic string, s pubsub.Subscriber) *pubsub.Subscription {
	t.Helper()
	sub, err := h.Subscribe(topic, s)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func TestWhoGetsWhat(t *testing.T) { // P122, P123
	h := newHub(t, pubsub.Config{Shards: 1})
	var a, b, other, refuses recorder
	refuses.not = true
	subA := subscribe(t, h, "t", &a)
	subB := subscribe(t, h, "t", &b)
	subscribe(t, h, "u", &other)
	twice := subscribe(t, h, "t", &b)
	subscribe(t, h, "t", &refuses)
	check := func(n int, err error, want int) {
		t.Helper()
		if n != want || err != nil {
			t.Errorf("%d receivers, %v, want %d", n, err, want)
		}
	}
	ctx := t.Context()
	n, err := h.Broadcast(ctx, "t", "all", num{1})
	check(n, err, 3)
	n, err = h.BroadcastFrom(ctx, subA, "t", "from", num{2})
	check(n, err, 2)
	twice.Unsubscribe()
	twice.Unsubscribe()
	n, err = h.LocalBroadcast(subB, "t", "local", num{3})
	check(n, err, 1)
	n, err = h.DirectBroadcast(ctx, pubsub.LocalNode, "t", "direct", num{4})
	check(n, err, 2)
	n, err = h.DirectBroadcast(ctx, "elsewhere", "t", "lost", num{5})
	check(n, err, 0)
	subA.Unsubscribe()
	if subA.Topic() != "" || subB.Topic() != "t" || h.Subscribers("t") != 2 || h.Topics() != 2 {
		t.Errorf("%q %q %d %d", subA.Topic(), subB.Topic(), h.Subscribers("t"), h.Topics())
	}
	if want := "[all1 local3 direct4]"; a.String() != want {
		t.Errorf("a got %s, want %s", &a, want)
	}
	if b.String() != "[all1 all1 from2 from2 direct4]" || other.String() != "[]" || refuses.String() != "[all1 from2 local3 direct4]" {
		t.Errorf("b got %s, other %s, refuses %s", &b, &other, &refuses)
	}
	var none *pubsub.Subscription
	none.Unsubscribe() // harmless
}

func TestClose(t *testing.T) {
	h := newHub(t, pubsub.Config{})
	sub := subscribe(t, h, "t", &recorder{})
	h.Stop()
	h.Stop()
	_, err := h.Subscribe("t", &recorder{})
	_, err2 := h.Broadcast(t.Context(), "t", "e", num{1})
	_, err3 := h.LocalBroadcast(nil, "t", "e", num{1})
	_, err4 := h.DirectBroadcast(t.Context(), "x", "t", "e", num{1})
	for _, err := range []error{err, err2, err3, err4} {
		if !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
	sub.Unsubscribe()
}

func TestConfig(t *testing.T) {
	var bad *pubsub.OptionError
	for _, shards := range []int{-1, 4097} {
		if _, err := pubsub.New(pubsub.Config{Shards: shards}); !errors.As(err, &bad) || bad.Option != "Shards" || bad.Error() == "" {
			t.Errorf("%d: %v", shards, err)
		}
	}
	for _, shards := range []int{0, 1, 3, 4096} {
		newHub(t, pubsub.Config{Shards: shards})
	}
}

// TestSubscribersMayDoAnything pins that a subscriber may call everything while
// it is called.
func TestSubscribersMayDoAnything(t *testing.T) {
	h := newHub(t, pubsub.Config{Shards: 1})
	var r recorder
	var subs []*pubsub.Subscription
	depth := 0
	for i := range 5 {
		subs = append(subs, subscribe(t, h, "t", pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
			if depth > 1 {
				return true
			}
			depth++
			defer func() { depth-- }()
			subs[i].Unsubscribe()
			subs[(i+1)%5].Unsubscribe()
			subscribe(t, h, "t", &r)
			_, err := h.Broadcast(context.Background(), "t", "inner", num{i})
			return err == nil
		})))
	}
	if _, err := h.Broadcast(t.Context(), "t", "outer", num{}); err != nil {
		t.Fatal(err)
	}
	if h.Subscribers("t") == 0 || r.String() == "[]" {
		t.Errorf("%d subscribers, %s", h.Subscribers("t"), &r)
	}
}

// TestModel compares the hub with a map, over random calls.
func TestModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	h := newHub(t, pubsub.Config{Shards: 2})
	type entry struct {
		sub *pubsub.Subscription
		got *int
	}
	model := map[string][]entry{}
	for step := range 20_000 {
		topic := string(rune('a' + rng.IntN(5)))
		list := model[topic]
		switch rng.IntN(5) {
		case 0, 1:
			got := new(int)
			sub := subscribe(t, h, topic, pubsub.SubscriberFunc(func(*pubsub.Message) bool { *got++; return true }))
			model[topic] = append(list, entry{sub, got})
		case 2, 3:
			if len(list) > 0 && (len(list) > 100 || rng.IntN(3) > 0) {
				i := rng.IntN(len(list))
				list[i].sub.Unsubscribe()
				model[topic] = append(list[:i:i], list[i+1:]...)
			}
		case 4:
			for _, e := range list {
				*e.got = 0
			}
			var from *pubsub.Subscription
			want := len(list)
			if want > 0 && rng.IntN(2) == 0 {
				from, want = list[0].sub, want-1
			}
			n, err := h.BroadcastFrom(t.Context(), from, topic, "e", nil)
			if n != want || err != nil {
				t.Fatalf("step %d: %d receivers, want %d (%v)", step, n, want, err)
			}
			for i, e := range list {
				if once := !(i == 0 && from != nil); (*e.got == 1) != once {
					t.Fatalf("step %d: subscription %d got it %d times", step, i, *e.got)
				}
			}
		}
		if h.Subscribers(topic) != len(model[topic]) {
			t.Fatalf("step %d: %d subscribers, want %d", step, h.Subscribers(topic), len(model[topic]))
		}
	}
	topics := 0
	for _, list := range model {
		if len(list) > 0 {
			topics++
		}
	}
	if h.Topics() != topics {
		t.Errorf("%d topics, want %d", h.Topics(), topics)
	}
}

// TestChurnWhileBroadcasting: who stays subscribed gets every message once and
// in order, whatever others do meanwhile.
func TestChurnWhileBroadcasting(t *testing.T) {
	h := newHub(t, pubsub.Config{})
	const messages = 2000
	var stay []*atomic.Int64
	for range 20 {
		last := &atomic.Int64{}
		stay = append(stay, last)
		subscribe(t, h, "t", pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
			var p num
			if err := m.Payload.Decode(&p); err != nil {
				t.Error(err)
			}
			if n := int64(p.N); !last.CompareAndSwap(n-1, n) {
				t.Errorf("%d after %d", n, last.Load())
			}
			return true
		}))
	}
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				var subs []*pubsub.Subscription
				for range 50 {
					s, err := h.Subscribe("t", &recorder{})
					if err != nil {
						t.Error(err)
						return
					}
					subs = append(subs, s)
				}
				for _, s := range subs {
					s.Unsubscribe()
				}
			}
		})
	}
	for n := range messages {
		if _, err := h.Broadcast(t.Context(), "t", "e", num{n + 1}); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	group.Wait()
	for i, last := range stay {
		if last.Load() != messages {
			t.Errorf("subscriber %d got up to %d", i, last.Load())
		}
	}
	if h.Subscribers("t") != 20 {
		t.Errorf("%d subscribers are left", h.Subscribers("t"))
	}
}

func TestMemoAndFail(t *testing.T) { // P125
	h := newHub(t, pubsub.Config{})
	encodes := 0
	for range 10 {
		subscribe(t, h, "t", pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
			if m.Memo == nil {
				encodes++
				m.Memo = m.Payload.String()
			}
			if m.Event == "bad" {
				m.Fail(errors.New("cannot encode"))
				m.Fail(errors.New("second"))
				return false
			}
			return m.Memo == `{"n":1}`
		}))
	}
	if n, err := h.Broadcast(t.Context(), "t", "good", num{1}); n != 10 || err != nil || encodes != 1 {
		t.Errorf("%d, %v, %d encodings", n, err, encodes)
	}
	if n, err := h.Broadcast(t.Context(), "t", "bad", num{1}); n != 0 || err == nil || err.Error() != "cannot encode" {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := h.LocalBroadcast(nil, "t", "bad", num{1}); err == nil {
		t.Error("no error")
	}
}

func TestRemote(t *testing.T) { // P124, P126
	synctest.Test(t, func(t *testing.T) {
		network := pubsubtest.NewNetwork()
		hubs := map[string]*pubsub.Hub{}
		got := map[string]*recorder{}
		var stopA func()
		for _, name := range []string{"a", "b", "c"} {
			h, stop := network.Hub(t, name, pubsub.Config{})
			if name == "a" {
				stopA = stop
			}
			hubs[name], got[name] = h, &recorder{}
			subscribe(t, h, "t", got[name])
		}
		synctest.Wait()
		a := hubs["a"]
		ctx := t.Context()
		for _, f := range []func() (int, error){
			func() (int, error) { return a.Broadcast(ctx, "t", "all", num{1}) },
			func() (int, error) { return a.LocalBroadcast(nil, "t", "local", num{2}) },
			func() (int, error) { return a.DirectBroadcast(ctx, "b", "t", "direct", num{3}) },
			func() (int, error) { return a.DirectBroadcast(ctx, "none", "t", "lost", num{4}) },
		} {
			if _, err := f(); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if a.Node() != "a" || got["a"].String() != "[all1 local2]" || got["b"].String() != "[all1 direct3]" || got["c"].String() != "[all1]" {
			t.Errorf("%s a %s b %s c %s", a.Node(), got["a"], got["b"], got["c"])
		}
		stopA() // the remote of a publishes no more
		var remote *pubsub.RemoteError
		if n, err := a.Broadcast(ctx, "t", "half", num{5}); n != 1 || !errors.As(err, &remote) || remote.To != "" || remote.Error() == "" {
			t.Errorf("%d, %v", n, err)
		}
		if _, err := a.DirectBroadcast(ctx, "b", "t", "no", num{6}); !errors.As(err, &remote) || remote.To != "b" || remote.Error() == "" {
			t.Errorf("%v", err)
		}
		if s := a.Snapshot(); s.NotPublished != 2 || s.Published != 3 || hubs["b"].Snapshot().Received != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestCost(t *testing.T) {
	h := newHub(t, pubsub.Config{})
	take := pubsub.SubscriberFunc(func(*pubsub.Message) bool { return true })
	for range 100 {
		subscribe(t, h, "many", take)
	}
	subscribe(t, h, "one", take)
	for _, topic := range []string{"many", "one"} {
		if n := testing.AllocsPerRun(100, func() { _, _ = h.LocalBroadcast(nil, topic, "e", nil) }); n > 1 {
			t.Errorf("%s: %v allocations", topic, n)
		}
	}
}

func BenchmarkBroadcast(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := newHub(b, pubsub.Config{})
			for range n {
				subscribe(b, h, "t", pubsub.SubscriberFunc(func(*pubsub.Message) bool { return true }))
			}
			b.ReportAllocs()
			for b.Loop() {
				_, _ = h.LocalBroadcast(nil, "t", "e", nil)
			}
		})
	}
}

// TestSendReachesOneNode: what parts of a program send each other is in no history.
func TestSendReachesOneNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := pubsubtest.NewNetwork()
		memory, err := pubsub.NewMemory(pubsub.MemoryConfig{Topics: []string{"*"}})
		if err != nil {
			t.Fatal(err)
		}
		a, _ := net.Hub(t, "a", pubsub.Config{})
		b, _ := net.Hub(t, "b", pubsub.Config{History: memory})
		synctest.Wait()
		got := 0
		if _, err := b.Subscribe("\xffprivate", pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
			if _, kept := m.Record(); kept || m.Origin() != "a" || !m.Payload.Binary {
				t.Errorf("%+v", m)
			}
			got++
			return true
		})); err != nil {
			t.Fatal(err)
		}
		if n, err := a.Send(t.Context(), "b", "\xffprivate", "e", pubsub.Binary("x")); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := a.Send(t.Context(), "nowhere", "\xffprivate", "e", pubsub.Binary("x")); n != 0 || err != nil {
			t.Errorf("to no node: %d, %v", n, err)
		}
		synctest.Wait()
		if got != 1 {
			t.Errorf("arrived %d times", got)
		}
	})
}
