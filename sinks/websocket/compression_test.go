package websocket_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	client "github.com/coder/websocket"

	"github.com/penstock-go/penstock/sinks/websocket"
)

const (
	takesNothingOver = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	rsv1             = 0x40
)

func compressing(cfg websocket.CompressionConfig) setup {
	return setup{mount: websocket.MountConfig{Compression: &cfg}, channels: map[string]*app{"room:*": {}}}
}

// offering connects with an offer, and returns what the server has accepted.
func (f *fixture) offering(lines ...string) (*rawClient, string) {
	f.t.Helper()
	c := f.dialRaw()
	headers := ""
	for _, l := range lines {
		headers += "Sec-WebSocket-Extensions: " + l + "\r\n"
	}
	c.write([]byte(f.upgradeRequest(headers)))
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		f.t.Fatal(resp, err)
	}
	return c, strings.Join(resp.Header.Values("Sec-Websocket-Extensions"), ", ")
}

func (f *fixture) compressed() *rawClient {
	f.t.Helper()
	c, got := f.offering("permessage-deflate")
	if got != takesNothingOver {
		f.t.Fatalf("accepted %q", got)
	}
	return c
}

func TestCompressionIsNegotiated(t *testing.T) {
	f := start(t, compressing(websocket.CompressionConfig{}))
	const window = takesNothingOver + "; server_max_window_bits=15"
	for offer, want := range map[string]string{
		"permessage-deflate":                                                         takesNothingOver,
		"permessage-deflate; client_max_window_bits":                                 takesNothingOver,
		"permessage-deflate; client_max_window_bits=8":                               takesNothingOver,
		"permessage-deflate; client_max_window_bits=15":                              takesNothingOver,
		`permessage-deflate; client_max_window_bits="15"`:                            takesNothingOver,
		"permessage-deflate;server_no_context_takeover":                              takesNothingOver,
		"permessage-deflate; client_no_context_takeover; server_no_context_takeover": takesNothingOver,
		"permessage-deflate; server_max_window_bits=15":                              window,
		// compress/flate has one window, and cannot keep within a smaller one.
		"permessage-deflate; server_max_window_bits=8":                                 "",
		"permessage-deflate; server_max_window_bits=14":                                "",
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":            takesNothingOver,
		"x-webkit-deflate-frame, permessage-deflate; client_max_window_bits":           takesNothingOver,
		", ,permessage-deflate,":                                                       takesNothingOver,
		"permessage-deflate; client_max_window_bits=7":                                 "",
		"permessage-deflate; client_max_window_bits=16":                                "",
		"permessage-deflate; client_max_window_bits=08":                                "",
		"permessage-deflate; client_max_window_bits=":                                  "",
		"permessage-deflate; server_max_window_bits":                                   "",
		"permessage-deflate; server_max_window_bits=16":                                "",
		"permessage-deflate; server_no_context_takeover=1":                             "",
		"permessage-deflate; client_no_context_takeover; client_no_context_takeover":   "",
		"permessage-deflate; unknown":                                                  "",
		"permessage-deflate; unknown=1, permessage-deflate; server_max_window_bits=15": window,
		"permessage-deflate client_max_window_bits":                                    "",
		`permessage-deflate; client_max_window_bits="15`:                               "",
		"permessage-deflate;":                                                          "",
		"x-other":                                                                      "",
		"permessage-deflated":                                                          "",
	} {
		if _, got := f.offering(offer); got != want {
			t.Errorf("%s: accepted %q, want %q", offer, got, want)
		}
	}
	if _, got := f.offering("x-other", "permessage-deflate; bad", "permessage-deflate"); got != takesNothingOver {
		t.Errorf("several lines: %q", got)
	}
	if _, got := f.offering(); got != "" {
		t.Errorf("accepted %q, which was not offered", got)
	}
}

// message reads the next message, and reports whether it came compressed.
func (c *rawClient) message() (string, bool) {
	c.t.Helper()
	first, payload, err := c.next()
	if err != nil || first&0x8f != final|text {
		c.t.Fatalf("%x %q %v", first, payload, err)
	}
	if first&rsv1 == 0 {
		return string(payload), false
	}
	r := flate.NewReader(io.MultiReader(bytes.NewReader(payload), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")))
	plain, err := io.ReadAll(r)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(plain), true
}

func TestCompressedMessages(t *testing.T) {
	f := start(t, compressing(websocket.CompressionConfig{}))
	c := f.compressed()
	echo := func(ref int, data string) (message, reply string) {
		return fmt.Sprintf(`["1","%d","room:a","echo",{"d":"%s"}]`, ref, data),
			fmt.Sprintf(`["1","%d","room:a","phx_reply",{"response":{"d":"%s"},"status":"ok"}]`, ref, data)
	}
	expect := func(what, want string, compressed bool) {
		t.Helper()
		if got, how := c.message(); got != want || how != compressed {
			t.Fatalf("%s: %.200q, compressed %v; want %.200q, %v", what, got, how, want, compressed)
		}
	}
	c.frame(final|text, []byte(`["1","1","room:a","phx_join",{}]`)) // a client need not compress
	expect("join", `["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]`, false)
	words := strings.Repeat("some words ", 100)
	in, out := echo(2, words)
	c.frame(final|rsv1|text, bomb(t, []byte(in)))
	expect("words", out, true)
	in, out = echo(3, "short")
	c.frame(final|rsv1|text, bomb(t, []byte(in)))
	expect("below MinBytes", out, false)

	// In fragments, the bit in the first frame only, with a ping between them.
	in, out = echo(4, words)
	b := bomb(t, []byte(in))
	c.frame(rsv1|text, b[:5])
	c.frame(ping, []byte("hey"))
	c.frame(0, b[5:20])
	c.frame(final, b[20:])
	if first, payload, err := c.next(); err != nil || first != pong || string(payload) != "hey" {
		t.Fatalf("pong: %x %q %v", first, payload, err)
	}
	expect("fragments", out, true)

	// A final block of the client's own, as RFC 7692, 7.2.3.4 shows it.
	in, out = echo(5, words)
	var final1 bytes.Buffer
	w, err := flate.NewWriter(&final1, flate.DefaultCompression)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte(in))
	_ = w.Close()
	c.frame(final|rsv1|text, append(final1.Bytes(), 0))
	expect("final block", out, true)

	// What does not become shorter is sent as it is.
	letters := make([]byte, 2000)
	for i := range letters {
		letters[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[rand.IntN(64)]
	}
	in, out = echo(6, string(letters))
	c.frame(final|rsv1|text, bomb(t, []byte(in)))
	if got, _ := c.message(); got != out {
		t.Errorf("random letters: %.100q", got)
	}
}

// TestCompressedBroadcastIsShared: clients with and without compression get one
// broadcast, each in its form.
func TestCompressedBroadcastIsShared(t *testing.T) {
	f := start(t, compressing(websocket.CompressionConfig{Compressors: 1}))
	join := []byte(`["1","1","room:a","phx_join",{}]`)
	var clients []*rawClient
	for i := range 20 {
		c := f.raw
		if i%2 == 0 {
			c = f.compressed
		}
		one := c()
		one.frame(final|text, join)
		one.message()
		clients = append(clients, one)
	}
	payload := map[string]string{"d": strings.Repeat("some words ", 1000)}
	if n, err := f.endpoint.Broadcast(t.Context(), "room:a", "news", payload); n != 20 || err != nil {
		t.Fatal(n, err)
	}
	want := `[null,null,"room:a","news",{"d":"` + payload["d"] + `"}]`
	for i, c := range clients {
		if got, compressed := c.message(); got != want || compressed != (i%2 == 0) {
			t.Errorf("client %d: %d bytes, compressed %v", i, len(got), compressed)
		}
	}
}

// TestCompressionWithAClientOfOthers talks with another implementation.
func TestCompressionWithAClientOfOthers(t *testing.T) {
	for _, mode := range []client.CompressionMode{client.CompressionContextTakeover, client.CompressionNoContextTakeover} {
		f := start(t, compressing(websocket.CompressionConfig{MinBytes: 1}))
		c, resp, err := f.dial("vsn=2.0.0", &client.DialOptions{CompressionMode: mode, CompressionThreshold: 1})
		if err != nil || !strings.HasPrefix(resp.Header.Get("Sec-WebSocket-Extensions"), takesNothingOver) {
			t.Fatal(resp, err)
		}
		p := &peer{t: t, ws: c}
		p.join(1, "room:a")
		for i := range 100 {
			data := strings.Repeat(fmt.Sprint("é", i), rand.IntN(1000))
			p.send(`["1","%d","room:a","echo",{"d":%q}]`, i, data)
			p.expect(fmt.Sprintf(`["1","%d","room:a","phx_reply",{"response":{"d":%q},"status":"ok"}]`, i, data))
		}
	}
}

func TestCompressionOptions(t *testing.T) {
	for option, cfg := range map[string]websocket.CompressionConfig{
		"Compression.MinBytes": {MinBytes: -1}, "Compression.Level": {Level: 10}, "Compression.MaxRatio": {MaxRatio: -1}, "Compression.Compressors": {Compressors: websocket.Unlimited},
	} {
		e, err := websocket.NewEndpoint(websocket.EndpointConfig{})
		if err != nil {
			t.Fatal(err)
		}
		err = e.Mount("/x", websocket.NewSocket(websocket.SocketConfig[user]{}), websocket.MountConfig{Compression: &cfg})
		if refused, _ := errors.AsType[*websocket.OptionError](err); refused == nil || refused.Option != option {
			t.Errorf("%s: %v", option, err)
		}
	}
}

// securityCompressed is the row about bombs, with compression on.
func securityCompressed(t *testing.T) {
	beat := func(n int) []byte { return heartbeat(n) }
	words := bytes.Repeat([]byte(`some words and more of them, `), 3000)
	varied := func(n int) []byte { // compresses to about a half
		var b strings.Builder
		for b.Len() < n {
			fmt.Fprintf(&b, "%x ", rand.Uint64())
		}
		return []byte(`[null,"1","phoenix","heartbeat","` + b.String()[:n-35] + `"]`)
	}
	send := func(first byte, payload []byte) func(c *rawClient) {
		return func(c *rawClient) { c.frame(first, payload) }
	}
	for name, test := range map[string]struct {
		send func(c *rawClient)
		want int
	}{
		"8 MB in 8 KiB":       {send(final|rsv1|text, bomb(t, bytes.Repeat([]byte("A"), 8_000_000))), 1009},
		"nested":              {send(final|rsv1|text, bomb(t, bomb(t, bytes.Repeat([]byte("A"), 8_000_000)))), 1009},
		"beyond the ratio":    {send(final|rsv1|text, bomb(t, beat(60_000))), 1009},
		"small and regular":   {send(final|rsv1|text, bomb(t, beat(4000))), answered},
		"limit exactly":       {send(final|rsv1|text, bomb(t, varied(64<<10))), answered},
		"a byte more":         {send(final|rsv1|text, bomb(t, varied(64<<10+1))), 1009},
		"too long on the way": {send(final|rsv1|text, make([]byte, 64<<10+1)), 1009},
		"no deflate":          {send(final|rsv1|text, []byte("\xff\xff\xff\xff")), 1007},
		"empty":               {send(final|rsv1|text, nil), 1007},
		"cut":                 {send(final|rsv1|text, bomb(t, words[:2000])[:20]), 1007},
		"more after the end":  {send(final|rsv1|text, append([]byte("\x03\x00"), "and more"...)), 1007},
		"no UTF-8":            {send(final|rsv1|text, bomb(t, []byte("[\"\xff\"]"))), 1007},
		"continuation with the bit": {func(c *rawClient) {
			b := bomb(t, beat(100))
			c.frame(rsv1|text, b[:5])
			c.frame(final|rsv1, b[5:])
		}, 1002},
		"ping with the bit": {send(ping|rsv1, nil), 1002},
		"second bit":        {send(final|rsv1|0x20|text, bomb(t, beat(0))), 1002},
		"third bit":         {send(final|0x10|text, beat(0)), 1002},
		"not compressed":    {send(final|text, beat(0)), answered},
		"too many fragments": {func(c *rawClient) {
			c.frame(rsv1|text, []byte{0})
			for range 70 {
				c.frame(0, []byte{0})
			}
		}, 1008},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, compressing(websocket.CompressionConfig{}))
			c := f.compressed()
			test.send(c)
			if test.want != answered {
				if code := c.closeCode(); code != test.want {
					t.Errorf("closed with %d, want %d", code, test.want)
				}
				return
			}
			if got, _ := c.message(); got != `[null,"1","phoenix","phx_reply",{"response":{},"status":"ok"}]` {
				t.Errorf("got %q", got)
			}
		})
	}
	t.Run("many at once", func(t *testing.T) {
		f := start(t, compressing(websocket.CompressionConfig{}))
		b := bomb(t, bytes.Repeat([]byte("A"), 8_000_000))
		const n = 200
		clients := make([]*rawClient, n)
		for i := range clients {
			clients[i] = f.compressed()
		}
		_, before := resident()
		allocated := allocatedBy(func() {
			var group sync.WaitGroup
			for _, c := range clients {
				group.Go(func() {
					c.frame(final|rsv1|text, b)
					if code := c.closeCode(); code != 1009 {
						t.Errorf("closed with %d", code)
					}
				})
			}
			group.Wait()
		})
		_, after := resident()
		t.Logf("%d bytes allocated for each of %d bombs, heap from %d to %d", allocated/n, n, before, after)
		if allocated/n > 256<<10*slowdown {
			t.Errorf("%d bytes allocated for each of %d bombs", allocated/n, n)
		}
		runtime.KeepAlive(clients)
	})
}
