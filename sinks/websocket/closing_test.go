package websocket_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// TestAClosingConnectionEndsWhateverItsClientSends: within Timeouts.Close after the
// close frame was written, or at once when the client's own close frame comes.
func TestAClosingConnectionEndsWhateverItsClientSends(t *testing.T) {
	message := func(format string, a ...any) []byte { return maskedFrame(final|text, fmt.Appendf(nil, format, a...)) }
	// once sends its messages one time, the others theirs as fast as they are taken.
	once := func(messages ...[]byte) func(n int) [][]byte {
		return func(n int) [][]byte {
			if n > 0 {
				return nil
			}
			return messages
		}
	}
	same := func(frames ...[]byte) func(int) [][]byte { return func(int) [][]byte { return frames } }
	slow := maskedFrame(final|text, heartbeat(60<<10))
	for _, row := range []struct {
		name   string
		frames func(n int) [][]byte // nil ends it
		every  time.Duration
		// The client's close frame cannot be recognised, in the middle of a message or
		// after a breach of the protocol.
		deaf bool
	}{
		{name: "nothing", frames: once()},
		{name: "joins and leaves", frames: func(n int) [][]byte {
			return [][]byte{message(`["%d","%d","room:b","phx_join",{}]`, n, n), message(`["%d","x","room:b","phx_leave",{}]`, n)}
		}},
		{name: "heartbeats", frames: same(message(`[null,"1","phoenix","heartbeat",{}]`))},
		{name: "large messages", frames: same(maskedFrame(final|text, heartbeat(60<<10)))},
		{name: "pings", frames: same(maskedFrame(ping, []byte("x")))},
		{name: "fragments", frames: same(maskedFrame(text, []byte(`[null,"1","phoenix","heart`)), maskedFrame(ping, nil), maskedFrame(final, []byte(`beat",{}]`)))},
		{name: "a message a byte at a time", frames: func(n int) [][]byte { return [][]byte{slow[n : n+1]} }, every: 10 * time.Millisecond, deaf: true},
		{name: "a join that hangs", frames: once(message(`["1","1","hung:join","phx_join",{}]`))},
		{name: "a join after a channel that does not end", frames: once(message(`["1","1","hung:end","phx_join",{}]`), message(`["2","2","hung:end","phx_join",{}]`))},
		{name: "a renewal that hangs", frames: once(message(`[null,"2","phoenix","renew",{}]`))},
		{name: "events after one that hangs", frames: once(message(`["1","1","hung:event","phx_join",{}]`),
			message(`["1","2","hung:event","e",{}]`), message(`["1","3","hung:event","e",{}]`), message(`["1","4","hung:event","e",{}]`))},
		{name: "a breach whose close is held off", frames: once(message(`{"not": "of the protocol"}`)), deaf: true},
	} {
		for _, replies := range []bool{false, true} {
			if replies && row.deaf {
				continue
			}
			t.Run(fmt.Sprintf("%s/replies %v", row.name, replies), func(t *testing.T) {
				bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
					release := make(chan struct{})
					defer close(release)
					hang := func() { <-release }
					f := begin(setup{
						channels: map[string]*app{"room:*": {}, "hung:*": {
							join: func(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
								if strings.HasSuffix(ch.Topic(), "join") {
									hang()
								}
								return nil, nil
							},
							in: func(context.Context, *websocket.Channel, string, websocket.Payload) (websocket.Reply, error) {
								hang()
								return websocket.Reply{}, nil
							},
							terminate: func(_ context.Context, ch *websocket.Channel, _ error) {
								if strings.HasSuffix(ch.Topic(), "end") {
									hang()
								}
							},
						}},
						socket: websocket.SocketConfig[user]{
							ID: func(user) string { return "users:1" },
							Renew: func(_ context.Context, u user, _ websocket.Payload) (user, error) {
								hang()
								return u, nil
							},
						},
						mount: websocket.MountConfig{Limits: websocket.Limits{Inbox: 1}, Timeouts: websocket.Timeouts{HoldOff: time.Minute}},
					})
					c := f.raw()
					var group sync.WaitGroup
					closing := make(chan struct{})
					group.Go(func() {
						for n := 0; ; n++ {
							frames := row.frames(n)
							for _, f := range frames {
								if _, err := c.nc.Write(f); err != nil {
									return
								}
							}
							if frames == nil {
								<-closing
							}
							select {
							case <-closing:
								if replies {
									c.frame(closeFrame, []byte{3, 232})
									return
								}
								if frames == nil {
									return
								}
							default:
							}
							if row.every > 0 {
								pass(row.every)
							}
						}
					})
					group.Go(func() {
						for {
							first, _, err := c.next()
							if err != nil {
								return
							}
							if first == closeFrame {
								close(closing)
								_, _ = io.Copy(io.Discard, c.r)
								return
							}
						}
					})
					pass(time.Second)
					if _, err := f.endpoint.Disconnect(t.Context(), "users:1"); err != nil {
						t.Fatal(err)
					}
					<-closing
					since := time.Now()
					most := 2*time.Second + 100*time.Millisecond
					if replies {
						most = 100 * time.Millisecond
					}
					for f.endpoint.Snapshot().Connections > 0 && time.Since(since) < time.Minute {
						pass(time.Millisecond)
					}
					if d := time.Since(since); d > most {
						t.Errorf("the connection ended %v after the close frame, want %v at most", d, most)
					}
					_ = c.nc.Close()
					group.Wait()
				})
			})
		}
	}
}
