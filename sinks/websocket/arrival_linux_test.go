package websocket

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestMessagesInPieces: whatever part of a message has come when a rest ends, the connection
// waits for the other part and rests again.
func TestMessagesInPieces(t *testing.T) {
	e := newRestless(t, MountConfig{}, false)
	g := e.join()
	whole := append([]byte{0x81, 0x80 | byte(len(heartbeat)), 0, 0, 0, 0}, heartbeat...)
	for cut := 1; cut < len(whole); cut++ {
		e.until("rest", func() bool { return e.atRest() == 1 })
		_, _ = g.Write(whole[:cut])
		e.until("the end of the rest", func() bool { return e.atRest() == 0 })
		_, _ = g.Write(whole[cut:])
		e.hears(g, alive)
	}
	// Messages in one write, of which the last is incomplete.
	_, _ = g.Write(append(append(append([]byte(nil), whole...), whole...), whole[:9]...))
	e.hears(g, alive)
	e.hears(g, alive)
	_, _ = g.Write(whole[9:])
	e.hears(g, alive)
	e.until("rest", func() bool { return e.atRest() == 1 })
}

// TestALongMessageEndsARest: a message is longer than the buffer into which the first read goes.
func TestALongMessageEndsARest(t *testing.T) {
	e := newRestless(t, MountConfig{}, false)
	g := e.join()
	e.until("rest", func() bool { return e.atRest() == 1 })
	text := fmt.Sprintf(`[null,"h","phoenix","heartbeat",{"pad":%q}]`, strings.Repeat("x", 40_000))
	n := len(text)
	_, _ = g.Write(append([]byte{0x81, 0x80 | 126, byte(n >> 8), byte(n), 0, 0, 0, 0}, text...))
	e.hears(g, alive)
	e.until("rest", func() bool { return e.atRest() == 1 })
}

// TestOneEpollWhileThereAreConnections: a single connection does not make an epoll for each of
// its messages, and without connections there is none.
func TestOneEpollWhileThereAreConnections(t *testing.T) {
	e := newRestless(t, MountConfig{}, false)
	epoll := func() any {
		e.resting.mu.Lock()
		defer e.resting.mu.Unlock()
		return e.resting.epoll
	}
	g := e.join()
	first := epoll()
	for range 3 {
		g.say(heartbeat)
		e.hears(g, alive)
		e.until("rest", func() bool { return e.atRest() == 1 })
	}
	if epoll() != first {
		t.Error("another epoll")
	}
	_ = g.Close()
	e.until("the end", func() bool { return e.Snapshot().Connections == 0 })
	e.resting.mu.Lock()
	defer e.resting.mu.Unlock()
	if e.resting.epoll != nil {
		t.Error("an epoll without connections")
	}
}

// slowHandler takes its time.
type slowHandler struct{ entered, goOn chan struct{} }

func (slowHandler) HandleJoin(context.Context, *Channel, Payload) (any, error) { return nil, nil }

func (h slowHandler) HandleIn(context.Context, *Channel, string, Payload) (Reply, error) {
	h.entered <- struct{}{}
	<-h.goOn
	return OK(nil), nil
}

// TestAHandlerDoesNotHoldUpItsConnection: while the handler of the last message takes its time,
// in the goroutine that has read it, the connection rests, and other channels and heartbeats
// go on.
func TestAHandlerDoesNotHoldUpItsConnection(t *testing.T) {
	e, err := NewEndpoint(EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	h := slowHandler{make(chan struct{}), make(chan struct{})}
	s := NewSocket(SocketConfig[struct{}]{})
	s.Channel("slow:*", func(struct{}, string) Handler { return h })
	r := serveRestless(t, e, s, MountConfig{})
	g := r.connect()
	for _, topic := range []string{"slow:a", "slow:b"} {
		g.say(fmt.Sprintf(`["1","1",%q,"phx_join",{}]`, topic))
		r.hears(g, fmt.Sprintf(`["1","1",%q,"phx_reply",{"response":{},"status":"ok"}]`, topic))
	}
	within := func(what string, c chan struct{}) {
		t.Helper()
		select {
		case <-c:
		case <-time.After(time.Minute):
			t.Fatal(what)
		}
	}
	g.say(`["1","2","slow:a","e",{}]`)
	within("the handler of a", h.entered)
	r.until("rest", func() bool { return r.atRest() == 1 })
	g.say(heartbeat)
	r.hears(g, alive)
	g.say(`["1","3","slow:b","e",{}]`)
	within("the handler of b", h.entered)
	h.goOn <- struct{}{}
	h.goOn <- struct{}{}
	seen := map[string]bool{}
	for range 2 {
		m, err := g.hear()
		if err != nil {
			t.Fatal(err)
		}
		seen[m] = true
	}
	if !seen[`["1","2","slow:a","phx_reply",{"response":{},"status":"ok"}]`] || !seen[`["1","3","slow:b","phx_reply",{"response":{},"status":"ok"}]`] {
		t.Error(seen)
	}
}
