package websocket_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// TestFewMessagesAreWrittenAtOnce pins that a push on a quiet endpoint is
// written by the caller: the hook has been called when PushWritten returns.
func TestFewMessagesAreWrittenAtOnce(t *testing.T) {
	channels := make(chan *websocket.Channel, 1)
	joins := &app{join: func(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
		channels <- ch
		return nil, nil
	}}
	f := start(t, setup{channels: map[string]*app{"room:*": joins}})
	p := f.connect("1")
	p.join(1, "room:a")
	ch := got(t, channels)
	// A writer may still be about, from the reply to the join for instance.
	inARow := 0
	for pushes := 0; inARow < 20; pushes++ {
		if pushes == 10_000 {
			t.Fatalf("of %d pushes never 20 in a row were written at once", pushes)
		}
		hook := make(chan error, 1)
		if err := ch.PushWritten("e", nil, func(_ time.Time, err error) { hook <- err }); err != nil {
			t.Fatal(err)
		}
		inARow++
		if len(hook) == 0 {
			inARow = 0
		}
		if err := got(t, hook); err != nil {
			t.Fatal(err)
		}
		p.expect(`["1",null,"room:a","e",{}]`)
	}
}

// TestOrderHoweverItIsWritten pins the order when one connection is written to by
// the goroutine that broadcasts, by the writers, and, when it takes no more, by a
// goroutine of its own.
func TestOrderHoweverItIsWritten(t *testing.T) {
	f := start(t, setup{
		channels: map[string]*app{"room:*": {}},
		mount: websocket.MountConfig{
			Queue:    websocket.QueueConfig{Events: 1 << 20, Bytes: 1 << 30},
			Timeouts: websocket.Timeouts{Write: time.Minute}, // it does not read while it pushes, for which a busy machine takes its time
		},
	})
	c := f.raw()
	c.frame(0x81, []byte(`["1","1","room:a","phx_join",{}]`))
	if _, _, err := c.next(); err != nil {
		t.Fatal(err)
	}
	pad := fmt.Sprintf("%01000d", 0)
	sent, received := 0, 0
	push := func(n int) {
		for range n {
			if _, err := f.endpoint.Broadcast(t.Context(), "room:a", "e", map[string]any{"n": sent, "pad": pad}); err != nil {
				t.Fatal(err)
			}
			sent++
		}
	}
	read := func(n int) {
		t.Helper()
		for range n {
			_, message, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf(`[null,null,"room:a","e",{"n":%d,"pad":"%s"}]`, received, pad); string(message) != want {
				t.Fatalf("got %.60s, want number %d", message, received)
			}
			received++
		}
	}
	for range 3 {
		for range 50 { // one by one
			push(1)
			read(1)
		}
		push(500) // a burst
		read(500)
		// More than the socket takes, and then more while it drains.
		for f.endpoint.Snapshot().QueuedFrames < 200 {
			push(1)
		}
		read((sent - received) / 2)
		push(300)
		read(sent - received)
	}
	eventually(t, func() bool { return f.endpoint.Snapshot().QueuedFrames == 0 })
}

// TestTheSystemTakesLittle pins that what a client does not read waits in its
// queue, where policies reach it, and not in the system's buffers.
func TestTheSystemTakesLittle(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the bound is one of Linux; elsewhere the buffers have other sizes")
	}
	f := start(t, setup{
		channels: map[string]*app{"room:*": {}},
		mount:    websocket.MountConfig{Queue: websocket.QueueConfig{Events: 1 << 20, Bytes: 1 << 30}, Timeouts: websocket.Timeouts{Write: 50 * time.Millisecond}},
	})
	c := f.raw()
	c.frame(0x81, []byte(`["1","1","room:a","phx_join",{}]`))
	if _, _, err := c.next(); err != nil {
		t.Fatal(err)
	}
	pad := fmt.Sprintf("%01000d", 0)
	for range 500 { // half a megabyte; the buffers by themselves hold five times as much
		if _, err := f.endpoint.Broadcast(t.Context(), "room:a", "e", map[string]any{"pad": pad}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() bool { return f.endpoint.Snapshot().Connections == 0 }) // a write took too long
}
