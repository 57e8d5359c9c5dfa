package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// bubble runs a test in virtual time, with a function that starts an endpoint on
// pipes.
func bubble(t *testing.T, run func(t *testing.T, begin func(s setup) *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		run(t, func(s setup) *fixture {
			s.pipes = true
			return start(t, s)
		})
	})
}

func one(pattern string, a *app) map[string]*app { return map[string]*app{pattern: a} }

// waits is a HandleJoin that waits for its context, and reports why that has ended.
func waits(ended chan<- error) func(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
	return func(ctx context.Context, _ *websocket.Channel, _ websocket.Payload) (any, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
}

// TestTheContextOfAJoinEndsWithItsConnection: nothing else is read from the client
// meanwhile, so that its going would show nowhere.
func TestTheContextOfAJoinEndsWithItsConnection(t *testing.T) {
	for name, end := range map[string]func(f *fixture, c *rawClient){
		"hang up": func(_ *fixture, c *rawClient) { _ = c.nc.Close() },
		"hang up after more": func(_ *fixture, c *rawClient) {
			c.frame(final|text, heartbeat(10<<10))
			_ = c.nc.Close()
		},
		"disconnect": func(f *fixture, _ *rawClient) { _, _ = f.endpoint.Disconnect(context.Background(), "users:1") },
		"close":      func(f *fixture, _ *rawClient) { go func() { _ = f.endpoint.Close(context.Background()) }() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
				ended := make(chan error, 1)
				f := begin(setup{
					channels: one("room:*", &app{join: waits(ended)}),
					socket:   websocket.SocketConfig[user]{ID: func(user) string { return "users:1" }},
				})

				c := f.raw()
				c.frame(final|text, []byte(`["1","1","room:a","phx_join",{}]`))
				pass(time.Second)
				since := time.Now()
				end(f, c)
				if err := <-ended; !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				if d := time.Since(since); d > time.Second {
					t.Errorf("the context ended after %v", d)
				}
			})
		})
	}
}

// TestTheContextsOfAFullInboxEnd: the goroutine that reads waits for room.
func TestTheContextsOfAFullInboxEnd(t *testing.T) {
	bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
		ended := make(chan error, 1)
		f := begin(setup{
			mount: websocket.MountConfig{Limits: websocket.Limits{Inbox: 1}},
			channels: one("room:*", &app{in: func(ctx context.Context, _ *websocket.Channel, _ string, _ websocket.Payload) (websocket.Reply, error) {
				<-ctx.Done()
				ended <- ctx.Err()
				return websocket.Reply{}, nil
			}}),
		})

		c := f.raw()
		for i := range 4 {
			c.frame(final|text, fmt.Appendf(nil, `["1","%d","room:a",%q,{}]`, i, [4]string{"phx_join", "a", "b", "c"}[i]))
			if i == 0 {
				_, _, _ = c.next()
			}
		}
		pass(time.Second)
		_ = c.nc.Close()
		<-ended
	})
}

func TestAJoinThatTakesTooLongIsAnswered(t *testing.T) {
	for _, obeys := range []bool{true, false} {
		t.Run(fmt.Sprintf("obeys %v", obeys), func(t *testing.T) {
			bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
				reasons := make(chan error, 1)
				release := make(chan struct{})
				f := begin(setup{
					mount: websocket.MountConfig{Timeouts: websocket.Timeouts{Join: 3 * time.Second}},
					channels: map[string]*app{"room:*": {}, "slow:*": {
						join: func(ctx context.Context, _ *websocket.Channel, _ websocket.Payload) (any, error) {
							<-ctx.Done()
							if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
								t.Error(err)
							}
							if obeys {
								return nil, ctx.Err()
							}
							<-release
							return nil, nil
						},
						terminate: func(_ context.Context, _ *websocket.Channel, reason error) { reasons <- reason },
					}},
				})

				p := f.connect("1")
				since := time.Now()
				p.send(`["1","1","slow:a","phx_join",{}]`)
				p.expect(`["1","1","slow:a","phx_reply",{"response":{"reason":"join timed out"},"status":"error"}]`)
				if d := time.Since(since); d != 3*time.Second {
					t.Errorf("answered after %v, want 3 s", d)
				}
				p.join(2, "room:a") // the connection goes on
				close(release)
				if !obeys {
					if reason := <-reasons; !errors.Is(reason, websocket.ErrJoinTimeout) {
						t.Errorf("terminated with %v", reason)
					}
				}
				if n := f.broadcast("slow:a", 0, 1); n != 0 {
					t.Errorf("%d receivers", n)
				}
				synctest.Wait()
				if n := f.endpoint.Snapshot().Channels; n != 1 {
					t.Errorf("%d channels", n)
				}
			})
		})
	}
}

// TestTheNextJoinRunsAfterTheTerminate of the channel that was left.
func TestTheNextJoinRunsAfterTheTerminate(t *testing.T) {
	for _, how := range []string{"at once", "after phx_close"} {
		t.Run(how, func(t *testing.T) {
			var mu sync.Mutex
			var log []string
			note := func(s string) { mu.Lock(); log = append(log, s); mu.Unlock() }
			bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
				f := begin(setup{channels: one("room:*", &app{
					join: func(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
						note("join")
						return nil, nil
					},
					terminate: func(context.Context, *websocket.Channel, error) {
						note("begin")
						pass(300 * time.Millisecond)
						note("end")
					},
				})})

				p := f.connect("1")
				p.join(1, "room:a")
				p.send(`["1","2","room:a","phx_leave",{}]`)
				if how == "after phx_close" {
					p.expect(`["1","2","room:a","phx_reply",{"response":{},"status":"ok"}]`)
					p.expect(`["1","1","room:a","phx_close",{}]`)
					p.join(3, "room:a")
				} else {
					p.send(`["3","3","room:a","phx_join",{}]`)
					for !strings.Contains(p.read(), `"3","room:a","phx_reply"`) {
					}
				}
				mu.Lock()
				defer mu.Unlock()
				if got := strings.Join(log, ", "); got != "join, begin, end, join" {
					t.Error(got)
				}
			})
		})
	}
}

// TestATopicOfAHandlerThatHangsIsJoinedAgain: once, as far as the client sees.
func TestATopicOfAHandlerThatHangsIsJoinedAgain(t *testing.T) {
	for _, leave := range []bool{false, true} {
		t.Run(fmt.Sprintf("leave %v", leave), func(t *testing.T) {
			bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
				release := make(chan struct{})
				f := begin(setup{channels: one("room:*", &app{in: func(context.Context, *websocket.Channel, string, websocket.Payload) (websocket.Reply, error) {
					<-release
					return websocket.OK(nil), nil
				}})})

				p := f.connect("1")
				p.join(1, "room:a")
				p.send(`["1","2","room:a","hang",{}]`)
				pass(time.Millisecond)
				since := time.Now()
				if leave {
					p.send(`["1","3","room:a","phx_leave",{}]`)
				}
				p.join(4, "room:a")
				if d := time.Since(since); d != 5*time.Second {
					t.Errorf("joined after %v, want 5 s", d)
				}
				p.expect(`["1","1","room:a","phx_close",{}]`)
				if n := f.broadcast("room:a", 0, 1); n != 1 {
					t.Errorf("%d receivers", n)
				}
				p.expect(`[null,null,"room:a","e",{"n":0}]`)
				close(release)
				synctest.Wait()
				p.send(`[null,"5","phoenix","heartbeat",{}]`) // nothing of the old one comes
				p.expect(`[null,"5","phoenix","phx_reply",{"response":{},"status":"ok"}]`)
			})
		})
	}
}

func TestLeaveAndJoinInOneBreathAtTheLimit(t *testing.T) {
	for name, s := range map[string]setup{
		"of the connection": {mount: websocket.MountConfig{Limits: websocket.Limits{Channels: 1}}},
		"of the endpoint":   {endpoint: websocket.EndpointConfig{Limits: websocket.EndpointLimits{Channels: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			s.channels = one("room:*", &app{terminate: func(context.Context, *websocket.Channel, error) { pass(time.Second) }})
			bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
				f := begin(s)

				p := f.connect("1")
				p.join(1, "room:1")
				for n := 2; n < 12; n++ {
					p.send(`["%d","l","room:%d","phx_leave",{}]`, n-1, n-1)
					p.send(`["%d","%d","room:%d","phx_join",{}]`, n, n, n)
					p.expect(fmt.Sprintf(`["%d","l","room:%d","phx_reply",{"response":{},"status":"ok"}]`, n-1, n-1))
					p.expect(fmt.Sprintf(`["%d","%d","room:%d","phx_close",{}]`, n-1, n-1, n-1))
					p.expect(fmt.Sprintf(`["%d","%d","room:%d","phx_reply",{"response":{},"status":"ok"}]`, n, n, n))
				}
				p.send(`["99","99","room:99","phx_join",{}]`)
				p.expect(`["99","99","room:99","phx_reply",{"response":{"reason":"too many channels joined"},"status":"error"}]`)
			})
		})
	}
}

// heldLog keeps the goroutine that logs a message until it is released.
type heldLog struct {
	slog.Handler
	message string
	release chan struct{}
}

func (h heldLog) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, h.message) {
		<-h.release
	}
	return h.Handler.Handle(ctx, r)
}

// TestAChannelThatIsOverMakesRoom: a limit does not count it, whatever its goroutine still does.
func TestAChannelThatIsOverMakesRoom(t *testing.T) {
	for name, s := range map[string]setup{
		"of the connection": {mount: websocket.MountConfig{Limits: websocket.Limits{Channels: 1}}},
		"of the endpoint":   {endpoint: websocket.EndpointConfig{Limits: websocket.EndpointLimits{Channels: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
				crash, release := make(chan struct{}), make(chan struct{})
				defer close(release)
				s.endpoint.Logger = slog.New(heldLog{slog.NewTextHandler(io.Discard, nil), "messages not handled", release})
				s.channels = one("room:*", &app{in: func(context.Context, *websocket.Channel, string, websocket.Payload) (websocket.Reply, error) {
					<-crash
					panic("a message waits")
				}})
				p := begin(s).connect("1")
				p.join(1, "room:a")
				p.send(`["1","2","room:a","e",{}]`)
				p.send(`["1","3","room:a","e",{}]`)
				synctest.Wait()
				close(crash)
				p.expect(`["1","1","room:a","phx_error",{"reason":"channel_crash"}]`)
				synctest.Wait() // it logs the message that waited
				p.join(4, "room:b")
			})
		})
	}
}

// TestGoexitCrashesItsChannelOnly, wherever the application calls it.
func TestGoexitCrashesItsChannelOnly(t *testing.T) {
	exit := func() { runtime.Goexit() }
	crashed := `["1","1","bad:a","phx_error",{"reason":"channel_crash"}]`
	for name, row := range map[string]struct {
		bad  *app
		do   string
		want string
	}{
		"HandleJoin": {&app{join: func(context.Context, *websocket.Channel, websocket.Payload) (any, error) { exit(); return nil, nil }},
			"", `["1","1","bad:a","phx_reply",{"response":{"reason":"join crashed"},"status":"error"}]`},
		"HandleIn": {&app{in: func(context.Context, *websocket.Channel, string, websocket.Payload) (websocket.Reply, error) {
			exit()
			return websocket.Reply{}, nil
		}}, `["1","2","bad:a","e",{}]`, crashed},
		"HandleInfo": {&app{
			join: func(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
				ch.SendAfter(time.Second, 1)
				return nil, nil
			},
			info: func(context.Context, *websocket.Channel, any) error { exit(); return nil }}, "", crashed},
		"HandleOut": {&app{intercept: []string{"e"}, out: func(context.Context, *websocket.Channel, string, websocket.Payload) error { exit(); return nil }},
			"broadcast", crashed},
		"task": {&app{in: func(_ context.Context, ch *websocket.Channel, _ string, _ websocket.Payload) (websocket.Reply, error) {
			return websocket.Reply{}, ch.Go(func(context.Context) { exit() })
		}}, `["1","2","bad:a","e",{}]`, crashed},
		"HandleTerminate": {&app{terminate: func(context.Context, *websocket.Channel, error) { exit() }},
			`["1","2","bad:a","phx_leave",{}]`, `["1","1","bad:a","phx_close",{}]`},
		"HandleTerminate after a crash": {&app{
			in: func(context.Context, *websocket.Channel, string, websocket.Payload) (websocket.Reply, error) {
				panic("x")
			},
			terminate: func(context.Context, *websocket.Channel, error) { exit() }},
			`["1","2","bad:a","e",{}]`, crashed},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
				f := begin(setup{channels: map[string]*app{"bad:*": row.bad, "good:*": {}}})

				p := f.connect("1")
				p.send(`["1","1","bad:a","phx_join",{}]`)
				if row.bad.join == nil || row.bad.info != nil {
					p.expect(`["1","1","bad:a","phx_reply",{"response":{},"status":"ok"}]`)
				}
				switch row.do {
				case "":
				case "broadcast":
					f.broadcast("bad:a", 0, 1)
				default:
					p.send("%s", row.do)
				}
				for got := ""; got != row.want; {
					if got = p.read(); got != row.want && !strings.Contains(got, "phx_reply") {
						t.Fatalf("got  %s\nwant %s", got, row.want)
					}
				}
				p.join(7, "good:a")
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				go p.closed()
				since := time.Now()
				if err := f.endpoint.Close(ctx); err != nil {
					t.Error(err)
				}
				if d := time.Since(since); d > 5*time.Second {
					t.Errorf("closed after %v", d)
				}
			})
		})
	}
}
