package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/penstock-go/penstock/stage"
)

// childVariable makes the test binary run as the program itself, or as a
// broker, in a process that can be killed.
const childVariable = "PUSHPIPELINE_TEST_CHILD"

// children are what the test binary can run as. Each returns its exit code.
var children = map[string]func() int{
	"program": func() int { return command(os.Args[1:], nil, os.Stdout, os.Stderr) },
	"broker":  brokerProcess,
}

func TestMain(m *testing.M) {
	if child := children[os.Getenv(childVariable)]; child != nil {
		os.Exit(child())
	}
	stage.PoisonBatches(true)
	goleak.VerifyTestMain(m)
}

// testLog passes logs on to a test's output.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// lines keeps what was logged. Any goroutine may use it.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count returns how many times a text was logged.
func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// running is an app that a test has started.
type running struct {
	*app
	t    *testing.T
	log  *lines
	stop func() summary // ends it in order
	end  func() (summary, error)
}

// start runs the program inside the test's process until the test ends or stop
// is called.
func start(t *testing.T, args ...string) running {
	t.Helper()
	args = append([]string{"-addr", "127.0.0.1:0", "-debug-addr", "off", "-rate", "0", "-clients", "0", "-source", "memory", "-grace", "0"}, args...)
	var complaint bytes.Buffer
	cfg, err := parseConfig(args, nil, &complaint, &complaint)
	if err != nil {
		t.Fatalf("%v: %s", err, complaint.String())
	}
	kept := &lines{}
	log := slog.New(slog.NewTextHandler(io.MultiWriter(testLog{t}, kept), &slog.HandlerOptions{Level: slog.LevelWarn}))
	ctx, end := context.WithCancel(context.Background())
	a, err := newApp(cfg, log)
	if err != nil {
		end()
		t.Fatal(err)
	}
	type result struct {
		sum summary
		err error
	}
	done := make(chan result, 1)
	go func() {
		sum, err := a.run(ctx, context.Background(), func(status) {})
		done <- result{sum, err}
	}()
	select {
	case <-a.started:
	case r := <-done:
		end()
		t.Fatalf("it ended at once: %v", r.err)
	}
	finish := sync.OnceValues(func() (summary, error) {
		end()
		r := <-done
		if !r.sum.balanced() {
			t.Errorf("it does not add up: %+v", r.sum)
		}
		return r.sum, r.err
	})
	t.Cleanup(func() { _, _ = finish() })
	stop := func() summary {
		t.Helper()
		sum, err := finish()
		if err != nil {
			t.Errorf("the end was not orderly: %v", err)
		}
		return sum
	}
	return running{app: a, t: t, log: kept, stop: stop, end: finish}
}

func (r running) url(path string) string { return "http://" + r.listener.Addr().String() + path }

// post posts a body to /push and returns status and body.
func post(t testing.TB, target, body string) (int, string) {
	t.Helper()
	resp, err := http.Post(target, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, _ = b.ReadFrom(resp.Body)
	return resp.StatusCode, b.String()
}

// push posts one push for user with {"n":n} as its data.
func (r running) push(user string, n int) {
	r.t.Helper()
	if status, body := post(r.t, r.url("/push"), fmt.Sprintf(`{"user_id":%q,"data":{"n":%d}}`, user, n)); status != http.StatusAccepted {
		r.t.Fatalf("push: %d %s", status, body)
	}
}

// subscriber is a WebSocket client that has joined a user's channel.
type subscriber struct {
	t    testing.TB
	conn *websocket.Conn
}

// socketURL is where a client connects.
func socketURL(addr string) string { return "ws://" + addr + "/socket/websocket?vsn=2.0.0" }

// dial connects with a token.
func dial(ctx context.Context, addr, token string, client *http.Client) (*websocket.Conn, *http.Response, error) {
	return websocket.Dial(ctx, socketURL(addr), &websocket.DialOptions{Subprotocols: subprotocols(token), HTTPClient: client})
}

// join connects and joins user:ID.
func join(ctx context.Context, t testing.TB, addr, token, user string) (*subscriber, error) {
	conn, _, err := dial(ctx, addr, token, nil)
	if err != nil {
		return nil, err
	}
	s := &subscriber{t: t, conn: conn}
	if err := s.send(ctx, "1", "1", "user:"+user, "phx_join", struct{}{}); err != nil {
		conn.CloseNow()
		return nil, err
	}
	_, reply, err := conn.Read(ctx)
	if err != nil || !strings.Contains(string(reply), `"status":"ok"`) {
		conn.CloseNow()
		return nil, fmt.Errorf("join was answered %s, %w", reply, err)
	}
	return s, nil
}

func (s *subscriber) send(ctx context.Context, joinRef, ref, topic, event string, payload any) error {
	data, err := json.Marshal([]any{joinRef, ref, topic, event, payload})
	if err != nil {
		return err
	}
	return s.conn.Write(ctx, websocket.MessageText, data)
}

func (r running) join(user string) *subscriber {
	r.t.Helper()
	token, err := r.tokenFor(user)
	if err != nil {
		r.t.Fatal(err)
	}
	s, err := join(r.t.Context(), r.t, r.listener.Addr().String(), token, user)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { s.conn.CloseNow() })
	return s
}

// received is a push as a client gets it.
type received struct {
	Topic string `json:"-"`
	Data  struct {
		N int `json:"n"`
	} `json:"data"`
	At     float64 `json:"at"`
	Seq    uint64  `json:"seq"`
	Origin string  `json:"origin"`
}

// next returns the next push.
func (s *subscriber) next(ctx context.Context) (received, error) {
	for {
		_, data, err := s.conn.Read(ctx)
		if err != nil {
			return received{}, err
		}
		f, err := decodeFrame(data)
		if err != nil {
			return received{}, err
		}
		if f.event != event {
			continue
		}
		r := received{Topic: f.topic}
		return r, json.Unmarshal(f.payload, &r)
	}
}

// patience is how long a test waits for what must come, also on a machine that is busy with
// other work.
const patience = time.Minute

// within bounds what a test waits for.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
