package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// TestATopicThatWouldBeForgotten pins that a joined client goes on with the offsets
// of its topic while other topics come and go beyond MaxTopics, and that it is told
// when it comes back to a topic that was forgotten meanwhile.
func TestATopicThatWouldBeForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := resumable(t, pubsub.MemoryConfig{MaxTopics: 3}, setup{pipes: true}, &app{})
		p := f.connect("1")
		at := p.resume(1, "kept:ann", `{}`)
		f.broadcast("kept:ann", 0, 3)
		p.expectKept(1, "kept:ann", 1, 3)
		others := func() {
			for n := range 5 {
				topic := fmt.Sprint("kept:", n)
				q := f.connect("2")
				q.resume(1, topic, `{}`)
				f.broadcast(topic, 0, 1)
				_ = q.ws.CloseNow()
			}
			synctest.Wait()
		}
		others()
		if n := f.broadcast("kept:ann", 3, 8); n != 5 {
			t.Errorf("5 broadcasts were taken %d times", n)
		}
		p.expectKept(1, "kept:ann", 4, 8)
		_ = p.ws.CloseNow()
		synctest.Wait()
		p = f.connect("1")
		at.Offset = 8
		if got := p.resume(1, "kept:ann", at.params()); !got.Recovered {
			t.Errorf("at once: %+v", got)
		}
		_ = p.ws.CloseNow()
		synctest.Wait()
		others()
		if got := f.connect("1").resume(1, "kept:ann", at.params()); got.Recovered || got.Reason != "epoch" || got.Epoch == at.Epoch {
			t.Errorf("once forgotten: %+v", got)
		}
	})
}

// TestAStoreThatFails pins that a client which lags is not left with a gap, that
// the connection is closed once, and that the process survives, whatever way the
// store fails.
func TestAStoreThatFails(t *testing.T) {
	none := func() ([]pubsub.Record, error) { return nil, nil }
	for name, since := range map[string]func() ([]pubsub.Record, error){
		"error":      func() ([]pubsub.Record, error) { return nil, errors.New("no route") },
		"panic":      func() ([]pubsub.Record, error) { panic("in a store") },
		"nothing":    none, // although it has kept records
		"bad record": func() ([]pubsub.Record, error) { return []pubsub.Record{{Offset: 3, Event: "e"}}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, store := withStore(t, websocket.QueueConfig{Events: 2}, &app{})
				p := f.connect("1")
				p.resume(1, "kept:a", `{}`)
				synctest.Wait()
				f.broadcast("kept:a", 0, 5)
				store.instead.Store(&since)
				p.expectKept(1, "kept:a", 1, 2)
				if code := p.closed(); code != 1013 {
					t.Errorf("closed with %d, want 1013", code)
				}
				if name == "nothing" {
					return
				}
				p = f.connect("1")
				p.send(`["1","1","kept:a","phx_join",{}]`)
				p.expect(`["1","1","kept:a","phx_reply",{"response":{"reason":"join crashed"},"status":"error"}]`)
			})
		})
	}
}

// TestLeavingWhileTheStoreIsSlow pins that the connection of a client that leaves a
// topic whose store is being read stays open.
func TestLeavingWhileTheStoreIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, store := withStore(t, websocket.QueueConfig{Events: 2}, &app{})
		p := f.connect("1")
		p.resume(1, "kept:a", `{}`)
		synctest.Wait()
		f.broadcast("kept:a", 0, 5)
		store.waits.Store(true)
		p.expectKept(1, "kept:a", 1, 2)
		synctest.Wait() // the store is being read
		p.send(`["1","9","kept:a","phx_leave",{}]`)
		p.expect(`["1","9","kept:a","phx_reply",{"response":{},"status":"ok"}]`)
		p.expect(`["1","1","kept:a","phx_close",{}]`)
		synctest.Wait()
		p.send(`[null,"10","phoenix","heartbeat",{}]`)
		p.expect(`[null,"10","phoenix","phx_reply",{"response":{},"status":"ok"}]`)
	})
}

// withStore is an endpoint with resumable topics over a store that can fail.
func withStore(t *testing.T, queue websocket.QueueConfig, a *app) (*fixture, *failing) {
	t.Helper()
	h, err := pubsub.NewMemory(pubsub.MemoryConfig{Topics: []string{"kept:*"}})
	if err != nil {
		t.Fatal(err)
	}
	store := &failing{Memory: h}
	hub, err := pubsub.New(pubsub.Config{History: store})
	if err != nil {
		t.Fatal(err)
	}
	return start(t, setup{pipes: true, endpoint: websocket.EndpointConfig{PubSub: hub}, mount: websocket.MountConfig{Queue: queue}}, func(f *fixture) {
		f.socket.ChannelWith("kept:*", websocket.ChannelConfig{Resume: true}, func(user, string) websocket.Handler { return a })
	}), store
}

// failing is a store that returns what instead says, or waits for its context.
type failing struct {
	*pubsub.Memory
	instead atomic.Pointer[func() ([]pubsub.Record, error)]
	waits   atomic.Bool
}

func (s *failing) Since(ctx context.Context, topic string, after pubsub.Position) ([]pubsub.Record, pubsub.Position, error) {
	if s.waits.Load() {
		<-ctx.Done()
		return nil, pubsub.Position{}, ctx.Err()
	}
	records, now, err := s.Memory.Since(ctx, topic, after)
	if f := s.instead.Load(); f != nil {
		records, err = (*f)()
	}
	return records, now, err
}
