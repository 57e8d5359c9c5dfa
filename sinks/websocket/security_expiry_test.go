package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// session is the state of a socket whose credentials expire.
type session struct {
	user
	until time.Time
}

func securityExpiry(t *testing.T) {
	type rig struct {
		*fixture
		ends    chan error // why channels ended
		renewed chan session
		begin   time.Time
	}
	// run gives f an endpoint where credentials are good for a minute.
	run := func(t *testing.T, grace time.Duration, test func(t *testing.T, r *rig)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			r := &rig{ends: make(chan error, 10), renewed: make(chan session, 10), begin: time.Now()}
			recorded := &counts{values: map[string]float64{}}
			e, err := websocket.NewEndpoint(websocket.EndpointConfig{Metrics: recorded})
			if err != nil {
				t.Fatal(err)
			}
			s := websocket.NewSocket(websocket.SocketConfig[session]{
				Connect: func(_ context.Context, c *websocket.ConnectRequest) (session, error) {
					until := time.Now().Add(time.Minute)
					if c.Params.Get("user") == "late" {
						until = time.Now()
					}
					return session{user{c.Params.Get("user")}, until}, nil
				},
				ID:      func(s session) string { return "users_socket:" + s.ID },
				Expires: func(s session) time.Time { return s.until },
				Renew: func(ctx context.Context, s session, p websocket.Payload) (session, error) {
					var msg struct{ User, Do string }
					if err := p.Decode(&msg); err != nil {
						return s, err
					}
					switch msg.Do {
					case "panic":
						panic("renew")
					case "late":
						return session{user{msg.User}, time.Now()}, nil
					}
					return session{user{msg.User}, time.Now().Add(time.Minute)}, nil
				},
			})
			s.Channel("user:*", func(u session, _ string) websocket.Handler { return &renewing{ends: r.ends, renewed: r.renewed} })
			if err := e.Mount("/socket", s, websocket.MountConfig{Timeouts: websocket.Timeouts{ExpiryGrace: grace, Idle: time.Hour}}); err != nil {
				t.Fatal(err)
			}
			r.fixture = serve(t, e)
			r.metrics = recorded
			test(t, r)
		})
	}
	const notRenewed = `{"response":{"reason":"not renewed"},"status":"error"}`
	t.Run("let it expire", func(t *testing.T) {
		run(t, 25*time.Second, func(t *testing.T, r *rig) {
			if _, resp, _ := r.dial("vsn=2.0.0&user=late", nil); resp == nil || resp.StatusCode != 403 {
				t.Errorf("expired on arrival: %v", resp)
			}
			p := r.connect("1")
			p.join(1, "user:1")
			if code := p.closedWithin(time.Hour); code != 4001 {
				t.Errorf("closed with %d, want 4001", code)
			}
			if d := time.Since(r.begin); d < 85*time.Second || d > 86*time.Second {
				t.Errorf("closed after %v, want 60 s and 25 s of grace", d)
			}
			if err := <-r.ends; !errors.Is(err, websocket.ErrExpired) {
				t.Errorf("the channel ended with %v", err)
			}
		})
	})
	t.Run("renew", func(t *testing.T) {
		run(t, 0, func(t *testing.T, r *rig) {
			p := r.connect("1")
			p.join(1, "user:1")
			p.join(2, "user:private")
			members := 2
			for n := range 5 {
				pass(50 * time.Second)
				p.send(`[null,"%d","phoenix","renew",{"User":"1"}]`, n)
				got := []string{p.read()}
				want := []string{fmt.Sprintf(`[null,"%d","phoenix","phx_reply",{"response":{},"status":"ok"}]`, n)}
				for range members {
					<-r.renewed
				}
				if n == 0 { // the other channel may not stay
					got = append(got, p.read())
					want = append(want, `["2","2","user:private","phx_close",{}]`)
					if err := <-r.ends; !errors.Is(err, websocket.ErrStopped) {
						t.Errorf("the channel ended with %v", err)
					}
					members--
				}
				slices.Sort(got)
				if slices.Sort(want); !slices.Equal(got, want) {
					t.Errorf("got  %q\nwant %q", got, want)
				}
			}
			last := time.Now()
			if code := p.closedWithin(time.Hour); code != 4001 {
				t.Errorf("closed with %d, want 4001", code)
			}
			if d := time.Since(last); d < 70*time.Second || d > 71*time.Second {
				t.Errorf("closed after %v, want 60 s and 10 s of grace", d)
			}
		})
	})
	t.Run("refusals", func(t *testing.T) {
		run(t, 0, func(t *testing.T, r *rig) {
			p := r.connect("1")
			p.join(1, "user:1")
			for _, payload := range []string{`{"User":"2"}`, `{"User":"1","Do":"late"}`, `{"User":"1","Do":"panic"}`, `"garbage"`, `{}`} {
				p.send(`[null,"5","phoenix","renew",%s]`, payload)
				p.expect(`[null,"5","phoenix","phx_reply",` + notRenewed + `]`)
			}
			if len(r.renewed) > 0 {
				t.Error("a handler heard of a refusal")
			}
			// Each costs its user the connection later: an operator can see why.
			if n := r.metrics.get("websocket.rejected,reason:renew"); n != 5 {
				t.Errorf("counted %v refusals, want 5", n)
			}
			if code := p.closedWithin(time.Hour); code != 4001 || time.Since(r.begin) > 71*time.Second {
				t.Errorf("closed with %d after %v", code, time.Since(r.begin))
			}
		})
	})
	t.Run("renew after the close", func(t *testing.T) {
		run(t, 0, func(t *testing.T, r *rig) {
			c := r.raw()
			if err := c.nc.SetDeadline(time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			pass(70*time.Second - time.Millisecond)
			var group sync.WaitGroup
			group.Go(func() { // it still reads
				if code := c.closeCode(); code != 4001 {
					t.Errorf("closed with %d", code)
				}
			})
			pass(2 * time.Millisecond)
			c.frame(0x81, []byte(`[null,"1","phoenix","renew",{"User":""}]`))
			if group.Wait(); len(r.renewed) > 0 {
				t.Error("renewed after the close")
			}
		})
	})
	t.Run("revoke while publishing", func(t *testing.T) {
		run(t, 0, func(t *testing.T, r *rig) {
			mine, other, theirs := r.connect("1"), r.connect("1"), r.connect("2")
			mine.join(1, "user:all")
			other.join(1, "user:all")
			theirs.join(1, "user:all")
			ctx, stop := context.WithCancel(context.Background())
			var group sync.WaitGroup
			for range 4 {
				group.Go(func() {
					for ctx.Err() == nil {
						if _, err := r.endpoint.Broadcast(ctx, "user:all", "e", nil); err != nil && ctx.Err() == nil {
							t.Error(err)
						}
						pass(time.Millisecond)
					}
				})
			}
			group.Go(func() { _ = theirs.closed() }) // reads
			for _, p := range []*peer{mine, other} {
				group.Go(func() {
					if code := p.closed(); code != 1001 {
						t.Errorf("closed with %d, want 1001", code)
					}
				})
			}
			pass(100 * time.Millisecond)
			if n, err := r.endpoint.Disconnect(ctx, "users_socket:1"); n != 2 || err != nil {
				t.Errorf("%d connections, %v", n, err)
			}
			for range 2 {
				if err := <-r.ends; !errors.Is(err, websocket.ErrDisconnected) {
					t.Errorf("the channel ended with %v", err)
				}
			}
			if n, err := r.endpoint.Broadcast(ctx, "user:all", "e", nil); n != 1 || err != nil {
				t.Errorf("%d receivers are left, %v", n, err)
			}
			stop()
			_ = theirs.ws.CloseNow()
			group.Wait()
		})
	})
	// Without Renew there is no such event, as with Phoenix.
	f := start(t, setup{channels: map[string]*app{"room:*": {}}})
	p := f.connect("1")
	p.send(`[null,"1","phoenix","renew",{}]`)
	p.expect(`[null,"1","phoenix","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]`)
}

// renewing is a handler that decides again: topics called private are for the
// first credentials only.
type renewing struct {
	ends    chan error
	renewed chan session
}

func (h *renewing) HandleJoin(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
	return nil, nil
}

func (h *renewing) HandleRenew(_ context.Context, ch *websocket.Channel, state any) error {
	h.renewed <- state.(session)
	if ch.Topic() == "user:private" {
		return websocket.ErrStopped
	}
	return nil
}

func (h *renewing) HandleTerminate(_ context.Context, _ *websocket.Channel, reason error) {
	h.ends <- reason
}
