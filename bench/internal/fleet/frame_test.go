//go:build linux

package fleet

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// sent is a text frame of a server.
func sent(message string) []byte {
	switch n := len(message); {
	case n < 126:
		return append([]byte{0x81, byte(n)}, message...)
	case n < 1<<16:
		return append([]byte{0x81, 126, byte(n >> 8), byte(n)}, message...)
	default:
		return append([]byte{0x81, 127, 0, 0, 0, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, message...)
	}
}

// TestCut cuts frames of all three lengths, which come in two parts.
func TestCut(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 65535, 65536} {
		f := sent(strings.Repeat("x", size))
		stream := append(append([]byte(nil), f...), "rest"...)
		op, payload, rest, whole, err := cut(stream)
		if op != opText || len(payload) != size || string(rest) != "rest" || !whole || err != nil {
			t.Errorf("%d: op %d, %d bytes, rest %q, %v %v", size, op, len(payload), rest, whole, err)
		}
		for _, n := range []int{0, 1, 2, 3, len(f) / 2, len(f) - 1} {
			if n >= len(f) {
				continue
			}
			if _, _, rest, whole, err := cut(f[:n]); whole || len(rest) != n || err != nil {
				t.Errorf("%d of %d bytes: whole %v, %d left, %v", n, len(f), whole, len(rest), err)
			}
		}
	}
	for name, bad := range map[string][]byte{
		"masked": {0x81, 0x80}, "reserved": {0xc1, 0}, "huge": {0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0},
	} {
		if _, _, _, _, err := cut(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDelivery(t *testing.T) {
	for message, want := range map[string]string{
		`[null,null,"room:a","msg",{"ts":17,"seq":3,"pad":"xx"}]`: "17 3 true",
		`[null,null,"room:a","msg",{"pad":"xx","seq":3,"ts":17}]`: "17 3 true", // Phoenix sorts
		`[null,null,"room:b","msg",{"ts":17,"seq":3}]`:            "0 0 false",
		`[null,null,"room:aa","msg",{"ts":17,"seq":3}]`:           "0 0 false",
		`["1",null,"room:a","msg",{"ts":17,"seq":3}]`:             "0 0 false",
		`[null,null,"room:a","msg",{"ts":17}]`:                    "17 0 false",
		`[null,null,"room:a","msg",{"ts":"17","seq":3}]`:          "0 0 false",
		`[null,null,"room:a`:                                      "0 0 false",
	} {
		ts, seq, ok := delivery([]byte(message), "room:a")
		if got := fmt.Sprint(ts, seq, ok); got != want {
			t.Errorf("%s: %s, want %s", message, got, want)
		}
	}
}

func TestMasked(t *testing.T) {
	for _, size := range []int{1, 125, 126, 300} {
		message := strings.Repeat("x", size)
		f := Masked(message)
		if f[1]&0x80 == 0 || !bytes.HasSuffix(f, []byte("\x00\x00\x00\x00"+message)) {
			t.Errorf("%d: %q", size, f)
		}
	}
}

// TestScanningAllocatesNothing pins that the client costs no garbage.
func TestScanningAllocatesNothing(t *testing.T) {
	f := sent(`[null,null,"room:a","msg",{"ts":17,"seq":0,"pad":"` + strings.Repeat("x", 200) + `"}]`)
	phoenix, c := Phoenix(0), &Client{state: joined, Topic: "room:a"}
	total := NewTally()
	if n := testing.AllocsPerRun(100, func() {
		c.want = 0
		if _, err := c.receive(f, 20, &phoenix, total); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}
