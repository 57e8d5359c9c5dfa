//go:build linux

package fleet

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// message is number seq of a topic, sent at ts.
func message(topic string, seq, ts int64) []byte {
	return sent(fmt.Sprintf(`[null,null,"%s","msg",{"ts":%d,"seq":%d,"pad":"x"}]`, topic, ts, seq))
}

// TestChecks gives a client what a server must not send.
func TestChecks(t *testing.T) {
	const other = -1 // instead of a number: a message of another topic
	phoenix := Phoenix(0)
	for name, test := range map[string]struct {
		numbers []int64
		want    string // "" if all is well
	}{
		"all":      {[]int64{0, 1, 2, 3}, ""},
		"gap":      {[]int64{0, 1, 3}, "3 deliveries of 4: 1 skipped, 0 repeated"},
		"the last": {[]int64{0, 1, 2}, "3 deliveries of 4: 0 skipped, 0 repeated"},
		"twice":    {[]int64{0, 1, 1, 2, 3}, "5 deliveries of 4: 0 skipped, 1 repeated"},
		"order":    {[]int64{0, 2, 1, 3}, "4 deliveries of 4: 1 skipped, 1 repeated"},
		"stray":    {[]int64{0, 1, other, 2, 3}, "4 deliveries of 4: 0 skipped, 0 repeated or out of order, 1 of other topics"},
	} {
		c := &Client{state: joined, Topic: "room:a"}
		total := NewTally()
		var stream []byte
		for _, n := range test.numbers {
			if n == other {
				stream = append(stream, message("room:b", 0, 1)...)
			} else {
				stream = append(stream, message("room:a", n, 1000)...)
			}
		}
		// In pieces of any size the outcome is the same.
		for size := 1; size <= len(stream); size += 7 {
			c.want, total = 0, NewTally()
			var rest []byte
			for at := 0; at < len(stream); at += size {
				var err error
				p := append(rest, stream[at:min(at+size, len(stream))]...)
				if rest, err = c.receive(p, 5_000_000, &phoenix, total); err != nil {
					t.Fatal(err)
				}
			}
			err := total.Check(4)
			if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
				t.Fatalf("%s in pieces of %d: %v, want %q", name, size, err, test.want)
			}
		}
		if p50 := total.Quantile(50); p50 < 4900*time.Microsecond || p50 > 5100*time.Microsecond {
			t.Errorf("%s: p50 %v, want 5 ms", name, p50)
		}
	}
}

func TestRefusals(t *testing.T) {
	phoenix := Phoenix(0)
	for name, test := range map[string]struct {
		state  uint8
		stream []byte
		want   string
	}{
		"upgrade": {upgrading, []byte("HTTP/1.1 403 Forbidden\r\n\r\n"), "upgrade refused"},
		"join":    {joining, sent(`["1","1","room:a","phx_reply",{"response":{},"status":"error"}]`), "refused"},
		"close":   {joined, []byte{0x88, 2, 0x03, 0xf5}, "closed by the server"},
		"frame":   {joined, []byte{0xff, 0xff}, "not a frame"},
	} {
		c := &Client{state: test.state, Topic: "room:a"}
		if _, err := c.receive(test.stream, 0, &phoenix, NewTally()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTalliesAdd(t *testing.T) {
	a, b := NewTally(), NewTally()
	a.count(0, 0, 0, 1_000_000)
	b.count(0, 0, 0, 3_000_000)
	b.count(5, 1, 5_000_000, 4_000_000) // a clock that went backwards
	b.Strays, b.Ended = 1, 2
	a.add(b)
	if a.Deliveries != 3 || a.Missed != 4 || a.Strays != 1 || a.Ended != 2 || a.Last != 4_000_000 {
		t.Errorf("%+v", a)
	}
	if q := a.Quantile(100); q < 2900*time.Microsecond || q > 3100*time.Microsecond {
		t.Errorf("longest %v, want 3 ms", q)
	}
	if q := a.Quantile(1); q != time.Microsecond {
		t.Errorf("shortest %v, want 1 us", q)
	}
}
