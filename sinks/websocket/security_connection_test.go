package websocket_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

func securityConnections(t *testing.T) {
	status := func(e *websocket.Endpoint, from string, headers ...string) int {
		r := ask("GET", "/socket/websocket?vsn=2.0.0&user="+from, header(headers...))
		r.RemoteAddr = from
		got, _ := answer(e, r)
		return got
	}
	// 10,000 from one address, of which there may be 50 connections.
	const each, tries = 50, 10_000
	from := make(chan string, 1)
	f := start(t, setup{endpoint: websocket.EndpointConfig{Limits: websocket.EndpointLimits{PerAddress: each, Connections: each + 10}, ClientAddress: func(r *http.Request) netip.Addr {
		select {
		case addr := <-from:
			return netip.MustParseAddr(addr)
		default:
			return netip.MustParseAddrPort(r.RemoteAddr).Addr()
		}
	}}})
	for range each {
		from <- "203.0.113.9"
		f.raw()
	}
	refused := 0
	for n := range tries {
		if status(f.endpoint, fmt.Sprintf("203.0.113.9:%d", 1024+n)) == 503 {
			refused++
		}
	}
	if refused != tries {
		t.Errorf("%d of %d were refused", refused, tries)
	}
	if got := status(f.endpoint, "198.51.100.1:5000"); got != passes {
		t.Errorf("another address: %d", got)
	}
	for n := range 9 {
		from <- fmt.Sprintf("198.51.100.%d", n)
		f.raw()
	}
	f.raw() // the last there may be
	if got := status(f.endpoint, "192.0.2.1:5000"); got != 503 {
		t.Errorf("one too many in all: %d", got)
	}

	// New ones of an address in a second.
	synctest.Test(t, func(t *testing.T) {
		e := newEndpoint(t, websocket.EndpointConfig{Limits: websocket.EndpointLimits{ConnectRate: 10}}, websocket.SocketConfig[user]{}, websocket.MountConfig{})
		for second := range 3 {
			let := 0
			for range tries {
				switch got := status(e, "203.0.113.9:5000"); got {
				case passes:
					let++
				case 429:
				default:
					t.Fatal(got)
				}
			}
			if let != 10 {
				t.Errorf("second %d: %d were let through", second, let)
			}
			if got := status(e, fmt.Sprintf("198.51.100.%d:1", second)); got != passes {
				t.Errorf("another address: %d", got)
			}
			pass(time.Second)
		}
		// A customer's whole /64 is one address, and a mapped address does not count apart.
		let := 0
		for n := range tries {
			if status(e, fmt.Sprintf("[2001:db8:0:1::%x]:5000", n)) == passes {
				let++
			}
		}
		if let != 10 {
			t.Errorf("%d of one /64 were let through", let)
		}
		if got := status(e, "[2001:db8:0:2::1]:5000"); got != passes {
			t.Errorf("the next /64: %d", got)
		}
		for n := range tries { // spread over as many /64: each is another customer
			if got := status(e, fmt.Sprintf("[2001:db8:1:%x::1]:5000", n)); got != passes {
				t.Fatalf("/64 number %d: %d", n, got)
			}
		}
		pass(time.Second)
		for n := range 20 {
			status(e, fmt.Sprintf("[::ffff:203.0.113.9]:%d", 5000+n))
		}
		if got := status(e, "203.0.113.9:5000"); got != 429 {
			t.Errorf("mapped: %d", got)
		}
	})

	// What a client says of its own address counts for nothing.
	proxies, err := websocket.ForwardedFor(websocket.Proxies{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		peer string
		list []string
		want string
	}{
		{"203.0.113.9:1", []string{"192.0.2.7"}, "203.0.113.9"}, // no proxy
		{"203.0.113.9:1", []string{"10.0.0.1"}, "203.0.113.9"},
		{"10.0.0.1:1", nil, "10.0.0.1"},
		{"10.0.0.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"10.0.0.1:1", []string{"192.0.2.7, 203.0.113.9"}, "203.0.113.9"}, // the first is invented
		{"10.0.0.1:1", []string{"192.0.2.7", "203.0.113.9"}, "203.0.113.9"},
		{"10.0.0.1:1", []string{"192.0.2.7, 203.0.113.9, 10.2.3.4"}, "203.0.113.9"},
		{"10.0.0.1:1", []string{"10.9.9.9, 10.2.3.4"}, "10.9.9.9"},
		{"10.0.0.1:1", []string{"garbage"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"192.0.2.7, 203.0.113.9:4711"}, "203.0.113.9"},
		{"10.0.0.1:1", []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		{"10.0.0.1:1", []string{"203.0.113.9, garbage"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"203.0.113.9, "}, "10.0.0.1"},
		{"10.0.0.1:1", []string{strings.Repeat("192.0.2.7, ", 10_000) + "203.0.113.9"}, "203.0.113.9"},
		{"[fd00::1]:1", []string{"2001:db8::7"}, "2001:db8::7"},
		{"[::ffff:10.0.0.1]:1", []string{"203.0.113.9"}, "203.0.113.9"},
	} {
		r := ask("GET", "/", nil)
		r.RemoteAddr = row.peer
		r.Header["X-Forwarded-For"] = row.list
		if got := proxies(r); got != netip.MustParseAddr(row.want) {
			t.Errorf("%s with %.80q: %v, want %s", row.peer, row.list, got, row.want)
		}
	}
	e := newEndpoint(t, websocket.EndpointConfig{Limits: websocket.EndpointLimits{ConnectRate: 1}, ClientAddress: proxies}, websocket.SocketConfig[user]{}, websocket.MountConfig{})
	let := 0
	for n := range 100 {
		if status(e, "10.0.0.1:5000", "X-Forwarded-For", fmt.Sprintf("192.0.2.%d, 203.0.113.9", n)) == passes {
			let++
		}
	}
	if let != 1 {
		t.Errorf("%d got through with invented addresses", let)
	}

	// Connections of one user.
	g := start(t, setup{
		endpoint: websocket.EndpointConfig{Limits: websocket.EndpointLimits{PerID: 2}},
		socket:   websocket.SocketConfig[user]{ID: func(u user) string { return map[bool]string{true: "", false: "users:" + u.ID}[u.ID == ""] }},
	})
	one := g.connect("1")
	g.connect("1")
	if _, resp, _ := g.dial("vsn=2.0.0&user=1", nil); resp == nil || resp.StatusCode != 429 {
		t.Errorf("a third of one user: %v", resp)
	}
	g.connect("2")
	for range 5 {
		g.raw() // without id there is no bound
	}
	_ = one.ws.CloseNow()
	eventually(t, func() bool { return g.endpoint.Snapshot().Connections == 7 })
	g.connect("1")
}
