package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// sized is an object that makes a frame a bit larger than n bytes.
func sized(n int) map[string]string { return map[string]string{"s": strings.Repeat("x", n)} }

// TestLargerThanTheQueue pins that what can never fit is refused to its sender, is
// counted, and closes nothing, whatever the policy.
func TestLargerThanTheQueue(t *testing.T) {
	for _, policy := range []websocket.Overflow{websocket.CloseSlow, websocket.DropNewest, websocket.DropOldest} {
		synctest.Test(t, func(t *testing.T) {
			var large *websocket.TooLargeError
			a := &app{}
			a.join = func(_ context.Context, _ *websocket.Channel, p websocket.Payload) (any, error) {
				if strings.Contains(string(p.Data), "big") {
					return sized(2001), nil
				}
				return nil, nil
			}
			a.in = func(ctx context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
				switch event {
				case "push":
					return websocket.OK(nil), ch.Push("e", sized(1000)) // and goes on
				case "broadcast":
					_, err := ch.Broadcast(ctx, "e", sized(1000))
					return websocket.OK(nil), err
				case "reply":
					return websocket.OK(sized(2000)), nil
				case "later":
					ref, err := ch.Ref()
					if err == nil {
						err = ref.Reply(websocket.OK(sized(2000)))
					}
					if !errors.As(err, &large) || large.Limit != 2000 || large.Bytes < 2000 {
						t.Errorf("Reply: %v", err)
					}
					return websocket.Reply{}, nil
				}
				return websocket.OK(p), nil
			}
			f := start(t, setup{
				pipes: true, channels: map[string]*app{"room:*": a},
				mount: websocket.MountConfig{Queue: websocket.QueueConfig{Bytes: 1000, Overflow: policy}},
			})
			p := f.connect("1")
			p.join(1, "room:a")
			n, err := f.endpoint.Broadcast(t.Context(), "room:a", "e", sized(1000))
			if n != 0 || !errors.As(err, &large) || large.Limit != 1000 || large.Bytes < 1000 || !errors.Is(err, pubsub.ErrUnfit) {
				t.Errorf("Broadcast: %d, %v", n, err)
			}
			const tooLarge = `["1","%d","room:a","phx_reply",{"response":{"reason":"reply too large"},"status":"error"}]`
			for i, event := range []string{"push", "broadcast", "reply", "later"} {
				p.send(`["1","%d","room:a",%q,{}]`, i, event)
				if i < 2 {
					p.expect(fmt.Sprintf(`["1","%d","room:a","phx_reply",{"response":{},"status":"ok"}]`, i))
				} else {
					p.expect(fmt.Sprintf(tooLarge, i))
				}
			}
			p.send(`["9","9","room:big","phx_join",{"big":true}]`)
			p.expect(`["9","9","room:big","phx_reply",{"response":{"reason":"reply too large"},"status":"error"}]`)
			if got := f.metrics.get("websocket.discarded,reason:too_large"); got != 6 {
				t.Errorf("websocket.discarded %v, want 6", got)
			}
			// The connection and its channel are as before.
			f.broadcast("room:a", 0, 1)
			p.expect(`[null,null,"room:a","e",{"n":0}]`)
			eventually(t, func() bool { return f.endpoint.Snapshot().Channels == 1 })
		})
	}
}

// TestTooLargeForADelivery pins that a delivery may exceed a queue, and that one
// that exceeds all queues ends.
func TestTooLargeForADelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, setup{
			pipes: true, channels: map[string]*app{"room:*": {}},
			endpoint: websocket.EndpointConfig{Limits: websocket.EndpointLimits{QueuedBytes: 5000}},
			mount:    websocket.MountConfig{Queue: websocket.QueueConfig{Bytes: 1000}},
		})
		p := f.connect("1")
		p.join(1, "room:a")
		reports := make(chan websocket.Report, 1)
		for _, row := range []struct {
			bytes int
			err   error
		}{{2000, nil}, {5000, pubsub.ErrUnfit}} {
			err := f.endpoint.Deliver(t.Context(), "room:a", "e", sized(row.bytes), func(r websocket.Report) { reports <- r })
			if err != nil {
				t.Fatal(err)
			}
			if row.err == nil {
				p.read()
			}
			if r := <-reports; !errors.Is(r.Err, row.err) {
				t.Errorf("%d bytes: %v, want %v", row.bytes, r.Err, row.err)
			}
		}
	})
}

// TestTooLargeForTheHistory pins that a record which can never be sent does not
// keep its clients from what follows: they are told that it was skipped, as it comes
// and when they resume.
func TestTooLargeForTheHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := resumable(t, pubsub.MemoryConfig{MaxBytes: 1 << 20}, setup{
			pipes:    true,
			endpoint: websocket.EndpointConfig{Limits: websocket.EndpointLimits{QueuedBytes: 5000}},
			mount:    websocket.MountConfig{Queue: websocket.QueueConfig{Bytes: 1000}},
		}, &app{})
		p := f.connect("1")
		where := p.resume(1, "kept:a", `{}`)
		for _, bytes := range []int{10, 2000, 5000, 20} {
			if _, err := f.endpoint.Broadcast(t.Context(), "kept:a", "e", sized(bytes)); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(p *peer) {
			t.Helper()
			for n, want := range []string{"e", "e", "resume_skipped", "e"} {
				m := p.frame()
				if m.event != want || !strings.HasSuffix(string(m.payload), fmt.Sprintf(`"resume_offset":%d}`, n+1)) {
					t.Errorf("%d: %s %.40s, want %s", n, m.event, m.payload, want)
				}
			}
		}
		expect(p)
		again := f.connect("1")
		again.resume(1, "kept:a", where.params())
		expect(again)
	})
}
