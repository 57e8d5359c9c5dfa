package websocket_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	client "github.com/coder/websocket"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
)

// Visitor is the state of a socket: the user at its other end.
type Visitor struct{ Name string }

// Lobby is the handler of one visitor in the lobby.
type Lobby struct{ visitor Visitor }

// HandleJoin accepts every visitor who has a name.
func (l *Lobby) HandleJoin(_ context.Context, _ *websocket.Channel, _ websocket.Payload) (any, error) {
	if l.visitor.Name == "" {
		return nil, websocket.Refuse("unauthorized")
	}
	return map[string]string{"welcome": l.visitor.Name}, nil
}

// HandleIn passes on to all clients what one of them says.
func (l *Lobby) HandleIn(ctx context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
	if event != "say" {
		return websocket.Reply{}, fmt.Errorf("unknown event %q", event)
	}
	if _, err := ch.Broadcast(ctx, "said", p); err != nil {
		return websocket.Reply{}, err
	}
	return websocket.OK(nil), nil
}

func Example() {
	endpoint, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	visitors := websocket.NewSocket(websocket.SocketConfig[Visitor]{
		Name: "VisitorSocket",
		Connect: func(_ context.Context, r *websocket.ConnectRequest) (Visitor, error) {
			return Visitor{Name: r.Params.Get("name")}, nil
		},
	})
	visitors.Channel("lobby:*", func(v Visitor, _ string) websocket.Handler { return &Lobby{v} })
	if err := endpoint.Mount("/socket", visitors, websocket.MountConfig{}); err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(endpoint)
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	url := "ws" + strings.TrimPrefix(server.URL, "http") + "/socket/websocket?vsn=2.0.0&name=Ann"
	c, _, err := client.Dial(ctx, url, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, message := range []string{`["1","1","lobby:main","phx_join",{}]`, `["1","2","lobby:main","say",{"text":"hello"}]`} {
		if err := c.Write(ctx, client.MessageText, []byte(message)); err != nil {
			fmt.Println(err)
			return
		}
	}
	for range 3 {
		_, message, err := c.Read(ctx)
		fmt.Println(string(message), err)
	}
	go func() { _, _, _ = c.Read(ctx) }() // responds to the close
	fmt.Println(endpoint.Close(ctx))
	// Output:
	// ["1","1","lobby:main","phx_reply",{"response":{"welcome":"Ann"},"status":"ok"}] <nil>
	// [null,null,"lobby:main","said",{"text":"hello"}] <nil>
	// ["1","2","lobby:main","phx_reply",{"response":{},"status":"ok"}] <nil>
	// <nil>
}

func ExampleEndpoint_Broadcast() {
	endpoint, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	receivers, err := endpoint.Broadcast(context.Background(), "user:42", "offer", map[string]int{"price": 10})
	if receivers == 0 {
		fmt.Println("no client has joined", err)
	}
	// Output: no client has joined <nil>
}

func ExampleEndpoint_Deliver() {
	endpoint, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = endpoint.Deliver(context.Background(), "user:42", "offer", map[string]int{"price": 10}, func(r websocket.Report) {
		switch {
		case r.Err == nil:
			fmt.Println("written at", r.At)
		case errors.Is(r.Err, websocket.ErrNoSubscriber):
			fmt.Println("no client has joined")
		default:
			fmt.Println("not written:", r.Err)
		}
	})
	fmt.Println(err)
	// Output:
	// no client has joined
	// <nil>
}

func ExampleNewEndpoint() {
	_, err := websocket.NewEndpoint(websocket.EndpointConfig{Shutdown: websocket.ShutdownConfig{Code: 1006}})
	fmt.Println(err)
	// Output: websocket.Endpoint: option Shutdown.Code refused: 1006; allowed: 1000 to 1014 but not 1004 to 1006, or 3000 to 4999
}

func ExampleNewSocket() {
	anyone := websocket.NewSocket(websocket.SocketConfig[struct{}]{Name: "News"})
	anyone.Channel("news", func(struct{}, string) websocket.Handler {
		return websocket.HandlerFunc(func(context.Context, *websocket.Channel, websocket.Payload) (any, error) { return nil, nil })
	})
	endpoint, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(endpoint.Mount("/news", anyone, websocket.MountConfig{}))
	// Output: <nil>
}

func ExampleOrigins() {
	endpoint, err := websocket.NewEndpoint(websocket.EndpointConfig{Origins: []string{"https://*.example.com", "//localhost"}})
	fmt.Println(endpoint != nil, err)
	_, err = websocket.Origins("https://bücher.example")
	fmt.Println(err)
	// Output:
	// true <nil>
	// websocket.Origins: option entries refused: "https://bücher.example"; allowed: the name in its ASCII form (xn--…), as browsers send it
}

func ExampleChannelConfig_resume() {
	history, err := pubsub.NewMemory(pubsub.MemoryConfig{Topics: []string{"news"}, Events: 100, Age: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	hub, err := pubsub.New(pubsub.Config{History: history})
	if err != nil {
		fmt.Println(err)
		return
	}
	endpoint, err := websocket.NewEndpoint(websocket.EndpointConfig{PubSub: hub})
	if err != nil {
		fmt.Println(err)
		return
	}
	readers := websocket.NewSocket(websocket.SocketConfig[struct{}]{Name: "Readers"})
	readers.ChannelWith("news", websocket.ChannelConfig{Resume: true}, func(struct{}, string) websocket.Handler {
		return websocket.HandlerFunc(func(context.Context, *websocket.Channel, websocket.Payload) (any, error) { return nil, nil })
	})
	if err := endpoint.Mount("/socket", readers, websocket.MountConfig{}); err != nil {
		fmt.Println(err)
		return
	}

	t := &exampleTB{} // stands for the *testing.T of a test
	defer t.end()
	var first struct {
		Resume struct {
			Epoch  string `json:"epoch"`
			Offset int    `json:"offset"`
		} `json:"resume"`
	}
	reader := channeltest.Connect(t, endpoint, "/socket/websocket")
	if err := json.Unmarshal(reader.Join("news", nil).Reply, &first); err != nil {
		fmt.Println(err)
	}
	fmt.Println("joined at", first.Resume.Offset)
	reader.Close()
	for _, text := range []string{"one", "two"} {
		if _, err := endpoint.Broadcast(context.Background(), "news", "item", map[string]string{"text": text}); err != nil {
			fmt.Println(err)
		}
	}
	back := channeltest.Connect(t, endpoint, "/socket/websocket").Join("news", first) // with what the reply said
	fmt.Println("recovered:", strings.Contains(string(back.Reply), `"recovered":true`))
	back.AssertBroadcast("item", json.RawMessage(`{"text":"one"}`))
	back.AssertBroadcast("item", json.RawMessage(`{"text":"two"}`))
	fmt.Println("failed:", t.failed)
	// Output:
	// joined at 0
	// recovered: true
	// failed: false
}

// exampleTB is what stands for a test in the examples.
type exampleTB struct {
	testing.TB
	failed bool
	ends   []func()
}

func (t *exampleTB) Helper()                  {}
func (t *exampleTB) Cleanup(f func())         { t.ends = append(t.ends, f) }
func (t *exampleTB) Context() context.Context { return context.Background() }
func (t *exampleTB) Fatalf(format string, args ...any) {
	t.failed = true
	panic(fmt.Sprintf(format, args...))
}

func (t *exampleTB) end() {
	for _, f := range t.ends {
		f()
	}
}

func ExampleNewServer() {
	address, err := websocket.ForwardedFor(websocket.Proxies{Unix: true}) // our proxy ends TLS
	if err != nil {
		fmt.Println(err)
		return
	}
	endpoint, err := websocket.NewEndpoint(websocket.EndpointConfig{
		Limits:        websocket.EndpointLimits{PerAddress: 100, ConnectRate: 20},
		ClientAddress: address,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := websocket.NewServer(endpoint, websocket.ServerConfig{Plaintext: true})
	fmt.Println(server.ReadHeaderTimeout, err)
	_, err = websocket.NewServer(endpoint, websocket.ServerConfig{Limits: websocket.ServerLimits{HeaderBytes: 100}})
	fmt.Println(err)
	// Output:
	// 5s <nil>
	// websocket.NewServer: option Limits.HeaderBytes refused: 100; allowed: 0 (the default), or 8192 or more
}

func ExampleCheckHost() {
	metrics, err := websocket.CheckHost(http.NotFoundHandler(), "localhost", "127.0.0.1")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, host := range []string{"localhost:4001", "evil.example"} {
		w := httptest.NewRecorder()
		metrics.ServeHTTP(w, httptest.NewRequest("GET", "http://"+host+"/metrics", nil))
		fmt.Println(host, w.Code)
	}
	// Output:
	// localhost:4001 404
	// evil.example 421
}

func ExampleForwardedFor() {
	address, err := websocket.ForwardedFor(websocket.Proxies{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("GET", "/socket/websocket", nil)
	r.RemoteAddr = "10.0.0.1:41000"                                     // our proxy
	r.Header.Set("X-Forwarded-For", "192.0.2.7, 203.0.113.9, 10.0.0.2") // the first is the client's invention
	fmt.Println(address(r))
	// Output: 203.0.113.9
}
