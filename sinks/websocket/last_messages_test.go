package websocket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// saver is a handler that takes a second for each event and notes what it has done.
type saver struct {
	app
	mu   sync.Mutex
	done []string
}

func newSaver() *saver {
	s := &saver{}
	s.in = func(ctx context.Context, _ *websocket.Channel, event string, _ websocket.Payload) (websocket.Reply, error) {
		select {
		case <-time.After(time.Second):
			s.note(event)
		case <-ctx.Done():
			s.note(event + " cut off")
		}
		return websocket.OK(nil), nil
	}
	s.terminate = func(_ context.Context, _ *websocket.Channel, reason error) { s.note(reason.Error()) }
	return s
}

func (s *saver) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, text)
}

func (s *saver) noted() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.done, ", ")
}

// TestTheLastPushesOfAClient are handled in order, whatever ends its channel, unless
// the server has taken its rights away.
func TestTheLastPushesOfAClient(t *testing.T) {
	all := func(reason error) string { return "a, b, c, " + reason.Error() }
	cut := func(reason error) string { return "a cut off, " + reason.Error() }
	for name, row := range map[string]struct {
		end     func(f *fixture, c *rawClient)
		want    string
		dropped float64
	}{
		"hangs up": {func(_ *fixture, c *rawClient) { _ = c.nc.Close() }, all(websocket.ErrClosed), 0},
		"closes":   {func(_ *fixture, c *rawClient) { c.frame(closeFrame, []byte{3, 232}) }, all(websocket.ErrClosed), 0},
		"breaks the protocol": {func(_ *fixture, c *rawClient) {
			c.frame(final|text, []byte("{"))
		}, all(websocket.ErrClosed), 0},
		"leaves": {func(_ *fixture, c *rawClient) {
			c.frame(final|text, []byte(`["1","9","room:a","phx_leave",{}]`))
		}, all(websocket.ErrLeft), 0},
		"leaves and hangs up": {func(_ *fixture, c *rawClient) {
			c.frame(final|text, []byte(`["1","9","room:a","phx_leave",{}]`))
			_ = c.nc.Close()
		}, all(websocket.ErrLeft), 0},
		"joins again": {func(_ *fixture, c *rawClient) {
			c.frame(final|text, []byte(`["9","9","room:a","phx_join",{}]`))
		}, all(websocket.ErrDuplicateJoin), 0},
		"is replaced": {func(f *fixture, _ *rawClient) { f.connect("1") }, all(websocket.ErrReplaced), 0},
		"Close": {func(f *fixture, _ *rawClient) {
			go func() { _ = f.endpoint.Close(context.Background()) }()
		}, all(websocket.ErrShutdown), 0},
		"Close with a short deadline": {func(f *fixture, _ *rawClient) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Nanosecond)
			defer cancel()
			_ = f.endpoint.Close(ctx)
		}, cut(websocket.ErrShutdown), 2},
		"Disconnect": {func(f *fixture, _ *rawClient) {
			_, _ = f.endpoint.Disconnect(context.Background(), "users:1")
		}, cut(websocket.ErrDisconnected), 2},
		"Kick": {func(f *fixture, _ *rawClient) {
			_, _ = f.endpoint.Kick(context.Background(), "users:1", "room:a")
		}, cut(websocket.ErrKicked), 2},
		"Disconnect after it hangs up": {func(f *fixture, c *rawClient) {
			c.frame(final|text, []byte(`["9","9","room:a","phx_join",{}]`))
			pass(time.Millisecond)
			_, _ = f.endpoint.Disconnect(context.Background(), "users:1")
		}, cut(websocket.ErrDisconnected), 2},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
				s := newSaver()
				var log bytes.Buffer
				f := begin(setup{
					endpoint: websocket.EndpointConfig{
						Limits: websocket.EndpointLimits{PerID: 1, AtPerID: websocket.CloseOldest},
						Logger: slog.New(slog.NewTextHandler(&log, nil)),
					},
					socket:   websocket.SocketConfig[user]{ID: func(user) string { return "users:1" }},
					channels: one("room:*", &s.app),
				})
				c := f.raw()
				for i, event := range []string{"phx_join", "a", "b", "c"} {
					c.frame(final|text, fmt.Appendf(nil, `["1","%d","room:a",%q,{}]`, i, event))
				}
				go func() { // it reads until the end
					for err := error(nil); err == nil; {
						_, _, err = c.next()
					}
				}()
				pass(500 * time.Millisecond)
				row.end(f, c)
				pass(20 * time.Second)
				synctest.Wait()
				if got := s.noted(); got != row.want {
					t.Errorf("got  %s\nwant %s", got, row.want)
				}
				if n := f.metrics.get("websocket.discarded,reason:unhandled"); n != row.dropped {
					t.Errorf("%v counted as unhandled, want %v", n, row.dropped)
				}
				if logged := strings.Contains(log.String(), "messages not handled"); logged != (row.dropped > 0) {
					t.Errorf("log: %s", log.String())
				}
			})
		})
	}
}

// TestTheLastPushesHaveFiveSeconds: then the context ends, and what waits still is
// counted.
func TestTheLastPushesHaveFiveSeconds(t *testing.T) {
	bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
		s := newSaver()
		f := begin(setup{channels: one("room:*", &s.app)})
		c := f.raw()
		for i, event := range []string{"phx_join", "a", "b", "c", "d", "e", "f", "g", "h"} {
			c.frame(final|text, fmt.Appendf(nil, `["1","%d","room:a",%q,{}]`, i, event))
			if i == 0 {
				_, _, _ = c.next()
			}
		}
		pass(500 * time.Millisecond)
		_ = c.nc.Close()
		pass(4900 * time.Millisecond)
		if got := s.noted(); got != "a, b, c, d, e" {
			t.Error(got)
		}
		pass(200 * time.Millisecond)
		if got := s.noted(); got != "a, b, c, d, e, f cut off, "+websocket.ErrClosed.Error() {
			t.Error(got)
		}
		if n := f.metrics.get("websocket.discarded,reason:unhandled"); n != 2 {
			t.Errorf("%v counted as unhandled", n)
		}
	})
}

// TestTheLastPushesBeyondAFullInbox, which the goroutine that reads has read and
// cannot pass on yet.
func TestTheLastPushesBeyondAFullInbox(t *testing.T) {
	bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
		s := newSaver()
		f := begin(setup{channels: one("room:*", &s.app), mount: websocket.MountConfig{Limits: websocket.Limits{Inbox: 1}}})
		c := f.raw()
		for i, event := range []string{"phx_join", "a", "b", "c", "d"} {
			c.frame(final|text, fmt.Appendf(nil, `["1","%d","room:a",%q,{}]`, i, event))
			if i == 0 {
				_, _, _ = c.next()
			}
		}
		pass(500 * time.Millisecond)
		_ = c.nc.Close()
		pass(20 * time.Second)
		if got := s.noted(); got != "a, b, c, d, "+websocket.ErrClosed.Error() {
			t.Error(got)
		}
	})
}

// TestACrashCountsWhatItLeaves: the client gets phx_error and learns nothing else.
func TestACrashCountsWhatItLeaves(t *testing.T) {
	bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
		crash := &app{in: func(_ context.Context, _ *websocket.Channel, event string, _ websocket.Payload) (websocket.Reply, error) {
			pass(time.Second)
			return websocket.Reply{}, errors.New("broken")
		}}
		f := begin(setup{channels: one("room:*", crash)})
		p := f.connect("1")
		p.join(1, "room:a")
		for _, event := range []string{"a", "b", "c"} {
			p.send(`["1",null,"room:a",%q,{}]`, event)
		}
		p.expect(`["1","1","room:a","phx_error",{"reason":"channel_crash"}]`)
		pass(time.Second)
		if n := f.metrics.get("websocket.discarded,reason:unhandled"); n != 2 {
			t.Errorf("%v counted as unhandled", n)
		}
	})
}
