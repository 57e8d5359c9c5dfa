package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// wire is a connection of a simulated shopper: the Channels protocol, version 2, as the
// page's script speaks it. One goroutine reads.
type wire struct {
	conn *websocket.Conn
	got  func(topic, event string, payload json.RawMessage) // on the reading goroutine
	done chan struct{}                                      // closed at the end of the reading

	mu      sync.Mutex
	ref     int
	joins   map[string]string // join refs by topic
	replies map[string]chan reply
}

// reply is the response of the server to a message.
type reply struct {
	Status   string          `json:"status"`
	Response json.RawMessage `json:"response"`
}

// replyTimeout bounds the wait for a reply.
const replyTimeout = 20 * time.Second

var errNoReply = errors.New("no reply")

// dial connects with a socket token, as a page of the shop at base does. Without hc it takes
// a connection of its own.
func dial(ctx context.Context, hc *http.Client, base, path, tok string, got func(topic, event string, payload json.RawMessage)) (*wire, error) {
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(base, "http")+path+"/websocket?vsn=2.0.0", &websocket.DialOptions{
		HTTPClient:   hc,
		Subprotocols: []string{"phoenix", "base64url.bearer.phx." + base64.RawURLEncoding.EncodeToString([]byte(tok))},
	})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(1 << 20)
	w := &wire{conn: conn, got: got, done: make(chan struct{}), joins: make(map[string]string), replies: make(map[string]chan reply)}
	go w.read()
	return w, nil
}

// read passes on what comes until the connection ends.
func (w *wire) read() {
	defer close(w.done)
	defer w.conn.CloseNow()
	for {
		_, data, err := w.conn.Read(context.Background())
		if err != nil {
			return
		}
		var ref, topic, event string
		var payload json.RawMessage
		if json.Unmarshal(data, &[]any{new(any), &ref, &topic, &event, &payload}) != nil {
			continue
		}
		if event != "phx_reply" {
			w.got(topic, event, payload)
			continue
		}
		w.mu.Lock()
		waiting := w.replies[ref]
		delete(w.replies, ref)
		w.mu.Unlock()
		if waiting != nil {
			var r reply
			_ = json.Unmarshal(payload, &r) // then it has no status, and is an error
			waiting <- r
		}
	}
}

// join joins a topic.
func (w *wire) join(ctx context.Context, topic string, params any) error {
	r, err := w.ask(ctx, topic, "phx_join", params)
	if err == nil && r.Status != "ok" {
		err = fmt.Errorf("join of %s was refused: %s", topic, r.Response)
	}
	return err
}

// ask sends a message and waits for the reply.
func (w *wire) ask(ctx context.Context, topic, event string, payload any) (r reply, err error) {
	waiting := make(chan reply, 1)
	w.mu.Lock()
	w.ref++
	ref := strconv.Itoa(w.ref)
	if event == "phx_join" {
		w.joins[topic] = ref
	}
	join := w.joins[topic]
	w.replies[ref] = waiting
	w.mu.Unlock()
	message, err := json.Marshal([]any{join, ref, topic, event, payload})
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, replyTimeout)
	defer cancel()
	if err := w.conn.Write(ctx, websocket.MessageText, message); err != nil {
		return r, err
	}
	select {
	case r = <-waiting:
		return r, nil
	case <-w.done:
		return r, fmt.Errorf("%w: the connection has ended", errNoReply)
	case <-ctx.Done():
		return r, fmt.Errorf("%w: %s of %s", errNoReply, event, topic)
	}
}

// close leaves, and waits until nothing more is passed on.
func (w *wire) close() {
	_ = w.conn.CloseNow() // no more is read
	<-w.done
}
