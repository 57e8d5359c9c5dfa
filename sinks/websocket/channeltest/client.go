package channeltest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// Timeout is how long assertions wait.
const Timeout = 5 * time.Second

// Client is a client connected to an endpoint.
type Client struct {
	t    testing.TB
	nc   net.Conn
	in   *gate // reads from nc
	refs int   // the last ref; owned by the test's goroutine

	mu      sync.Mutex    // guards the fields up to ended
	inbox   []message     // what came and no assertion has taken, in order
	arrived chan struct{} // closed and replaced when a message came or the connection ended
	code    int           // of the close frame; -1 for none
	ended   bool
	reader  sync.WaitGroup // the goroutine that runs read

	discarded atomic.Pointer[atomic.Int64] // counts what comes; nil before Discard
}

// message is one message of the server. A ref that is null is "".
type message struct {
	joinRef, ref string
	topic, event string
	payload      json.RawMessage
	binary       []byte // the payload of a binary message; nil in a text
	status       string // of a binary reply only
}

// Connect connects to the socket mounted at the path of target, whose query holds
// the parameters. The client speaks protocol version 2, and
// sends vsn=2.0.0 unless target names another one. header holds names and values in
// turn. A refusal fails the test.
func Connect(t testing.TB, endpoint *websocket.Endpoint, target string, header ...string) *Client {
	t.Helper()
	c, status, body := dial(t, endpoint, target, header)
	if c == nil {
		t.Fatalf("connect: status %d %q", status, body)
	}
	return c
}

// Refused connects and returns the status and body of the refusal. If the
// connection is accepted the test fails. header holds names and values in turn.
func Refused(t testing.TB, endpoint *websocket.Endpoint, target string, header ...string) (status int, body string) {
	t.Helper()
	c, status, body := dial(t, endpoint, target, header)
	if c != nil {
		t.Fatal("connect: accepted")
	}
	return status, body
}

// dial connects. The client is nil if the endpoint refuses.
func dial(t testing.TB, endpoint *websocket.Endpoint, target string, header []string) (*Client, int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://channeltest"+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	q := r.URL.Query()
	if q.Get("vsn") == "" {
		q.Set("vsn", "2.0.0")
	}
	r.URL.RawQuery = q.Encode()
	// Not an IP address, so that all clients count as one address in the
	// endpoint's limits.
	r.RemoteAddr = "channeltest:1"
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket",
		"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		r.Header.Set(name, value)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	// The handler runs in a goroutine, because the pipe has no buffer: the
	// response to the upgrade is written only while it is read here.
	w := newTaker()
	served := make(chan struct{})
	go func() {
		defer close(served)
		endpoint.ServeHTTP(w, r)
	}()
	select {
	case <-served:
		// An upgrade is written to the pipe, and read below, before ServeHTTP
		// returns: this is a refusal.
		return nil, w.status, w.body.String()
	case <-w.taken:
	}
	if err := skipHead(w.client); err != nil {
		t.Fatalf("connect: %v", err)
	}
	// ServeHTTP has returned: a test in a bubble of synctest can wait for idle
	// goroutines from now on.
	<-served
	c := &Client{t: t, nc: w.client, in: newGate(w.client), arrived: make(chan struct{}), code: -1}
	c.reader.Go(c.read)
	t.Cleanup(c.hangUp)
	return c, 0, ""
}

// hangUp closes the pipe and waits for the goroutine that reads, also for one that
// is paused. It is idempotent.
func (c *Client) hangUp() {
	_ = c.nc.Close() // the end of the test
	c.in.resume()
	c.reader.Wait()
}

// read collects the messages of the server, until the connection ends. It runs in
// a goroutine of its own.
func (c *Client) read() {
	defer func() {
		c.mu.Lock()
		c.ended = true
		c.signal()
		c.mu.Unlock()
	}()
	var payload []byte
	for {
		h, err := ws.ReadHeader(c.in)
		if err != nil {
			return
		}
		// Frames of a server are not masked (RFC 6455, 5.1), and this one never
		// fragments a message.
		payload = slices.Grow(payload[:0], int(h.Length))[:h.Length]
		if _, err := io.ReadFull(c.in, payload); err != nil {
			return
		}
		switch h.OpCode {
		case ws.OpClose:
			// The response repeats the code (RFC 6455, 5.5.1). The server then
			// closes the connection.
			code, _ := ws.ParseCloseFrameData(payload)
			c.mu.Lock()
			c.code = int(code)
			c.mu.Unlock()
			_ = ws.WriteFrame(c.nc, ws.MaskFrame(ws.NewCloseFrame(payload))) // the server may be gone
			_ = c.nc.Close()
			return
		case ws.OpText, ws.OpBinary:
			if n := c.discarded.Load(); n != nil {
				n.Add(1)
				continue
			}
			m, err := parse(bytes.Clone(payload), h.OpCode == ws.OpBinary)
			if err != nil {
				c.t.Errorf("message of the server: %v", err)
				return
			}
			c.mu.Lock()
			c.inbox = append(c.inbox, m)
			c.signal()
			c.mu.Unlock()
		}
	}
}

// signal wakes all callers of await. The mutex is held.
func (c *Client) signal() {
	close(c.arrived)
	c.arrived = make(chan struct{})
}

// await takes the first message that matches, and leaves the others in their order.
// It returns false if none comes within d, or before the connection ends. match is
// called with the mutex held, and may change its argument.
func (c *Client) await(d time.Duration, match func(m *message) bool) (message, bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		c.mu.Lock()
		for i := range c.inbox {
			if m := c.inbox[i]; match(&m) {
				c.inbox = append(c.inbox[:i:i], c.inbox[i+1:]...)
				c.mu.Unlock()
				return m, true
			}
		}
		// Read under the same lock as the inbox, so that no message is missed
		// between the search and the wait.
		arrived, ended := c.arrived, c.ended
		c.mu.Unlock()
		if ended {
			return message{}, false
		}
		select {
		case <-arrived:
		case <-timer.C:
			return message{}, false
		}
	}
}

// seen describes the messages that no assertion has taken.
func (c *Client) seen() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := fmt.Sprintf("; %d other messages came", len(c.inbox))
	for _, m := range c.inbox {
		text += fmt.Sprintf("\n\t[%s %s %s %s %s%x]", m.joinRef, m.ref, m.topic, m.event, m.payload, m.binary)
	}
	if c.ended {
		text += fmt.Sprintf("\n\tconnection closed with %d", c.code)
	}
	return text
}

// ref returns a new ref. Refs count up through all messages of a connection, as in
// phoenix.js.
func (c *Client) ref() string {
	c.refs++
	return strconv.Itoa(c.refs)
}

// send sends a message as a client does, a binary one for [websocket.Binary].
func (c *Client) send(joinRef, ref, topic, event string, payload any) {
	c.t.Helper()
	p, err := codec.Encode(payload)
	if err != nil {
		c.t.Fatalf("payload of %s: %v", event, err)
	}
	var frame ws.Frame
	if p.Binary {
		// A client's push has four fields; package codec encodes only the messages
		// of a server.
		for _, field := range []string{joinRef, ref, topic, event} {
			if len(field) > 255 {
				c.t.Fatalf("message %s: %v", event, codec.ErrFieldTooLong)
			}
		}
		b := []byte{0, byte(len(joinRef)), byte(len(ref)), byte(len(topic)), byte(len(event))}
		b = append(b, joinRef+ref+topic+event...)
		frame = ws.NewBinaryFrame(append(b, p.Data...))
	} else {
		join := codec.Ref("")
		if joinRef != "" {
			join = codec.RefOf(joinRef)
		}
		b, err := codec.V2.AppendMessage(nil, join, codec.RefOf(ref), topic, event, p)
		if err != nil {
			c.t.Fatalf("message %s: %v", event, err)
		}
		frame = ws.NewTextFrame(b)
	}
	// The pipe blocks until the server reads: a server that has stopped reading
	// fails the test instead of hanging it.
	if err := c.nc.SetWriteDeadline(time.Now().Add(Timeout)); err != nil {
		c.t.Fatalf("send %s: %v", event, err)
	}
	if err := ws.WriteFrame(c.nc, ws.MaskFrame(frame)); err != nil {
		c.t.Fatalf("send %s: %v%s", event, err, c.seen())
	}
}

// Close closes the connection as a client does that leaves: with a close frame of
// code 1000. It does not wait for the server's.
func (c *Client) Close() {
	_ = ws.WriteFrame(c.nc, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))))
	c.hangUp()
}

// AssertClosed asserts that the server closes the connection with code. It waits for
// the end of the connection, and so takes no message. A connection that ends without
// a close frame has the code -1.
func (c *Client) AssertClosed(code int) {
	c.t.Helper()
	c.await(Timeout, func(*message) bool { return false })
	c.mu.Lock()
	ended, got := c.ended, c.code
	c.mu.Unlock()
	if !ended || got != code {
		c.t.Fatalf("closed %v with %d, want %d", ended, got, code)
	}
}

// Heartbeat sends a heartbeat and asserts its reply. When it returns, the
// server has read all that this client sent before.
func (c *Client) Heartbeat() {
	c.t.Helper()
	ref := c.ref()
	c.send("", ref, "phoenix", "heartbeat", nil)
	p := &Push{c: c, ref: ref, topic: "phoenix", event: "heartbeat"}
	p.AssertReply("ok", nil)
}
