package websocket_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

func securityFrames(t *testing.T) {
	const limit = 64 << 10
	promise := func(n uint64) func(c *rawClient) {
		return func(c *rawClient) {
			c.write(append(binary.BigEndian.AppendUint64([]byte{final | text, 0xff}, n), "mask and a few bytes"...))
		}
	}
	tests := []frameTest{
		{"length of 2^63-1", promise(1<<63 - 1), 1009},
		{"length of 2^64-1", promise(1<<64 - 1), 1009},
		{"length of 2^40", promise(1 << 40), 1009},
		{"65,537 bytes", func(c *rawClient) { c.frame(final|text, heartbeat(limit+1)) }, 1009},
		{"limit exactly", func(c *rawClient) { c.frame(final|text, heartbeat(limit)) }, answered},
		{"fragmented over the limit", func(c *rawClient) {
			c.frame(text, heartbeat(limit)[:40_000])
			c.frame(final, make([]byte, limit+1-40_000))
		}, 1009},
		{"limit exactly in fragments", func(c *rawClient) {
			c.frame(text, heartbeat(limit)[:40_000])
			c.frame(final, heartbeat(limit)[40_000:])
		}, answered},
		{"ping of 126 bytes", func(c *rawClient) { c.frame(ping, make([]byte, 126)) }, 1002},
		{"close of 126 bytes", func(c *rawClient) { c.frame(closeFrame, statusCode(1000, strings.Repeat("x", 124))) }, 1002},
		{"reserved bit 1", func(c *rawClient) { c.frame(final|0x40|text, heartbeat(0)) }, 1002},
		{"reserved bit 2", func(c *rawClient) { c.frame(final|0x20|text, heartbeat(0)) }, 1002},
		{"reserved bit 3", func(c *rawClient) { c.frame(final|0x10|text, heartbeat(0)) }, 1002},
		{"reserved opcode", func(c *rawClient) { c.frame(final|3, nil) }, 1002},
		{"reserved control opcode", func(c *rawClient) { c.frame(final|0xb, nil) }, 1002},
		{"unmasked", func(c *rawClient) { c.write(append([]byte{final | text, byte(len(heartbeat(0)))}, heartbeat(0)...)) }, 1002},
		{"continuation first", func(c *rawClient) { c.frame(final, heartbeat(0)) }, 1002},
		{"interleaved", func(c *rawClient) { c.frame(text, heartbeat(0)[:5]); c.frame(final|text, heartbeat(0)) }, 1002},
		{"close of 1 byte", func(c *rawClient) { c.frame(closeFrame, []byte{3}) }, 1002},
		{"close with bad code", func(c *rawClient) { c.frame(closeFrame, statusCode(1005, "")) }, 1002},
		{"close with bad UTF-8", func(c *rawClient) { c.frame(closeFrame, statusCode(1000, "\xff")) }, 1007},
	}
	tryFrames(t, setup{}, tests)

	// Memory follows what came and not what a header promises.
	f := start(t, setup{mount: websocket.MountConfig{Limits: websocket.Limits{MessageBytes: 64 << 20}}})
	var clients []*rawClient
	for range 50 {
		clients = append(clients, f.raw())
	}
	n := allocatedBy(func() {
		for _, c := range clients {
			promise(60 << 20)(c)
			_ = c.nc.Close()
		}
		eventually(t, func() bool { return f.endpoint.Snapshot().Connections == 0 })
	})
	t.Logf("%d bytes allocated for 50 promises of 60 MiB", n)
	if n > 8<<20*slowdown {
		t.Errorf("%d bytes for 50 promises of 60 MiB", n)
	}
}

func securityFragments(t *testing.T) {
	tryFrames(t, setup{}, []frameTest{
		{"131,000 of one byte", func(c *rawClient) {
			c.frame(text, []byte("["))
			c.write(bytes.Repeat(maskedFrame(0, []byte(" ")), 131_000))
		}, 1008},
		{"64", func(c *rawClient) {
			c.frame(text, []byte(" "))
			for range 62 {
				c.frame(0, []byte(" "))
			}
			c.frame(final, heartbeat(0))
		}, answered},
		{"65", func(c *rawClient) {
			c.frame(text, []byte(" "))
			for range 63 {
				c.frame(0, []byte(" "))
			}
			c.frame(final, heartbeat(0))
		}, 1008},
		{"endless and empty", func(c *rawClient) {
			c.write(append(maskedFrame(text, nil), bytes.Repeat(maskedFrame(0, nil), 10_000)...))
		}, 1008},
		{"endless and empty after some", func(c *rawClient) {
			c.write(append(maskedFrame(text, []byte("[")), bytes.Repeat(maskedFrame(0, nil), 10_000)...))
		}, 1008},
	})
	for name, drip := range map[string]func(c *rawClient){
		"never final, silent":         func(*rawClient) {},
		"never final, a ping a time":  func(c *rawClient) { c.frame(ping, nil) },
		"never final, a frame a time": func(c *rawClient) { c.frame(0, []byte(" ")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, setup{pipes: true})
				c := f.raw()
				c.frame(text, []byte("["))
				begin := time.Now()
				var group sync.WaitGroup
				group.Go(func() {
					for time.Since(begin) < 9500*time.Millisecond {
						drip(c)
						pass(time.Second)
					}
				})
				if code := c.closeCode(); code != 1008 || time.Since(begin) != 10*time.Second {
					t.Errorf("closed with %d after %v, want 1008 after 10 s", code, time.Since(begin))
				}
				group.Wait()
			})
		})
	}

	// What open fragments pin: with 63 of them and a message of almost the limit.
	const limit, n = 64 << 10, 100
	f := start(t, setup{})
	clients := make([]*rawClient, n)
	for i := range clients {
		clients[i] = f.raw()
	}
	_, heap := resident()
	for _, c := range clients {
		c.frame(text, []byte("["))
		for range 62 {
			c.frame(0, bytes.Repeat([]byte(" "), limit/63))
		}
		c.frame(ping, nil) // the pong comes when all of it has come
		if first, _, err := c.next(); first != pong || err != nil {
			t.Fatalf("%x, %v", first, err)
		}
	}
	_, more := resident()
	if each := (more - heap) / n; each > 2*limit {
		t.Errorf("%d bytes pinned for each, want %d at most", each, 2*limit)
	} else {
		t.Logf("%d bytes pinned for each", each)
	}
	runtime.KeepAlive(clients)
}

// bomb is 8 MB of one letter, compressed as permessage-deflate does: some 8 KiB.
func bomb(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}

// securityCompression: without MountConfig.Compression there is none, whatever a
// client offers; with it bombs end.
func securityCompression(t *testing.T) {
	t.Run("on", securityCompressed)
	f := start(t, setup{})
	for _, offer := range []string{
		"permessage-deflate", "permessage-deflate; client_max_window_bits", "permessage-deflate; server_max_window_bits=8; client_max_window_bits=8",
		"permessage-deflate; server_max_window_bits=16", "permessage-deflate; client_no_context_takeover; server_no_context_takeover", "x-webkit-deflate-frame",
	} {
		c := f.dialRaw()
		c.write([]byte(f.upgradeRequest("Sec-WebSocket-Extensions: " + offer + "\r\n")))
		resp, err := http.ReadResponse(c.r, nil)
		if err != nil || resp.StatusCode != 101 || len(resp.Header.Values("Sec-WebSocket-Extensions")) != 0 {
			t.Errorf("%s: %v %v", offer, resp, err)
		}
	}
	once := bomb(t, bytes.Repeat([]byte("A"), 8_000_000))
	if len(once) > 8<<10 {
		t.Fatalf("the bomb has %d bytes", len(once))
	}
	nested := bomb(t, once)
	const n = 1000
	clients := make([]*rawClient, n)
	for i := range clients {
		clients[i] = f.raw()
	}
	allocated := allocatedBy(func() {
		var group sync.WaitGroup
		for i, c := range clients {
			group.Go(func() {
				c.frame(final|0x40|text, [][]byte{once, nested}[i%2])
				if code := c.closeCode(); code != 1002 {
					t.Errorf("closed with %d, want 1002", code)
				}
			})
		}
		group.Wait()
	})
	t.Logf("%d bytes allocated for each of %d bombs, the client's part included", allocated/n, n)
	if allocated/n > 64<<10*slowdown {
		t.Errorf("%d bytes allocated for each of %d bombs", allocated/n, n)
	}
}

// securityJSON is what a connection makes of what the codec refuses; the row
// itself is in the codec's own tests.
func securityJSON(t *testing.T) {
	send := func(payload string) func(c *rawClient) {
		return func(c *rawClient) { c.frame(final|text, []byte(`[null,"1","phoenix","heartbeat",`+payload+`]`)) }
	}
	var keys strings.Builder
	for i := range 1_000_000 {
		keys.WriteString(`,"`)
		keys.Write(binary.BigEndian.AppendUint32(nil, uint32(i))[1:])
		keys.WriteString(`":0`)
	}
	tests := []frameTest{
		{"10^5 brackets, longer than a message may be", send(strings.Repeat("[", 100_000)), 1009},
		{"60,000 brackets", send(strings.Repeat("[", 60_000)), 1011},
		{"9,999 deep", send(strings.Repeat("[", 9999) + strings.Repeat("]", 9999)), refused},
		{"30 deep", send(strings.Repeat("[", 30) + strings.Repeat("]", 30)), answered},
		{"10^6 keys", func(c *rawClient) { // its beginning: the length is told before
			c.write(maskedFrame(final|text, []byte(`[null,"1","phoenix","heartbeat",{`+keys.String()[1:]+`}]`))[:60_000])
		}, 1009},
		{"1e999999", send("1e999999"), refused},
		{"long escape", send(`"` + strings.Repeat(`\u0041`, 10_000) + `"`), answered},
		{"escape without end", send(`"` + strings.Repeat(`\`, 60_001) + `"`), 1011},
		{"byte order mark", func(c *rawClient) { c.frame(final|text, append([]byte("\ufeff"), heartbeat(0)...)) }, 1011},
		{"lone surrogate", send(`"\ud800"`), refused},
		{"duplicate key", send(`{"a":1,"a":2}`), refused},
		{"unknown field", send(`{"unknown":1},"more"`), answered},
		{"empty message", func(c *rawClient) { c.frame(final|text, nil) }, 1011},
		{"malformed", func(c *rawClient) { c.frame(final|text, []byte(`{"nope"`)) }, 1011},
		{"bad binary", func(c *rawClient) { c.frame(final|2, []byte{7, 1, 1}) }, 1011},
	}
	tryFrames(t, setup{}, tests)
}
