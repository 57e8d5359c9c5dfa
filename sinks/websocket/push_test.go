package websocket_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

type outcome struct {
	n   int
	at  time.Time
	err error
}

// timed is the payload of a broadcast that timedApp pushes with a hook.
type timed struct {
	N    int    `json:"n"`
	Done string `json:"done"` // key in hooks
}

// hooks holds the channels to which timedApp reports, by their address: a
// payload crosses the hub encoded.
var hooks sync.Map

func timedPayload(n int, done chan outcome) timed {
	key := fmt.Sprint(done)
	hooks.Store(key, done)
	return timed{n, key}
}

func timedApp() *app {
	return &app{intercept: []string{"timed"}, out: func(_ context.Context, ch *websocket.Channel, _ string, payload websocket.Payload) error {
		var p timed
		if err := payload.Decode(&p); err != nil {
			return err
		}
		done, _ := hooks.Load(p.Done)
		return ch.PushWritten("push", map[string]int{"n": p.N}, func(at time.Time, err error) { done.(chan outcome) <- outcome{p.N, at, err} })
	}}
}

// TestBinaryForAClientOfVersion1 pins that a broadcast which the client's protocol
// cannot carry is counted for that client and reaches the others.
func TestBinaryForAClientOfVersion1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pollSetup(&app{})
		f := start(t, s)
		old, _, err := f.dial("vsn=1.0.0", nil)
		if err != nil {
			t.Fatal(err)
		}
		v1 := &peer{t: t, ws: old}
		v1.send(`{"topic":"room:a","event":"phx_join","payload":{},"ref":"1","join_ref":"1"}`)
		v1.read()
		polling := f.poll("vsn=2.0.0")
		if status := polling.post(`["1","1","room:a","phx_join",{}]`); status != 200 {
			t.Fatal(status)
		}
		p := f.connect("1")
		p.join(1, "room:a")
		if n, err := f.endpoint.Broadcast(t.Context(), "room:a", "e", websocket.Binary{1, 2}); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		p.read()
		if n := f.metrics.get("websocket.discarded,reason:no_binary"); n != 2 {
			t.Errorf("websocket.discarded %v, want 2", n)
		}
	})
}

func TestWrittenHookFollowsTheWrite(t *testing.T) {
	f := start(t, setup{channels: map[string]*app{"user:*": timedApp()}})
	p := f.connect("1")
	p.join(1, "user:1")
	done := make(chan outcome, 100)
	begin := time.Now()
	for n := range 100 {
		got, err := f.endpoint.Broadcast(t.Context(), "user:1", "timed", timedPayload(n, done))
		if got != 1 || err != nil {
			t.Fatalf("receivers %d, %v", got, err)
		}
	}
	for n := range 100 {
		p.expect(fmt.Sprintf(`["1",null,"user:1","push",{"n":%d}]`, n))
		o := got(t, done)
		if o.n != n || o.err != nil || o.at.Before(begin) || o.at.After(time.Now()) {
			t.Fatalf("hook %d: %+v", n, o)
		}
	}
	if len(done) != 0 {
		t.Error("a hook was called twice")
	}
}

// TestHooksOfAWriteReturnBeforeTheNextWrite, so that they come in the order of the pushes,
// whichever goroutines write.
func TestHooksOfAWriteReturnBeforeTheNextWrite(t *testing.T) {
	bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
		entered, release := make(chan struct{}, 3), make(chan struct{})
		f := begin(setup{channels: one("user:*", &app{intercept: []string{"timed"},
			out: func(_ context.Context, ch *websocket.Channel, _ string, payload websocket.Payload) error {
				return ch.PushWritten("push", payload, func(time.Time, error) {
					entered <- struct{}{}
					<-release
				})
			}})})
		p := f.connect("1")
		p.join(1, "user:1")
		go func() {
			for n := range 3 {
				p.expect(fmt.Sprintf(`["1",null,"user:1","push",{"n":%d}]`, n))
			}
		}()
		for n := range 3 {
			if got, err := f.endpoint.Broadcast(t.Context(), "user:1", "timed", map[string]int{"n": n}); got != 1 || err != nil {
				t.Errorf("receivers %d, %v", got, err)
			}
			synctest.Wait()
		}
		if n := len(entered); n != 1 {
			t.Errorf("%d hooks at once", n)
		}
		close(release)
		synctest.Wait()
		if n := len(entered); n != 3 {
			t.Errorf("%d hooks of 3 pushes", n)
		}
	})
}

func TestReceivers(t *testing.T) {
	f := start(t, setup{channels: map[string]*app{"room:*": {}}})
	if n, err := f.endpoint.Broadcast(t.Context(), "room:a", "e", nil); n != 0 || err != nil {
		t.Errorf("nobody there: %d, %v", n, err)
	}
	a, b := f.connect("a"), f.connect("b")
	a.join(1, "room:a")
	b.join(1, "room:a")
	if n, err := f.endpoint.Broadcast(t.Context(), "room:a", "e", map[string]int{"x": 1}); n != 2 || err != nil {
		t.Errorf("two there: %d, %v", n, err)
	}
	a.expect(`[null,null,"room:a","e",{"x":1}]`)
	b.expect(`[null,null,"room:a","e",{"x":1}]`)
	a.send(`["1","2","room:a","phx_leave",{}]`)
	a.expect(`["1","2","room:a","phx_reply",{"response":{},"status":"ok"}]`)
	if n, err := f.endpoint.LocalBroadcast("room:a", "e", nil); n != 1 || err != nil {
		t.Errorf("one there: %d, %v", n, err)
	}
}

func TestBadPayloads(t *testing.T) {
	errs := make(chan error, 8)
	f := start(t, setup{channels: map[string]*app{"room:*": {in: func(ctx context.Context, ch *websocket.Channel, _ string, _ websocket.Payload) (websocket.Reply, error) {
		for _, bad := range []any{[]int{1}, "x", json.RawMessage(` 5`), math.NaN(), websocket.Binary(nil)} {
			event := "e"
			if _, ok := bad.(websocket.Binary); ok {
				event = strings.Repeat("e", 256)
			}
			errs <- ch.Push(event, bad)
		}
		_, err := ch.Broadcast(ctx, "e", []int{1})
		errs <- err
		return websocket.OK(nil), nil
	}}}})
	p := f.connect("a")
	p.join(1, "room:a")
	p.send(`["1","2","room:a","go",{}]`)
	p.expect(`["1","2","room:a","phx_reply",{"response":{},"status":"ok"}]`)
	for i, want := range []error{websocket.ErrPayload, websocket.ErrPayload, websocket.ErrPayload, nil, websocket.ErrFieldTooLong, websocket.ErrPayload} {
		err := <-errs
		if want == nil {
			var unsupported *json.UnsupportedValueError
			if !errors.As(err, &unsupported) {
				t.Errorf("%d: %v", i, err)
			}
		} else if !errors.Is(err, want) {
			t.Errorf("%d: %v, want %v", i, err, want)
		}
	}
	if _, err := f.endpoint.Broadcast(t.Context(), "room:a", "e", make(chan int)); err == nil {
		t.Error("a channel was broadcast")
	}
}

// TestReceiptsAreCompleteWhenConnectionsEnd pins that every push is told of
// exactly once, whatever happens to its connection.
func TestReceiptsAreCompleteWhenConnectionsEnd(t *testing.T) {
	joined := make(chan *websocket.Channel, 1)
	f := start(t, setup{
		channels: map[string]*app{"user:*": {info: func(_ context.Context, ch *websocket.Channel, _ any) error {
			joined <- ch
			return nil
		}, join: func(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
			return nil, ch.Send("joined")
		}}},
		mount: websocket.MountConfig{Queue: websocket.QueueConfig{Events: 32}},
	})
	const rounds, each = 20, 200
	for round := range rounds {
		p := f.connect("1")
		p.join(1, "user:1")
		ch := got(t, joined)
		done := make(chan outcome, 2*each)
		for n := range each {
			if n == each/2 && round%2 == 0 {
				_ = p.ws.CloseNow()
			}
			// The error goes to the hook as well.
			_ = ch.PushWritten("push", nil, func(at time.Time, err error) { done <- outcome{n, at, err} })
		}
		if round%4 == 1 {
			if _, err := f.endpoint.Disconnect(t.Context(), "none"); err != nil {
				t.Fatal(err)
			}
		}
		_ = p.ws.CloseNow()
		for range each {
			got(t, done)
		}
		if len(done) > 0 {
			t.Fatalf("round %d: %d receipts too many", round, len(done))
		}
	}
}
