package websocket_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// own is an app that lets a user join the topic of their own only.
func own(f *fixture) {
	f.socket.Channel("user:*", func(u user, topic string) websocket.Handler {
		return &app{join: func(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
			if topic != "user:"+u.ID {
				return nil, websocket.Refuse("unauthorized")
			}
			return nil, nil
		}, in: func(context.Context, *websocket.Channel, string, websocket.Payload) (websocket.Reply, error) {
			return websocket.OK(topic), nil
		}}
	})
}

// quoted is a string in JSON.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string can be encoded
	}
	return string(b)
}

func securityAuthorisation(t *testing.T) {
	f := start(t, setup{}, own)
	other := f.connect("2")
	other.join(1, "user:2")
	p := f.connect("1")
	p.join(1, "user:1")
	const unauthorized, unmatched = "unauthorized", "unmatched topic"
	for topic, reason := range map[string]string{
		"user:2":   unauthorized, // it is there
		"user:999": unauthorized, // it is not
		"user:*":   unmatched, "*": unmatched, "user:%": unmatched, "user:#": unmatched, "user:": unauthorized, "user": unmatched,
		"user:01": unauthorized, "user:1 ": unmatched, "user:1\x00": unmatched, "user:1\x00.2": unmatched,
		"USER:1": unmatched, "User:1": unmatched, "user:1.0": unauthorized, "user:\u0661": unmatched, "user:\uff11": unmatched, "us\u0435r:1": unmatched,
		"user:../user:2": unmatched, "../user:1": unmatched, "user:..": unauthorized, "user:1,user:2": unmatched, "user:1;user:2": unmatched,
		"user:" + strings.Repeat("1", 10<<10): unmatched, "": unmatched, "users_socket:1": unmatched, "phoenix": unmatched,
	} {
		p.send(`["7","8",%s,"phx_join",{}]`, quoted(topic))
		joinRef := map[bool]string{true: "null", false: `"7"`}[reason == unmatched]
		p.expect(fmt.Sprintf(`[%s,"8",%s,"phx_reply",{"response":{"reason":%q},"status":"error"}]`, joinRef, quoted(topic), reason))
		// Nor can anything be published there, with whatever join ref.
		for _, ref := range []string{"null", `"1"`, `"7"`} {
			p.send(`[%s,"9",%s,"say",{}]`, ref, quoted(topic))
			p.expect(fmt.Sprintf(`[null,"9",%s,"phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]`, quoted(topic)))
		}
	}
	p.send(`["1","9","user:1","say",{}]`)
	p.expect(`["1","9","user:1","phx_reply",{"response":"user:1","status":"ok"}]`)
	other.send(`["1","9","user:2","say",{}]`) // which has seen nothing of all this
	other.expect(`["1","9","user:2","phx_reply",{"response":"user:2","status":"ok"}]`)
}

// strange are names that no grammar of topics should let through.
var strange = map[string]string{
	"control": "room:\x01", "newline": "room:a\nb", "carriage return": "room:a\rb", "tab": "room:\t", "delete": "room:\x7f", "null": "room:\x00",
	"ANSI escape": "room:\x1b[31m", "percent": "room:%00", "right to left": "room:\u202eabc", "emoji": "room:\U0001f600", "no-break space": "room:\u00a0",
	"zero width": "room:\u200b", "space": "room: ", "slash": "room:a/b", "quote": `room:"`, "markup": "room:<b>", "C1 control": "room:\u0085", "separator": "room:\u2028",
}

func securityTopicGrammar(t *testing.T) {
	f := start(t, setup{channels: map[string]*app{"*": {}}})
	p := f.connect("1")
	for what, topic := range strange {
		p.send(`["1","2",%s,"phx_join",{}]`, quoted(topic))
		if got := p.read(); !strings.HasSuffix(got, `"phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]`) {
			t.Errorf("%s: %s", what, got)
		}
	}
	for _, topic := range []string{strings.Repeat("x", 256), strings.Repeat("room:", 100)} {
		p.send(`["1","2",%q,"phx_join",{}]`, topic)
		if got := p.read(); !strings.Contains(got, "unmatched topic") {
			t.Errorf("%d bytes: %s", len(topic), got)
		}
	}
	p.join(3, strings.Repeat("x", 255))
	p.join(4, "AZaz09_:.-")
	for _, topic := range []string{"room:\xff", "room:\xc0\x80", "room:\xed\xa0\x80", "room:\xf4\x90\x80\x80"} { // invalid UTF-8
		c := f.raw()
		c.frame(0x81, []byte(`["1","2","`+topic+`","phx_join",{}]`))
		if code := c.closeCode(); code != 1007 {
			t.Errorf("%q: closed with %d, want 1007", topic, code)
		}
		c = f.raw() // in a binary message it is the name that is wrong
		c.frame(0x82, append([]byte{0, 1, 1, byte(len(topic)), 8}, "12"+topic+"phx_join"...))
		if _, reply, err := c.next(); err != nil || !strings.HasPrefix(string(reply), `["1","2","room:`+"\ufffd") || !strings.Contains(string(reply), "malformed message") {
			t.Errorf("binary %q: %q, %v, want an error reply", topic, reply, err)
		}
	}

	// With a wider grammar other names come, which logs escape and cut.
	log := &rawLog{}
	wide := start(t, setup{
		endpoint: websocket.EndpointConfig{Logger: slog.New(log)},
		mount:    websocket.MountConfig{TopicAllowed: func(topic string) bool { return topic != "" }},
		channels: map[string]*app{"*": {}},
	})
	q := wide.connect("1")
	n := 0
	for _, topic := range strange {
		n++
		q.send(`["%d","%d",%s,"phx_join",{}]`, n, n, quoted(topic))
		if got := q.read(); !strings.Contains(got, `"status":"ok"`) {
			t.Errorf("%q with a wider grammar: %s", topic, got)
		}
	}
	q.send(`["0","0",%q,"phx_join",{}]`, strings.Repeat("é", 128)) // 256 bytes
	if got := q.read(); !strings.Contains(got, "unmatched topic") {
		t.Errorf("256 bytes: %s", got)
	}
	q.join(0, strings.Repeat("y", 255))
	logged := log.String()
	for _, r := range logged {
		if !strconv.IsPrint(r) && r != '\n' {
			t.Errorf("logged as it is: %q", r)
		}
	}
	if strings.Count(logged, "joined") != n+1 || strings.Count(logged, "\n") != strings.Count(logged, "level=") {
		t.Errorf("not one line each:\n%s", logged)
	}
	if !strings.Contains(logged, strings.Repeat("y", 128)+"…") || strings.Contains(logged, strings.Repeat("y", 129)) {
		t.Error("a long topic was not cut to 128 bytes")
	}
}

// rawLog is a handler of the worst kind: it writes values as they are.
type rawLog struct {
	mu  sync.Mutex
	out strings.Builder
}

func (l *rawLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *rawLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *rawLog) WithGroup(string) slog.Handler            { return l }

func (l *rawLog) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(&l.out, "level=%s %s", r.Level, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "stack" { // has lines of its own
			fmt.Fprintf(&l.out, " %s=%v", a.Key, a.Value.Resolve())
		}
		return true
	})
	l.out.WriteByte('\n')
	return nil
}

func (l *rawLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

// syncBuffer is a bytes.Buffer for many goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func securityLogs(t *testing.T) {
	breakers := []string{
		"x\n2026-01-01 ERROR admin logged in", `x","level":"ERROR","msg":"admin logged in`, "x\r\nlevel=ERROR msg=\"admin logged in\"",
		"a:1|c\nb", "|#tag", "x level=ERROR", "\x1b[2Jx", "{{.}}", "%s%n",
	}
	text, asJSON, raw := &syncBuffer{}, &syncBuffer{}, &rawLog{}
	options := &slog.HandlerOptions{Level: slog.LevelDebug}
	var recorders []*counts
	for name, h := range map[string]slog.Handler{"text": slog.NewTextHandler(text, options), "json": slog.NewJSONHandler(asJSON, options), "raw": raw} {
		t.Run(name, func(t *testing.T) {
			f := start(t, setup{
				endpoint: websocket.EndpointConfig{Logger: slog.New(h), Limits: websocket.EndpointLimits{LogRate: 100}},
				mount:    websocket.MountConfig{TopicAllowed: func(string) bool { return true }},
				channels: map[string]*app{"*": {}},
			})
			recorders = append(recorders, f.metrics)
			p := f.connect("payload-of-params")
			for n, b := range breakers {
				p.send(`["%d","%d",%s,"phx_join",{"hush":"payload-of-join"}]`, n, n, quoted(b))
				p.read()
				p.send(`["%d","x",%s,%s,{"hush":"payload-of-event"}]`, n, quoted(b), quoted(b))
				p.read()
				query := "vsn=" + url.QueryEscape(b) + "&" + url.QueryEscape(b) + "=" + url.QueryEscape(b)
				answer(f.endpoint, ask("GET", "/socket/websocket?"+query, set("Origin", b)))
				answer(f.endpoint, ask("GET", "/socket/websocket?vsn=2.0.0&"+url.QueryEscape(b)+"=x&x="+url.QueryEscape(b), nil))
			}
			_ = p.ws.CloseNow()
		})
	}
	for name, out := range map[string]string{"text": text.String(), "json": asJSON.String(), "raw": raw.String()} {
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		for _, line := range lines {
			var v map[string]any
			switch {
			case name == "json" && json.Unmarshal([]byte(line), &v) != nil,
				name == "text" && !strings.HasPrefix(line, "time="),
				name == "raw" && !strings.HasPrefix(line, "level="),
				strings.HasPrefix(line, "2026-01-01 ERROR"),
				name == "json" && v["level"] == "ERROR" && v["msg"] == "admin logged in",
				strings.ContainsAny(line, "\r\x1b"), strings.Contains(line, "payload-of-join"), strings.Contains(line, "payload-of-event"):
				t.Errorf("%s: %q", name, line)
			}
		}
		if len(lines) < 3*len(breakers) {
			t.Errorf("%s: %d lines", name, len(lines))
		}
	}
	for _, c := range recorders { // no name or tag comes from a client
		for key := range c.values {
			if strings.ContainsAny(key, "\n|\r") || strings.Contains(key, "payload") || strings.Contains(key, "tag,") {
				t.Errorf("metric %q", key)
			}
		}
	}

	// A flood of refusals is a bounded number of lines.
	flood := &syncBuffer{}
	e := newEndpoint(t, websocket.EndpointConfig{Logger: slog.New(slog.NewTextHandler(flood, nil)), Limits: websocket.EndpointLimits{LogRate: 10}}, websocket.SocketConfig[user]{}, websocket.MountConfig{})
	const tries = 10_000
	for range tries {
		answer(e, ask("GET", "/socket/websocket?vsn=9", nil))
	}
	if n := strings.Count(flood.String(), "\n"); n < 1 || n > 10 { // one a second
		t.Errorf("%d lines for %d refusals", n, tries)
	}
}
