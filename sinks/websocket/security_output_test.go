package websocket_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/sinks/websocket"
)

const script = `<script>alert(1)</script>&`

func securityOutput(t *testing.T) {
	f := start(t, setup{
		mount: websocket.MountConfig{LongPoll: &websocket.LongPollConfig{}},
		channels: map[string]*app{"room:*": {in: func(_ context.Context, _ *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
			var said string
			if err := p.Decode(&said); err != nil {
				return websocket.Reply{}, err
			}
			return websocket.Fail(map[string]string{"reason": "not understood: " + said + event}), nil
		}, join: func(_ context.Context, ch *websocket.Channel, p websocket.Payload) (any, error) {
			var said string
			if err := p.Decode(&said); err == nil {
				return nil, websocket.Refuse(said)
			}
			return nil, nil
		}}},
	})
	const inert = `\u003cscript\u003ealert(1)\u003c/script\u003e\u0026`
	p := f.connect("1")
	p.send(`["1","2","room:a","phx_join",%q]`, script)
	p.expect(`["1","2","room:a","phx_reply",{"response":{"reason":"` + inert + `"},"status":"error"}]`)
	p.join(1, "room:a")
	p.send(`["1","2","room:a",%q,%q]`, script, script)
	p.expect(`["1","2","room:a","phx_reply",{"response":{"reason":"not understood: ` + inert + inert + `"},"status":"error"}]`)
	p.send(`["1","2",%q,"phx_join",{}]`, script)
	p.expect(`[null,"2","` + inert + `","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]`)
	if _, err := f.endpoint.Broadcast(t.Context(), "room:a", script, map[string]string{script: script}); err != nil {
		t.Fatal(err)
	}
	p.expect(`[null,null,"room:a","` + inert + `",{"` + inert + `":"` + inert + `"}]`)

	// Pages of errors are text, and say nothing of what was asked for.
	e := newEndpoint(t, websocket.EndpointConfig{}, websocket.SocketConfig[user]{Connect: func(context.Context, *websocket.ConnectRequest) (user, error) {
		return user{}, &websocket.StatusError{Status: 429, Body: "slow down"}
	}}, websocket.MountConfig{})
	for _, target := range []string{
		"/socket/websocket?" + "x=%3Cscript%3E", "/%3Cscript%3E", "/socket/websocket?vsn=%3Cscript%3E", "/socket/longpoll?token=%3Cscript%3E",
	} {
		for _, h := range []http.Handler{f.endpoint, e} {
			for _, method := range []string{"GET", "POST", "TRACE"} {
				w := httptest.NewRecorder()
				r := ask(method, target, header("Origin", "http://evil.com", "X-Script", script))
				h.ServeHTTP(w, r)
				kind := w.Header().Get("Content-Type")
				if !strings.HasPrefix(kind, "text/plain") && !strings.HasPrefix(kind, "application/json") || w.Header().Get("X-Content-Type-Options") != "nosniff" || strings.Contains(w.Body.String(), "script") {
					t.Errorf("%s %s: %v %s", method, target, w.Header(), w.Body)
				}
			}
		}
	}
}

// bad is a payload that cannot be encoded.
type bad struct{ how string }

func (b bad) MarshalJSON() ([]byte, error) {
	if b.how == "panic" {
		panic("secret of the marshaller")
	}
	return nil, errors.New("secret of the marshaller")
}

func securityPanics(t *testing.T) {
	logs := &syncBuffer{}
	const secret = "secret of the handler"
	a := &app{intercept: []string{"out"}}
	a.join = func(_ context.Context, ch *websocket.Channel, p websocket.Payload) (any, error) {
		switch string(p.Data) {
		case `"panic"`:
			panic(secret)
		case `"error"`:
			return nil, errors.New(secret)
		case `"nil"`:
			var u *user
			return u.ID, nil
		case `"marshal"`:
			return bad{"panic"}, nil
		}
		return nil, nil
	}
	a.in = func(_ context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
		switch event {
		case "panic":
			panic(secret)
		case "error":
			return websocket.Reply{}, errors.New(secret)
		case "nil":
			var u *user
			return websocket.OK(u.ID), nil
		case "marshal":
			return websocket.OK(bad{"panic"}), nil
		case "marshal error":
			return websocket.OK(bad{}), nil
		case "push":
			return websocket.Reply{}, ch.Push("e", bad{"panic"})
		case "info":
			return websocket.OK(nil), ch.Send("panic")
		}
		var v struct{ A int }
		if err := p.Decode(&v); err != nil { // of a client's null
			return websocket.Fail("no object"), nil
		}
		return websocket.OK(nil), nil
	}
	a.out = func(context.Context, *websocket.Channel, string, websocket.Payload) error { panic(secret) }
	a.info = func(context.Context, *websocket.Channel, any) error { panic(secret) }
	a.terminate = func(context.Context, *websocket.Channel, error) { panic(secret) }
	f := start(t, setup{
		endpoint: websocket.EndpointConfig{Logger: slog.New(slog.NewTextHandler(logs, nil)), Limits: websocket.EndpointLimits{LogRate: 1000}},
		mount:    websocket.MountConfig{AuthToken: true},
		channels: map[string]*app{"bad:*": a, "good:*": {}},
		socket: websocket.SocketConfig[user]{Connect: func(_ context.Context, r *websocket.ConnectRequest) (user, error) {
			if r.Params.Get("do") == "panic" {
				panic(secret)
			}
			return user{}, nil
		}},
	}, func(f *fixture) {
		f.socket.Channel("new:*", func(user, string) websocket.Handler { panic(secret) })
		f.socket.Channel("none:*", func(user, string) websocket.Handler { return nil })
	})
	bystander := f.connect("2")
	bystander.join(1, "good:a")
	p := f.connect("1")
	p.join(1, "good:a")
	seen := ""
	read := func() string { m := p.read(); seen += m; return m }
	for _, join := range []string{`"bad:a","phx_join","panic"`, `"bad:a","phx_join","error"`, `"bad:a","phx_join","nil"`, `"bad:a","phx_join","marshal"`, `"new:a","phx_join",{}`, `"none:a","phx_join",{}`} {
		p.send(`["2","2",%s]`, join)
		if m := read(); !strings.HasSuffix(m, `"phx_reply",{"response":{"reason":"join crashed"},"status":"error"}]`) {
			t.Errorf("%s: %s", join, m)
		}
	}
	for n, event := range []string{"panic", "error", "nil", "marshal", "marshal error", "push", "info", "out"} {
		p.join(n+10, "bad:a")
		if event == "out" {
			if _, err := f.endpoint.Broadcast(t.Context(), "bad:a", "out", nil); err != nil {
				t.Fatal(err)
			}
		} else {
			p.send(`["%d","x","bad:a",%q,{}]`, n+10, event)
		}
		m := read()
		if event == "info" {
			m = read() // the reply came first
		}
		if !strings.Contains(m, `"bad:a","phx_error",{"reason":"channel_crash"}]`) {
			t.Errorf("%s: %s", event, m)
		}
	}
	p.join(50, "bad:a")
	for _, payload := range []string{"null", "5", `""`} {
		p.send(`["50","x","bad:a","any",%s]`, payload)
		if m := read(); !strings.Contains(m, `"phx_reply"`) {
			t.Errorf("payload %s: %s", payload, m)
		}
	}
	if _, err := f.endpoint.Broadcast(t.Context(), "good:a", "e", bad{"panic"}); err == nil {
		t.Error("the broadcaster does not hear of its payload")
	}
	_, resp, _ := f.dial("vsn=2.0.0&do=panic", nil)
	if resp == nil || resp.StatusCode != 403 {
		t.Errorf("a panic in Connect: %v", resp)
	}
	for _, q := range []*peer{p, bystander} { // this connection goes on, as do the others
		q.send(`["1","9","good:a","say",{}]`)
		q.expect(`["1","9","good:a","phx_reply",{"response":{},"status":"ok"}]`)
	}
	if strings.Contains(seen, "secret") || strings.Contains(seen, "goroutine") || strings.Contains(seen, ".go:") {
		t.Errorf("the client was told: %s", seen)
	}
	if n := strings.Count(logs.String(), "secret of the handler"); n < 8 || !strings.Contains(logs.String(), "security_output_test.go:") {
		t.Errorf("%d crashes were logged:\n%.3000s", n, logs.String())
	}
}
