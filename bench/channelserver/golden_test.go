package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/penstock-go/penstock/token"
)

// TestRecordedFrames replays what was recorded from a Phoenix application and
// compares the server's replies byte by byte.
func TestRecordedFrames(t *testing.T) {
	data, err := os.ReadFile("testdata/phoenix_frames.txt")
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t)
	seen := 0
	for _, section := range strings.Split(string(data), "## ")[1:] {
		name, script, _ := strings.Cut(section, "\n")
		if notHere[name] != "" {
			continue
		}
		seen++
		t.Run(name, func(t *testing.T) {
			if instead, ok := different[name]; ok {
				script = instead
			}
			s.replay(t, name, script)
		})
	}
	if seen != 36 {
		t.Errorf("replayed %d sections, want 36", seen)
	}
}

// notHere are the sections whose steps need more than one plain connection;
// each has a test of its own.
var notHere = map[string]string{
	"101 joins":                        "TestTooManyJoins",
	"big frame 11MB":                   "TestBigFrame",
	"idle timeout (2s socket)":         "TestIdleTimeout",
	"idle timeout while server pushes": "TestIdleTimeout",
	"presence":                         "TestRecordedPresence",
}

// different are the sections where we differ on purpose.
var different = map[string]string{
	// The recorded application had no error handler for an expired token.
	"expired 401 handler": `http 401 {"x":1}
   body "expired"`,
	// Phoenix may lose the reply to a leave that a join follows at once, and
	// sends phx_close after the new join's reply. We finish the leave first.
	"leave then join immediately": `
   -> ["1","1","room:a","phx_join",{}]
   -> ["1","2","room:a","phx_leave",{}]
   -> ["3","3","room:a","phx_join",{}]
   <- ["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]
   <- ["1","2","room:a","phx_reply",{"response":{},"status":"ok"}]
   <- ["1","1","room:a","phx_close",{}]
   <- ["3","3","room:a","phx_reply",{"response":{},"status":"ok"}]
   closed 1000 ""`,
}

type testServer struct {
	*server
	url string // ws://…
}

func startServer(t *testing.T) *testServer {
	t.Helper()
	return startWith(t, options{})
}

func startWith(t testing.TB, o options) *testServer {
	t.Helper()
	o.secret, o.logger = strings.Repeat("phxbench", 8), slog.New(slog.DiscardHandler)
	s, err := newServer(o)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s.mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.endpoint.Close(ctx); err != nil {
			t.Error(err)
		}
		h.Close()
	})
	return &testServer{server: s, url: "ws" + strings.TrimPrefix(h.URL, "http")}
}

func (s *testServer) token(t testing.TB, id string, age time.Duration) string {
	t.Helper()
	tok, err := s.tokens.Sign(salt, id, token.SignConfig{SignedAt: time.Now().Add(-age)})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func (s *testServer) dial(t *testing.T, path, query string, o *websocket.DialOptions) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, resp, err := websocket.Dial(ctx, s.url+path+"?"+query, o)
	if c != nil {
		c.SetReadLimit(1 << 20)
		t.Cleanup(func() { _ = c.CloseNow() })
	}
	return c, resp, err
}

// setup says how a section connects, where it is not the usual way.
func (s *testServer) setup(t *testing.T, name string) (path, query string, o *websocket.DialOptions) {
	path, o = "/socket/websocket", &websocket.DialOptions{HTTPHeader: http.Header{}}
	vsn, tok := "2.0.0", s.token(t, "1", 0)
	switch name {
	case "bad token":
		tok = "bad"
	case "expired 401 handler":
		tok = s.token(t, "1", 86_401*time.Second)
	case "unknown path":
		path = "/nothing/websocket"
	case "vsn 3":
		vsn = "3.0.0"
	case "vsn 2.1.0", "vsn 2.0.5":
		vsn = strings.TrimPrefix(name, "vsn ")
	case "vsn garbage":
		vsn = "garbage"
	case "vsn 2.0 (two parts)":
		vsn = "2.0"
	case "no vsn => V1":
		vsn = ""
	case "origin bad":
		o.HTTPHeader.Set("Origin", "http://evil.example")
	case "origin localhost other port":
		o.HTTPHeader.Set("Origin", "https://localhost:9999")
	case "subprotocol auth token":
		enc := base64.StdEncoding.EncodeToString([]byte(tok))
		o.Subprotocols = []string{"phoenix", "base64url.bearer.phx." + strings.TrimRight(enc, "=")}
		tok = ""
	case "subprotocol unknown":
		o.Subprotocols = []string{"nonsense"}
	}
	if tok != "" {
		query = "token=" + tok
	}
	if vsn != "" {
		query += "&vsn=" + vsn
	}
	return path, query, o
}

func (s *testServer) replay(t *testing.T, name, script string) {
	path, query, o := s.setup(t, name)
	c, resp, err := s.dial(t, path, query, o)
	status := 101
	var body []byte
	if err != nil {
		if resp == nil {
			t.Fatal(err)
		}
		status = resp.StatusCode
		body = make([]byte, 64)
		n, _ := resp.Body.Read(body)
		body = body[:n]
	}
	joined := 0
	for _, line := range strings.Split(script, "\n") {
		line = strings.TrimSpace(line)
		verb, rest, _ := strings.Cut(line, " ")
		if status == 101 && verb == "http" || status != 101 && verb != "http" && verb != "body" && verb != "" {
			t.Fatalf("status %d at line %q", status, line)
		}
		switch verb {
		case "http":
			if want, _, _ := strings.Cut(rest, " "); want != strconv.Itoa(status) {
				t.Fatalf("status %d, want %s", status, want)
			}
		case "body":
			want, err := strconv.Unquote(rest)
			if err != nil {
				t.Fatal(err)
			}
			// Where Phoenix refuses without a word, the kind of refusal is named.
			if got := strings.TrimSpace(string(body)); got != want && (want != "" || got == "" || len(got) > 64) {
				t.Errorf("body %q, want %q", got, want)
			}
		case "proto":
			if c.Subprotocol() != rest {
				t.Errorf("subprotocol %q, want %q", c.Subprotocol(), rest)
			}
		case "->":
			send(t, c, rest)
		case "<-":
			receive(t, c, rest)
			joined++
			if name == "force disconnect" {
				s.post(t, "/disconnect?user=1")
			}
		case "pong":
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			done := c.CloseRead(ctx)
			if err := c.Ping(ctx); err != nil {
				t.Error(err)
			}
			_ = done
			cancel()
		case "closed":
			if name != "ws ping" {
				closed(t, c, name, rest)
			}
		case "":
		default:
			t.Fatalf("line not understood: %q", line)
		}
	}
}

func send(t *testing.T, c *websocket.Conn, line string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	kind, data := websocket.MessageText, []byte(line)
	if rest, ok := strings.CutPrefix(line, "BIN "); ok {
		kind = websocket.MessageBinary
		data = unhex(t, rest)
	}
	if err := c.Write(ctx, kind, data); err != nil {
		t.Fatalf("sending %s: %v", line, err)
	}
}

func unhex(t *testing.T, line string) []byte {
	t.Helper()
	digits, _, _ := strings.Cut(line, " ")
	data, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func receive(t *testing.T, c *websocket.Conn, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	kind, data, err := c.Read(ctx)
	if err != nil {
		t.Fatalf("waiting for %s: %v", want, err)
	}
	if rest, ok := strings.CutPrefix(want, "BIN "); ok {
		if kind != websocket.MessageBinary || !bytes.Equal(data, unhex(t, rest)) {
			t.Fatalf("got %v %x\nwant BIN %s", kind, data, rest)
		}
		return
	}
	if kind != websocket.MessageText || string(data) != want {
		t.Fatalf("got  %v %s\nwant %s", kind, data, want)
	}
}

// closed expects the close code of the server, or closes as the recorded client
// did.
func closed(t *testing.T, c *websocket.Conn, name, rest string) {
	t.Helper()
	want, _, _ := strings.Cut(rest, " ")
	if want == "1000" {
		code := websocket.StatusNormalClosure
		if name == "client close 4000" {
			code = 4000
		}
		if err := c.Close(code, ""); err != nil && websocket.CloseStatus(err) != websocket.StatusNormalClosure {
			t.Errorf("closing: %v", err)
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, data, err := c.Read(ctx)
	if err == nil {
		t.Fatalf("got %s, want a close", data)
	}
	if got := fmt.Sprint(int(websocket.CloseStatus(err))); got != want {
		t.Errorf("closed with %s (%v), want %s", got, err, want)
	}
}

func (s *testServer) post(t *testing.T, path string) {
	t.Helper()
	resp, err := http.Post("http"+strings.TrimPrefix(s.url, "ws")+path, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %s", path, resp.Status)
	}
}
