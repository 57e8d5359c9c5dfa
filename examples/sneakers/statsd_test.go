package main

import (
	"net"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// TestTheLatencyOfAlertsIsInStatsD: from when an alert was enqueued until it was written to
// a shopper's connection, with the name of docs/metrics.md.
func TestTheLatencyOfAlertsIsInStatsD(t *testing.T) {
	t.Parallel()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	a := start(t, "-stock", "6", "-statsd", server.LocalAddr().String())
	v, buyer := enter(t, a), enter(t, a)
	shoe := item(a, 0, 0)
	v.cart = signed(t, a, v.cartID, shoe)
	v.tab(cartTopic(v.cartID))
	v.next("cart", nil)
	buyer.buys(shoe, "k")
	var got alert
	v.next("push_timed", &got)

	line := regexp.MustCompile(`(?m)^pipeline\.push_delivered:([0-9.]+)\|ms`)
	if err := server.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	seen := ""
	for packet := make([]byte, 1<<16); ; {
		n, _, err := server.ReadFrom(packet)
		if err != nil {
			t.Fatalf("%v; has come: %s", err, seen)
		}
		seen += string(packet[:n]) + "\n"
		if m := line.FindStringSubmatch(string(packet[:n])); m != nil {
			// The end of a write is noted after it, when the shopper may have read the alert.
			most := time.Since(time.UnixMilli(got.At)) + time.Millisecond // At has no digits beyond
			ms, err := strconv.ParseFloat(m[1], 64)
			if took := time.Duration(ms * float64(time.Millisecond)); err != nil || took < 0 || took > most {
				t.Errorf("%s, although it has taken at most %v; %v", m[0], most, err)
			}
			return
		}
	}
}
