package websocket_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// The first bytes of frames.
const (
	final      = 0x80
	text       = 0x01
	binaryOp   = 0x02
	closeFrame = 0x88
	ping       = 0x89
	pong       = 0x8a
)

// answered stands for a close code: the connection stays and the heartbeat gets
// its reply.
const answered = 1

// refused stands for a close code: the connection stays and the heartbeat gets an
// error reply.
const refused = 2

// frameTest is what a client sends, and the close code that it gets for it.
type frameTest struct {
	name string
	send func(c *rawClient)
	want int
}

// heartbeat is one of n bytes, as short as possible for 0.
func heartbeat(n int) []byte {
	const begin, end = `[null,"1","phoenix","heartbeat","`, `"]`
	return []byte(begin + strings.Repeat("x", max(0, n-len(begin+end))) + end)
}

func tryFrames(t *testing.T, s setup, tests []frameTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, s)
			c := f.raw()
			test.send(c)
			if test.want == refused {
				if _, reply, err := c.next(); err != nil || !strings.Contains(string(reply), `"reason":"malformed message"`) {
					t.Errorf("reply %q, %v, want an error reply", reply, err)
				}
				return
			}
			if test.want != answered {
				if got := c.closeCode(); got != test.want {
					t.Errorf("closed with %d, want %d", got, test.want)
				}
				return
			}
			for {
				first, payload, err := c.next()
				if err != nil || first == closeFrame {
					t.Fatalf("%x %x %v, want the reply", first, payload, err)
				}
				if first == pong {
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
		})
	}
}

func statusCode(n int, reason string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(n)), reason...)
}

// TestProtocol goes through the groups of cases 1 to 7 of Autobahn's suite for
// servers, of which group 8 is about hosts and 9 to 13 about speed and
// compression. The suite itself is run by make autobahn.
func TestProtocol(t *testing.T) {
	send := func(first byte, payload []byte) func(c *rawClient) {
		return func(c *rawClient) { c.frame(first, payload) }
	}
	// withText is a heartbeat whose payload holds s, in frames cut at each of cuts.
	withText := func(s string, cuts ...int) func(c *rawClient) {
		return func(c *rawClient) {
			const begin = `[null,"1","phoenix","heartbeat","`
			m := []byte(begin + s + `"]`)
			first, from := byte(text), 0
			for _, cut := range cuts {
				c.frame(first, m[from:len(begin)+cut])
				first, from = 0, len(begin)+cut
			}
			c.frame(final|first, m[from:])
		}
	}
	var groups = map[string][]frameTest{
		"1_framing": {},
		"2_pings": {
			{"empty", func(c *rawClient) { c.frame(ping, []byte("hey")); c.frame(final|text, heartbeat(0)) }, answered},
			{"125 bytes", func(c *rawClient) {
				c.frame(ping, bytes.Repeat([]byte{0xfe}, 125))
				if first, p, err := c.next(); first != pong || !bytes.Equal(p, bytes.Repeat([]byte{0xfe}, 125)) || err != nil {
					c.t.Errorf("%x %x %v", first, p, err)
				}
				c.frame(final|text, heartbeat(0))
			}, answered},
			{"126 bytes", send(ping, make([]byte, 126)), 1002},
			{"in octets", func(c *rawClient) {
				for _, b := range append(maskedFrame(ping, []byte("hey")), maskedFrame(final|text, heartbeat(0))...) {
					c.write([]byte{b})
				}
			}, answered},
			{"unsolicited pong", func(c *rawClient) {
				c.frame(pong, nil)
				c.frame(pong, []byte("x"))
				c.frame(final|text, heartbeat(0))
			}, answered},
			{"ten at once", func(c *rawClient) {
				c.write(bytes.Repeat(maskedFrame(ping, []byte("hey")), 10))
				c.frame(final|text, heartbeat(0))
			}, answered},
		},
		"3_reserved_bits": {},
		"4_opcodes":       {},
		"5_fragmentation": {
			{"ping", func(c *rawClient) { c.frame(9, []byte("a")); c.frame(final, []byte("b")) }, 1002},
			{"pong", func(c *rawClient) { c.frame(10, []byte("a")); c.frame(final, []byte("b")) }, 1002},
			{"text", withText("", 0), answered},
			{"ping between", func(c *rawClient) {
				c.frame(text, heartbeat(0)[:7])
				c.frame(ping, []byte("hey"))
				c.frame(final, heartbeat(0)[7:])
			}, answered},
			{"in octets", func(c *rawClient) {
				m := append(maskedFrame(text, heartbeat(0)[:7]), maskedFrame(ping, []byte("hey"))...)
				for _, b := range append(m, maskedFrame(final, heartbeat(0)[7:])...) {
					c.write([]byte{b})
				}
			}, answered},
			{"continuation first", send(final, heartbeat(0)), 1002},
			{"continuation first, not final", send(0, heartbeat(0)), 1002},
			{"continuation after a whole message", func(c *rawClient) { c.frame(final|text, heartbeat(0)); c.frame(final, nil) }, 1002},
			{"text in a text", func(c *rawClient) { c.frame(text, heartbeat(0)[:5]); c.frame(final|text, heartbeat(0)) }, 1002},
			{"binary in a text", func(c *rawClient) { c.frame(text, heartbeat(0)[:5]); c.frame(final|binaryOp, heartbeat(0)) }, 1002},
			{"empty last", func(c *rawClient) { c.frame(text, heartbeat(0)); c.frame(final, nil) }, answered},
			{"empty first, refused on purpose", send(text, nil), 1008},
			{"empty in the middle, refused on purpose", func(c *rawClient) { c.frame(text, heartbeat(0)); c.frame(0, nil) }, 1008},
		},
		"6_utf8": {
			{"valid", withText("Hello-\u00b5@\u00df\u00f6\u00e4\u00fc\u00e0\u00e1-UTF-8!! \u4f60\u597d \U0010ffff"), answered},
			{"cut within characters", withText("\u00b5\u4f60\U0001f600", 1, 3, 4, 6, 7, 8), answered},
			{"every character of three bytes cut", withText("\u0800\ud7ff\ue000\uffff", 1, 2, 4, 5, 7, 8, 10, 11), answered},
			{"empty continuation after half a character", func(c *rawClient) { c.frame(text, []byte("[\"\xe4")); c.frame(final, nil) }, 1007},
		},
		"7_close": {
			{"without code", send(closeFrame, nil), 1000},
			{"one byte", send(closeFrame, []byte{3}), 1002},
			{"reason of 123 bytes", send(closeFrame, statusCode(1000, strings.Repeat("x", 123))), 1000},
			{"reason of 124 bytes", send(closeFrame, statusCode(1000, strings.Repeat("x", 124))), 1002},
			{"reason with bad UTF-8", send(closeFrame, statusCode(1000, "\xce\xba\xed\xa0\x80")), 1007},
			{"reason cut within a character", send(closeFrame, statusCode(1000, "\xe4\xbd")), 1007},
			{"twice", func(c *rawClient) { c.frame(closeFrame, nil); c.frame(closeFrame, statusCode(1001, "")) }, 1000},
			{"in a message", func(c *rawClient) { c.frame(text, []byte("[")); c.frame(closeFrame, nil) }, 1000},
			{"before a message", func(c *rawClient) { c.frame(closeFrame, nil); c.frame(final|text, heartbeat(0)) }, 1000},
			{"before a ping", func(c *rawClient) { c.frame(closeFrame, nil); c.frame(ping, []byte("hey")) }, 1000},
			{"fragmented", func(c *rawClient) { c.frame(8, []byte{3}); c.frame(final, []byte{0xe8}) }, 1002},
		},
	}
	add := func(group, name string, send func(c *rawClient), want int) {
		groups[group] = append(groups[group], frameTest{name, send, want})
	}
	for _, n := range []int{0, 125, 126, 127, 128, 65535, 65536} {
		add("1_framing", fmt.Sprintf("text of %d", n), send(final|text, heartbeat(n)), answered)
		add("1_framing", fmt.Sprintf("binary of %d", n), send(final|binaryOp, append([]byte{0, 0, 1, 7, 9}, fmt.Sprintf("1phoenixheartbeat%s", strings.Repeat("x", max(0, n-22)))...)), answered)
		add("1_framing", fmt.Sprintf("text of %d in pieces of 997", n), func(c *rawClient) {
			for m := maskedFrame(final|text, heartbeat(n)); len(m) > 0; m = m[min(997, len(m)):] {
				c.write(m[:min(997, len(m))])
			}
		}, answered)
	}
	for rsv := byte(1); rsv < 8; rsv++ {
		for name, op := range map[string]byte{"text": text, "binary": binaryOp, "ping": 9, "pong": 10, "close": 8} {
			add("3_reserved_bits", fmt.Sprintf("%d in a %s", rsv, name), send(final|rsv<<4|op, []byte("x")), 1002)
		}
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		add("4_opcodes", fmt.Sprintf("%d", op), send(final|op, nil), 1002)
		add("4_opcodes", fmt.Sprintf("%d with data", op), func(c *rawClient) { c.frame(final|op, []byte("x")); c.frame(ping, nil) }, 1002)
	}
	for name, bad := range map[string]string{
		"surrogate": "\xed\xa0\x80", "surrogate pair": "\xed\xa0\x80\xed\xb0\x80", "beyond unicode": "\xf4\x90\x80\x80", "five bytes": "\xf8\x88\x80\x80\x80", "six bytes": "\xfc\x84\x80\x80\x80\x80",
		"overlong slash": "\xc0\xaf", "overlong of three": "\xe0\x80\xaf", "overlong of four": "\xf0\x80\x80\xaf", "overlong null": "\xc0\x80", "lone continuation": "\x80", "lone start": "\xc3x",
		"impossible": "\xfe", "impossible too": "\xff", "cut of two": "\xc2", "cut of three": "\xe4\xbd", "cut of four": "\xf0\x9f\x98",
	} {
		add("6_utf8", name, withText(bad), 1007)
		add("6_utf8", name+" over fragments", withText(bad, 1), 1007)
		add("6_utf8", name+" as an event in pieces", func(c *rawClient) {
			for _, b := range maskedFrame(final|text, []byte(`[null,"1","phoenix","`+bad+`",{}]`)) {
				c.write([]byte{b})
			}
		}, 1007)
	}
	for _, n := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		add("7_close", fmt.Sprint(n), send(closeFrame, statusCode(n, "bye")), 1000)
	}
	for _, n := range []int{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		add("7_close", fmt.Sprint(n), send(closeFrame, statusCode(n, "")), 1002)
	}
	for name, tests := range groups {
		t.Run(name, func(t *testing.T) { tryFrames(t, setup{}, tests) })
	}
}

// TestBadTextIsRefusedAtOnce is the part of group 6 about time: what can never
// be UTF-8 closes the connection while the rest of the message is still to
// come, in the same frame or in another one.
func TestBadTextIsRefusedAtOnce(t *testing.T) {
	f := start(t, setup{})
	for name, sent := range map[string][]byte{
		"in a fragment":         maskedFrame(text, []byte("[\"\xf4\x90")),
		"over two fragments":    append(maskedFrame(text, []byte("[\"\xf4")), maskedFrame(0, []byte("\x90"))...),
		"in the middle":         maskedFrame(text, []byte("[\"\xff\" and more")),
		"in a part of a frame":  maskedFrame(final|text, append([]byte("[\"\xff"), make([]byte, 1000)...))[:200],
		"in parts of two sizes": maskedFrame(final|text, append([]byte("[\"\xf4\x90"), make([]byte, 60_000)...))[:30_000],
	} {
		c := f.raw()
		c.write(sent)
		begin := time.Now()
		if code := c.closeCode(); code != 1007 || time.Since(begin) > 5*time.Second {
			t.Errorf("%s: closed with %d after %v", name, code, time.Since(begin))
		}
	}
}

func TestPingFlood(t *testing.T) { // S15: a client that does not read its pongs is closed
	f := start(t, setup{mount: websocket.MountConfig{Limits: websocket.Limits{FrameRate: 1_000_000}, Queue: websocket.QueueConfig{Events: 64}}})
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
	f := start(t, setup{mount: websocket.MountConfig{Limits: websocket.Limits{JoinRate: 1_000_000}}, channels: map[string]*app{"room:*": {}}})
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
