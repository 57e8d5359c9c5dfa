package websocket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// TestKickEndsOneChannel of each connection of the user.
func TestKickEndsOneChannel(t *testing.T) {
	bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
		reasons := make(chan error, 100)
		f := begin(setup{socket: websocket.SocketConfig[user]{ID: usersID}, channels: one("room:*", &app{
			terminate: func(_ context.Context, _ *websocket.Channel, reason error) { reasons <- reason },
		})})
		peers := []*peer{f.connect("1"), f.connect("1"), f.connect("2")}
		for _, p := range peers {
			p.join(1, "room:a")
			p.join(2, "room:b")
		}
		if n, err := f.endpoint.Kick(t.Context(), "users:1", "room:a"); n != 2 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := f.endpoint.Kick(t.Context(), "users:1", "room:none"); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if n := f.broadcast("room:a", 0, 1); n != 1 {
			t.Errorf("%d receivers", n)
		}
		for _, p := range peers[:2] {
			p.expect(`["1","1","room:a","phx_close",{"reason":"kicked"}]`)
			if err := <-reasons; !errors.Is(err, websocket.ErrKicked) {
				t.Error(err)
			}
			p.send(`["2","3","room:b","e",{}]`) // the connection and its other channel go on
			p.expect(`["2","3","room:b","phx_reply",{"response":{},"status":"ok"}]`)
			p.join(4, "room:a")
		}
	})
}

func TestAKickDuringTheJoinIsAnswered(t *testing.T) {
	bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
		f := begin(setup{socket: websocket.SocketConfig[user]{ID: usersID}, channels: one("room:*", &app{
			join: func(ctx context.Context, _ *websocket.Channel, _ websocket.Payload) (any, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
		})})
		p := f.connect("1")
		p.send(`["1","1","room:a","phx_join",{}]`)
		synctest.Wait()
		if n, err := f.endpoint.Kick(t.Context(), "users:1", "room:a"); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		p.expect(`["1","1","room:a","phx_reply",{"response":{"reason":"kicked"},"status":"error"}]`)
	})
}

// TestDisconnectWhileConnecting closes a connection of which Connect has decided
// before.
func TestDisconnectWhileConnecting(t *testing.T) {
	bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
		decided, release := make(chan bool), make(chan bool)
		f := begin(setup{socket: websocket.SocketConfig[user]{ID: usersID, Connect: func(_ context.Context, r *websocket.ConnectRequest) (user, error) {
			id := r.Params.Get("user")
			if id != "bystander" {
				decided <- true
				<-release
			}
			return user{id}, nil
		}}})
		go func() {
			<-decided
			if n, err := f.endpoint.Disconnect(context.Background(), "users:1"); n != 0 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			close(release)
		}()
		p := f.connect("1")
		if code := p.closed(); code != 1001 {
			t.Errorf("closed with %d, want 1001", code)
		}
		q := f.connect("bystander")
		q.send(`[null,"1","phoenix","heartbeat",{}]`)
		q.expect(`[null,"1","phoenix","phx_reply",{"response":{},"status":"ok"}]`)
	})
}

func TestConnectThatDoesNotReturn(t *testing.T) {
	bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
		release, ended := make(chan bool), make(chan error, 1)
		f := begin(setup{socket: websocket.SocketConfig[user]{Connect: func(ctx context.Context, r *websocket.ConnectRequest) (user, error) {
			switch r.Params.Get("user") {
			case "hang":
				<-release
			case "exit":
				runtime.Goexit()
			case "wait":
				<-ctx.Done()
				ended <- ctx.Err()
			}
			return user{}, nil
		}}})
		for id, want := range map[string]int{"hang": http.StatusServiceUnavailable, "exit": http.StatusForbidden} {
			since := time.Now()
			_, resp, err := f.dial("vsn=2.0.0&user="+id, nil)
			if err == nil || resp == nil || resp.StatusCode != want {
				t.Errorf("%s: %v, %v, want %d", id, resp, err, want)
			}
			if d := time.Since(since); d > 6*time.Second {
				t.Errorf("%s: refused after %v", id, d)
			}
		}
		close(release)
		// A client that hangs up ends the context.
		c := f.dialRaw()
		c.write([]byte(strings.Replace(f.upgradeRequest(""), "vsn=2.0.0", "vsn=2.0.0&user=wait", 1)))
		synctest.Wait()
		since := time.Now()
		_ = c.nc.Close()
		if err := <-ended; !errors.Is(err, context.Canceled) || time.Since(since) > 0 {
			t.Errorf("%v after %v", err, time.Since(since))
		}
	})
}

// TestCloseNamesWhatHangs, and other clients have ended long before.
func TestCloseNamesWhatHangs(t *testing.T) {
	for name, row := range map[string]struct {
		bad  *app
		want string
	}{
		"HandleIn": {&app{in: func(_ context.Context, ch *websocket.Channel, _ string, _ websocket.Payload) (websocket.Reply, error) {
			hang(ch)
			return websocket.Reply{}, nil
		}}, `running HandleIn for 4s on "bad:a"`},
		"HandleTerminate": {&app{terminate: func(_ context.Context, ch *websocket.Channel, _ error) { hang(ch) }},
			`running HandleTerminate for 3s on "bad:a"`},
		"task": {&app{in: func(_ context.Context, ch *websocket.Channel, _ string, _ websocket.Payload) (websocket.Reply, error) {
			return websocket.Reply{}, ch.Go(func(context.Context) { hang(ch) })
		}}, `running 1 tasks on "bad:a"`},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
				hanging = make(chan bool)
				var log bytes.Buffer
				f := begin(setup{
					endpoint: websocket.EndpointConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))},
					channels: map[string]*app{"bad:*": row.bad, "good:*": {}},
				})
				bad, good := f.connect("1"), f.connect("2")
				bad.join(1, "bad:a")
				good.join(1, "good:a")
				bad.send(`["1","2","bad:a","e",{}]`)
				pass(time.Second)
				since := time.Now()
				codes := make(chan string, 2)
				for _, p := range []*peer{bad, good} {
					go func() { codes <- fmt.Sprint(p.closed(), " ", time.Since(since)) }()
				}
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				err := f.endpoint.Close(ctx)
				if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), row.want) {
					t.Errorf("%v, want %s", err, row.want)
				}
				if d := time.Since(since); d != 3*time.Second {
					t.Errorf("closed after %v", d)
				}
				for range 2 {
					if got := <-codes; got != "1001 0s" {
						t.Errorf("a client was closed with %s", got)
					}
				}
				if got := log.String(); !strings.Contains(got, "handler does not end") || !strings.Contains(got, "topic=bad:a") {
					t.Errorf("logged %s", got)
				}
				close(hanging)
				synctest.Wait()
				if err := f.endpoint.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// hanging ends the handlers of TestCloseNamesWhatHangs.
var hanging chan bool

func hang(*websocket.Channel) { <-hanging }

// TestADeliveryToAConnectionThatIsDisconnected ends once: with the frame of
// another connection, or with the reason.
func TestADeliveryToAConnectionThatIsDisconnected(t *testing.T) {
	for _, other := range []bool{false, true} {
		t.Run(fmt.Sprintf("another %v", other), func(t *testing.T) {
			bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
				reports := make(chan websocket.Report, 10)
				f := begin(setup{socket: websocket.SocketConfig[user]{ID: usersID}, channels: one("room:*", &app{})})
				f.connect("1").join(1, "room:a") // reads nothing more
				var q *peer
				if other {
					q = f.connect("2")
					q.join(1, "room:a")
				}
				if err := f.endpoint.Deliver(t.Context(), "room:a", "e", map[string]int{"n": 0}, func(r websocket.Report) { reports <- r }); err != nil {
					t.Fatal(err)
				}
				if _, err := f.endpoint.Disconnect(t.Context(), "users:1"); err != nil {
					t.Fatal(err)
				}
				if other {
					q.expect(`[null,null,"room:a","e",{"n":0}]`)
				}
				pass(10 * time.Second)
				if len(reports) != 1 {
					t.Fatalf("%d reports", len(reports))
				}
				if r := <-reports; other != (r.Err == nil) || !other && !errors.Is(r.Err, websocket.ErrGone) {
					t.Errorf("reported %v", r.Err)
				}
			})
		})
	}
}

// TestAContextErrorOfTheEndIsNoCrash: a handler that returns the error of its context, which
// has ended with its channel, has not crashed.
func TestAContextErrorOfTheEndIsNoCrash(t *testing.T) {
	bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
		reasons := make(chan error, 1)
		f := begin(setup{socket: websocket.SocketConfig[user]{ID: usersID}, channels: one("room:*", &app{
			in: func(ctx context.Context, _ *websocket.Channel, event string, _ websocket.Payload) (websocket.Reply, error) {
				<-ctx.Done()
				if event == "panic" {
					panic(ctx.Err())
				}
				return websocket.Reply{}, fmt.Errorf("broadcast: %w", ctx.Err())
			},
			terminate: func(_ context.Context, _ *websocket.Channel, reason error) { reasons <- reason },
		})})
		for event, crashes := range map[string]bool{"wait": false, "panic": true} {
			p := f.connect("1")
			p.join(1, "room:a")
			p.send(`["1","2","room:a",%q,{}]`, event)
			synctest.Wait()
			if n, err := f.endpoint.Kick(t.Context(), "users:1", "room:a"); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			var crash *websocket.CrashError
			if err := <-reasons; errors.As(err, &crash) != crashes || !crashes && !errors.Is(err, websocket.ErrKicked) {
				t.Errorf("%s: the channel has ended with %v", event, err)
			}
		}
	})
}
