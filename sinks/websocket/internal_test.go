package websocket

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// sink is a transport that takes everything at once.
type sink struct {
	s *session
	b batch
	n int

	saw func(it *item) // may be nil
}

func (k *sink) wake(bool) {
	for k.s.take(&k.b, slowBatch) {
		for i := 0; k.saw != nil && i < k.b.n; i++ {
			k.saw(k.b.items[i])
		}
		k.n += k.b.n
		k.s.wrote(&k.b, nil)
	}
}

func (k *sink) hangUp() {}

func (k *sink) lend(ch *Channel) { k.s.endpoint().runners.run(ch) }
func (k *sink) abort() bool      { return false }

func (k *sink) watch(func()) func() { return func() {} }

func joinedChannel(tb testing.TB, e *Endpoint, m *mount, h Handler) (*Channel, *sink) {
	tb.Helper()
	one := newSession(m, admission{format: e.formats.of(codec.V2)})
	s := &one
	k := &sink{s: s}
	s.tr = k
	ch := &Channel{sess: s, route: m.routes[0], topic: "room:a", joinRef: codec.RefOf("1"), handler: h, state: joined}
	sub, err := e.hub.Subscribe(ch.topic, (*receiver)(ch))
	if err != nil {
		tb.Fatal(err)
	}
	ch.sub = sub
	return ch, k
}

func endpointForTest(tb testing.TB) (*Endpoint, *mount) {
	tb.Helper()
	e, err := NewEndpoint(EndpointConfig{})
	if err != nil {
		tb.Fatal(err)
	}
	s := NewSocket(SocketConfig[struct{}]{})
	s.Channel("room:*", func(struct{}, string) Handler { return nil })
	if err := e.Mount("/x", s, MountConfig{}); err != nil {
		tb.Fatal(err)
	}
	return e, e.mounts[0]
}

func TestSealedHeaders(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 100000} {
		for _, binaryFrame := range []bool{false, true} {
			p := codec.Payload{Data: make([]byte, n), Binary: binaryFrame}
			w := (&format{Serializer: codec.V2}).seal(append(newWire(n), p.Data...), p)
			got, isBinary := body(w)
			if len(got) != n || isBinary != binaryFrame {
				t.Errorf("%d bytes became %d, binary %v", n, len(got), isBinary)
			}
		}
	}
}

// TestReasonToEnd pins what an error of a handler's method does to its channel.
func TestReasonToEnd(t *testing.T) {
	panicking := func(v any) (err error) {
		defer crash.Catch(&err)
		panic(v)
	}
	other := errors.New("other")
	for _, row := range []struct {
		err     error
		goesOn  bool
		crashes bool
	}{
		{nil, true, false},
		{fmt.Errorf("push: %w", ErrQueueFull), true, false},
		{ErrTooManyTasks, true, false},
		{fmt.Errorf("broadcast: %w", &pubsub.RemoteError{Err: other}), true, false},
		{fmt.Errorf("done: %w", ErrStopped), false, false},
		{other, false, true},
		{panicking(other), false, true},
		{panicking(ErrStopped), false, true},
		{panicking(ErrQueueFull), false, true},
	} {
		reason := reasonToEnd(row.err)
		var crashed *CrashError
		if (reason == nil) != row.goesOn || errors.As(reason, &crashed) != row.crashes || reason != nil && !errors.Is(reason, row.err) {
			t.Errorf("%v: the channel ends with %v", row.err, reason)
		}
	}
	var panicked *PanicError
	if !errors.As(reasonToEnd(panicking("boom")), &panicked) || panicked.Value != "boom" || len(panicked.Stack) == 0 {
		t.Errorf("a panic ends a channel with %v", panicked)
	}
}

func TestEncodingErrorsReachTheBroadcaster(t *testing.T) {
	e, m := endpointForTest(t)
	joinedChannel(t, e, m, HandlerFunc(nil))
	if n, err := e.Broadcast(t.Context(), "room:a", "e", []int{1}); n != 0 || !errors.Is(err, ErrPayload) {
		t.Errorf("%d, %v", n, err)
	}
}

// counted is a payload that counts how often it is encoded.
type counted struct{ n int }

func (c *counted) MarshalJSON() ([]byte, error) {
	c.n++
	return []byte(`{}`), nil
}

// own is a serializer that is not of the package.
type own struct{ codec.Version }

// TestOneEncodingForEachBroadcast pins that the payload is encoded once, and the
// frame made once for each serializer, however many receive it.
func TestOneEncodingForEachBroadcast(t *testing.T) {
	e, m := endpointForTest(t)
	wires := make(map[*byte]int)
	for i := range 100 {
		ch, k := joinedChannel(t, e, m, HandlerFunc(nil))
		ch.sess.format = e.formats.of([]Serializer{codec.V1, codec.V2, own{}}[i%3])
		k.saw = func(it *item) { wires[&it.wire[0]]++ }
	}
	payload := &counted{}
	if n, err := e.Broadcast(t.Context(), "room:a", "e", payload); n != 100 || err != nil {
		t.Fatal(n, err)
	}
	if payload.n != 1 || len(wires) != 3 {
		t.Errorf("encoded %d times into %d frames, want once into three", payload.n, len(wires))
	}
}

func BenchmarkBroadcast1000(b *testing.B) {
	e, m := endpointForTest(b)
	for range 1000 {
		joinedChannel(b, e, m, HandlerFunc(nil))
	}
	payload := json.RawMessage(`{"text":"hello"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Broadcast(b.Context(), "room:a", "e", payload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkResumable1000 is the same on a topic that keeps history.
func BenchmarkResumable1000(b *testing.B) {
	h, err := pubsub.NewMemory(pubsub.MemoryConfig{Topics: []string{"*"}})
	if err != nil {
		b.Fatal(err)
	}
	e, m := endpointForTest(b)
	if e.hub, err = pubsub.New(pubsub.Config{History: h}); err != nil {
		b.Fatal(err)
	}
	m.routes[0].cfg.Resume = true
	for range 1000 {
		ch, _ := joinedChannel(b, e, m, HandlerFunc(nil))
		ch.rare = &rare{place: &place{}}
	}
	payload := json.RawMessage(`{"text":"hello"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Broadcast(b.Context(), "room:a", "e", payload); err != nil {
			b.Fatal(err)
		}
	}
}
