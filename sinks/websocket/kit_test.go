package websocket_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	client "github.com/coder/websocket"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// user is the state of the sockets in these tests.
type user struct{ ID string }

// app is a handler whose methods are functions, so that a test defines only those
// that it is about.
type app struct {
	join      func(ctx context.Context, ch *websocket.Channel, p websocket.Payload) (any, error)
	in        func(ctx context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error)
	intercept []string
	out       func(ctx context.Context, ch *websocket.Channel, event string, payload websocket.Payload) error
	info      func(ctx context.Context, ch *websocket.Channel, msg any) error
	terminate func(ctx context.Context, ch *websocket.Channel, reason error)
}

func (a *app) HandleJoin(ctx context.Context, ch *websocket.Channel, p websocket.Payload) (any, error) {
	if a.join == nil {
		return nil, nil
	}
	return a.join(ctx, ch, p)
}

func (a *app) HandleIn(ctx context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
	if a.in == nil {
		return websocket.OK(p), nil
	}
	return a.in(ctx, ch, event, p)
}

func (a *app) HandleOut(ctx context.Context, ch *websocket.Channel, event string, payload websocket.Payload) error {
	return a.out(ctx, ch, event, payload)
}

func (a *app) HandleInfo(ctx context.Context, ch *websocket.Channel, msg any) error {
	if a.info == nil {
		return nil
	}
	return a.info(ctx, ch, msg)
}

func (a *app) HandleTerminate(ctx context.Context, ch *websocket.Channel, reason error) {
	if a.terminate != nil {
		a.terminate(ctx, ch, reason)
	}
}

// soon returns how long a test waits for what must come: in a bubble, where nothing but waiting
// takes time, 10 s, and elsewhere what a machine may take on which others go first.
func soon() time.Duration {
	if time.Now().Year() == 2000 { // a bubble begins there
		return 10 * time.Second
	}
	return time.Minute
}

// fixture is an endpoint behind a server that listens on loopback, or on pipes
// inside of a synctest bubble.
type fixture struct {
	t        *testing.T
	endpoint *websocket.Endpoint
	socket   *websocket.Socket[user]
	server   *http.Server
	dialer   func(ctx context.Context, network, addr string) (net.Conn, error)
	addr     string
	metrics  *counts
}

type setup struct {
	endpoint websocket.EndpointConfig
	socket   websocket.SocketConfig[user]
	mount    websocket.MountConfig
	channels map[string]*app
	server   *websocket.ServerConfig // nil: a plain http.Server
	pipes    bool
	tune     func(s *http.Server) // changes the server before it serves
}

// start mounts a socket at /socket. All channels of a pattern share one app; tests
// whose channels need state of their own define them in before.
func start(t *testing.T, s setup, before ...func(f *fixture)) *fixture {
	t.Helper()
	f := &fixture{t: t, metrics: &counts{values: map[string]float64{}}}
	if s.mount.Timeouts.HoldOff == 0 {
		s.mount.Timeouts.HoldOff = websocket.NoTimeout // most tests are not about it
	}
	if os.Getenv("PENSTOCK_EVENT_LOOP") != "" {
		s.endpoint.EventLoop = true
	}
	if s.endpoint.Metrics == nil {
		s.endpoint.Metrics = f.metrics
	}
	var err error
	if f.endpoint, err = websocket.NewEndpoint(s.endpoint); err != nil {
		t.Fatal(err)
	}
	if s.socket.Name == "" {
		s.socket.Name = "Test"
	}
	if s.socket.Connect == nil {
		s.socket.Connect = func(_ context.Context, r *websocket.ConnectRequest) (user, error) {
			return user{ID: r.Params.Get("user")}, nil
		}
	}
	f.socket = websocket.NewSocket(s.socket)
	for _, run := range before {
		run(f)
	}
	for pattern, a := range s.channels {
		f.socket.ChannelWith(pattern, websocket.ChannelConfig{Intercept: a.intercept}, func(user, string) websocket.Handler { return a })
	}
	if err := f.endpoint.Mount("/socket", f.socket, s.mount); err != nil {
		t.Fatal(err)
	}
	f.listen(s.pipes, s.server, s.tune)
	return f
}

// serve returns a fixture of another endpoint, on pipes.
func serve(t *testing.T, e *websocket.Endpoint) *fixture {
	t.Helper()
	f := &fixture{t: t, endpoint: e, metrics: &counts{values: map[string]float64{}}}
	f.listen(true, nil, nil)
	return f
}

func (f *fixture) listen(onPipes bool, server *websocket.ServerConfig, tune func(s *http.Server)) {
	t := f.t
	t.Helper()
	var l net.Listener
	var err error
	if onPipes {
		p := newPipes()
		l, f.dialer, f.addr = p, p.dial, "pipe.test"
	} else {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		f.addr = l.Addr().String()
	}
	f.server = &http.Server{Handler: f.endpoint}
	if server != nil {
		if f.server, err = websocket.NewServer(f.endpoint, *server); err != nil {
			t.Fatal(err)
		}
	}
	if tune != nil {
		tune(f.server)
	}
	var group sync.WaitGroup
	group.Go(func() { _ = f.server.Serve(l) })
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*soon())
		defer cancel()
		if err := f.endpoint.Close(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		_ = f.server.Close()
		group.Wait()
	})
}

func (f *fixture) transport() *http.Transport {
	return &http.Transport{DialContext: f.dialer, DisableKeepAlives: true}
}

// peer is a client.
type peer struct {
	t  *testing.T
	ws *client.Conn
}

func (f *fixture) dial(query string, o *client.DialOptions) (*client.Conn, *http.Response, error) {
	if o == nil {
		o = &client.DialOptions{}
	}
	o.HTTPClient = &http.Client{Transport: f.transport()}
	ctx, cancel := context.WithTimeout(context.Background(), soon())
	defer cancel()
	c, resp, err := client.Dial(ctx, "ws://"+f.addr+"/socket/websocket?"+query, o)
	if c != nil {
		c.SetReadLimit(8 << 20)
		f.t.Cleanup(func() { _ = c.CloseNow() })
	}
	return c, resp, err
}

// connect connects with protocol version 2 as the user.
func (f *fixture) connect(id string) *peer {
	f.t.Helper()
	c, _, err := f.dial("vsn=2.0.0&user="+url.QueryEscape(id), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return &peer{t: f.t, ws: c}
}

func (p *peer) send(format string, args ...any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon())
	defer cancel()
	if err := p.ws.Write(ctx, client.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

func (p *peer) read() string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon())
	defer cancel()
	_, data, err := p.ws.Read(ctx)
	if err != nil {
		p.t.Fatalf("read: %v", err)
	}
	return string(data)
}

func (p *peer) expect(want string) {
	p.t.Helper()
	if got := p.read(); got != want {
		p.t.Fatalf("got  %s\nwant %s", got, want)
	}
}

// join joins with join ref and ref n.
func (p *peer) join(n int, topic string) {
	p.t.Helper()
	p.send(`["%d","%d",%q,"phx_join",{}]`, n, n, topic)
	p.expect(fmt.Sprintf(`["%d","%d",%q,"phx_reply",{"response":{},"status":"ok"}]`, n, n, topic))
}

// closed reads until the end and returns the close code, or -1 if there is none.
func (p *peer) closed() int {
	p.t.Helper()
	return p.closedWithin(30 * time.Second)
}

func (p *peer) closedWithin(d time.Duration) int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	for {
		if _, _, err := p.ws.Read(ctx); err != nil {
			if ctx.Err() != nil {
				p.t.Fatalf("still open: %v", err)
			}
			return int(client.CloseStatus(err))
		}
	}
}

// counts is a recorder that remembers sums and latest values by name and tags.
type counts struct {
	mu     sync.Mutex
	values map[string]float64
}

func (c *counts) key(name string, tags []metrics.Tag) string {
	for _, t := range tags {
		name += "," + t.Key + ":" + t.Value
	}
	return name
}

func (c *counts) get(key string) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.values[key]
}

type instrument struct {
	c   *counts
	key string
}

func (c *counts) Counter(name string, tags ...metrics.Tag) metrics.Counter {
	return instrument{c, c.key(name, tags)}
}

func (c *counts) Gauge(name string, tags ...metrics.Tag) metrics.Gauge {
	return instrument{c, c.key(name, tags)}
}

func (c *counts) Timer(name string, tags ...metrics.Tag) metrics.Timer {
	return metrics.Nop().Timer(name, tags...)
}

func (i instrument) Add(n int64) {
	i.c.mu.Lock()
	i.c.values[i.key] += float64(n)
	i.c.mu.Unlock()
}

func (i instrument) Set(v float64) {
	i.c.mu.Lock()
	i.c.values[i.key] = v
	i.c.mu.Unlock()
}

// pipes is a listener whose connections are net.Pipe, so that time in a
// synctest bubble stands still only while everybody waits.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.done:
		return nil, io.ErrClosedPipe
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

func (p *pipes) Addr() net.Addr { return pipeAddr{} }

// got receives from a channel that must have something soon.
func got[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	timer := time.NewTimer(soon())
	defer timer.Stop()
	select {
	case v := <-from:
		return v
	case <-timer.C:
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// pass lets time pass, in a bubble only.
func pass(d time.Duration) { <-time.After(d) }
