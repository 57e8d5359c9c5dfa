package websocket_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// TestFramesOfAttackers holds the rows S9, S10 and S12 of what must be tried.
func TestFramesOfAttackers(t *testing.T) {
	text, final := byte(0x01), byte(0x80)
	code := func(n uint16, reason string) []byte { return append(binary.BigEndian.AppendUint16(nil, n), reason...) }
	heartbeat := []byte(`[null,"1","phoenix","heartbeat",{}]`)
	fill := func(n int) []byte { // a heartbeat of n bytes
		return []byte(`[null,"1","phoenix","heartbeat","` + strings.Repeat("x", n-len(`[null,"1","phoenix","heartbeat",""]`)) + `"]`)
	}
	answered := 1 // stands for: no close, but the reply
	tests := []struct {
		name string
		send func(c *rawClient)
		want int
	}{
		{"S9 length beyond int63", func(c *rawClient) {
			c.write([]byte{final | text, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4})
		}, 1009},
		{"S9 length of int63", func(c *rawClient) {
			c.write([]byte{final | text, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4})
		}, 1009},
		{"S9 a byte too long", func(c *rawClient) { c.frame(final|text, fill(65537)) }, 1009},
		{"S9 just fits", func(c *rawClient) { c.frame(final|text, fill(65536)) }, answered},
		{"S9 fragments beyond the limit", func(c *rawClient) {
			c.frame(text, fill(40000))
			c.frame(final, fill(40000))
		}, 1009},
		{"S9 long ping", func(c *rawClient) { c.frame(final|9, make([]byte, 126)) }, 1002},
		{"S9 fragmented ping", func(c *rawClient) { c.frame(9, nil) }, 1002},
		{"S9 reserved bit", func(c *rawClient) { c.frame(final|0x40|text, heartbeat) }, 1002},
		{"S9 reserved opcode", func(c *rawClient) { c.frame(final|3, nil) }, 1002},
		{"S9 reserved control opcode", func(c *rawClient) { c.frame(final|0xb, nil) }, 1002},
		{"S9 not masked", func(c *rawClient) { c.write(append([]byte{final | text, byte(len(heartbeat))}, heartbeat...)) }, 1002},
		{"S9 continuation first", func(c *rawClient) { c.frame(final, heartbeat) }, 1002},
		{"S9 interleaved", func(c *rawClient) { c.frame(text, heartbeat[:5]); c.frame(final|text, heartbeat) }, 1002},
		{"S9 close of one byte", func(c *rawClient) { c.frame(final|8, []byte{3}) }, 1002},
		{"S9 close 1005", func(c *rawClient) { c.frame(final|8, code(1005, "")) }, 1002},
		{"S9 close 5000", func(c *rawClient) { c.frame(final|8, code(5000, "")) }, 1002},
		{"S9 close with bad UTF-8", func(c *rawClient) { c.frame(final|8, code(1000, "\xff")) }, 1007},
		{"S9 close without code", func(c *rawClient) { c.frame(final|8, nil) }, 1000},
		{"close 4000", func(c *rawClient) { c.frame(final|8, code(4000, "bye")) }, 1000},
		{"bad UTF-8", func(c *rawClient) { c.frame(final|text, []byte("[\"\xff\"]")) }, 1007},
		{"bad UTF-8 over fragments", func(c *rawClient) { c.frame(text, []byte("[\"\xc3")); c.frame(final, []byte("\"]")) }, 1007},
		{"UTF-8 cut by fragments", func(c *rawClient) {
			m := []byte(`[null,"1","phoenix","heartbeat","é"]`)
			at := bytes.IndexByte(m, 0xc3) + 1
			c.frame(text, m[:at])
			c.frame(final, m[at:])
		}, answered},
		{"ping between fragments", func(c *rawClient) {
			c.frame(text, heartbeat[:7])
			c.frame(final|9, []byte("hey"))
			c.frame(final, heartbeat[7:])
		}, answered},
		{"pong without ping", func(c *rawClient) { c.frame(final|10, []byte("x")); c.frame(final|text, heartbeat) }, answered},
		{"many small writes", func(c *rawClient) {
			for _, b := range maskedFrame(final|text, heartbeat) {
				c.write([]byte{b})
			}
		}, answered},
		{"S10 one-byte fragments", func(c *rawClient) {
			c.frame(text, []byte("["))
			for range 200 {
				c.frame(0, []byte(" "))
			}
		}, 1008},
		{"S10 64 fragments", func(c *rawClient) {
			c.frame(text, []byte(" "))
			for range 62 {
				c.frame(0, []byte(" "))
			}
			c.frame(final, heartbeat)
		}, answered},
		{"S10 empty fragment", func(c *rawClient) { c.frame(text, nil) }, 1008},
		{"empty message", func(c *rawClient) { c.frame(final|text, nil) }, 1011},
		{"malformed", func(c *rawClient) { c.frame(final|text, []byte(`{"nope"`)) }, 1011},
		{"S12 nested", func(c *rawClient) { c.frame(final|text, bytes.Repeat([]byte("["), 60000)) }, 1011},
		{"bad binary", func(c *rawClient) { c.frame(final|2, []byte{7, 1, 1}) }, 1011},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, setup{channels: map[string]*app{"room:*": {}}})
			c := f.raw()
			test.send(c)
			if test.want == answered {
				for {
					first, payload, err := c.next()
					if err != nil || first == 0x88 {
						t.Fatalf("%x %x %v, want the reply", first, payload, err)
					}
					if first == 0x8a {
						if string(payload) != "hey" {
							t.Errorf("pong %q", payload)
						}
						continue
					}
					if string(payload) != `[null,"1","phoenix","phx_reply",{"response":{},"status":"ok"}]` {
						t.Errorf("reply %s", payload)
					}
					return
				}
			}
			if got := c.closeCode(); got != test.want {
				t.Errorf("closed with %d, want %d", got, test.want)
			}
		})
	}
}

// TestPromisedBytesCostNothing pins that memory follows what came and not what
// a header promises.
func TestPromisedBytesCostNothing(t *testing.T) {
	f := start(t, setup{mount: websocket.MountConfig{MaxFrame: 64 << 20}})
	var before, after runtime.MemStats
	var clients []*rawClient
	for range 50 {
		clients = append(clients, f.raw())
	}
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, c := range clients {
		c.write(append(binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, 60<<20), "mask and a few bytes"...))
		c.frame(0x89, nil)
	}
	for _, c := range clients {
		_ = c.nc.Close()
	}
	eventually(t, func() bool { return f.endpoint.Snapshot().Connections == 0 })
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
		t.Errorf("%d bytes for 50 promises of 60 MiB", n)
	}
}

func TestNamesOfTopics(t *testing.T) { // S6, S7
	f := start(t, setup{channels: map[string]*app{"user:1": {}, "room:*": {}}})
	p := f.connect("1")
	for _, topic := range []string{"user:01", `user:1\u0000`, "USER:1", "user:1,user:2", "user:\u0661", "", "user:*", "room", strings.Repeat("room:", 100)} {
		p.send(`["1","1","%s","phx_join",{}]`, topic)
		var reply string
		if reply = p.read(); !strings.Contains(reply, `{"response":{"reason":"unmatched topic"},"status":"error"}`) {
			t.Errorf("%q: %s", topic, reply)
		}
	}
	p.join(1, "user:1")
}

func TestPingFlood(t *testing.T) { // S15: a client that does not read its pongs is closed
	f := start(t, setup{mount: websocket.MountConfig{MaxRate: 1_000_000, Queue: websocket.QueueConfig{Events: 64}}})
	c := f.raw()
	ping := maskedFrame(0x89, make([]byte, 125))
	flood := bytes.Repeat(ping, 100)
	go func() {
		for range 1000 {
			c.write(flood)
		}
	}()
	eventually(t, func() bool { return f.endpoint.Snapshot().Connections == 0 })
}

func TestJoinLeaveChurn(t *testing.T) { // S16
	f := start(t, setup{mount: websocket.MountConfig{MaxJoinRate: 1_000_000}, channels: map[string]*app{"room:*": {}}})
	p := f.connect("1")
	for n := range 2000 {
		p.send(`["%d","%d","room:%d","phx_join",{}]`, n, n, n%7)
		if n >= 1000 {
			p.send(`["%d","%d","room:%d","phx_leave",{}]`, n, n, n%7)
		}
		for done := false; !done; {
			m := p.read()
			done = strings.HasPrefix(m, fmt.Sprintf(`["%d","%d",`, n, n)) && (n < 1000 && strings.Contains(m, "phx_reply") || strings.Contains(m, "phx_close"))
		}
	}
	eventually(t, func() bool { return f.endpoint.Snapshot().Channels == 0 })
	if n := f.endpoint.PubSub().Topics(); n != 0 {
		t.Errorf("%d topics are left", n)
	}
}
