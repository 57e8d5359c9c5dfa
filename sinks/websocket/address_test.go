package websocket

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

// TestArrivalsForget pins that addresses which try now and then are not kept: an
// attacker has as many as there are.
func TestArrivalsForget(t *testing.T) {
	a := &arrivals{rate: 10}
	now := int64(0)
	most := 0
	for n := range uint64(200_000) { // 1,000 a second
		var addr [16]byte
		binary.BigEndian.PutUint64(addr[:], 0x2001_0db8<<32|n)
		if !a.allow(netip.AddrFrom16(addr), now) {
			t.Fatalf("address %d was refused", n)
		}
		most = max(most, len(a.used))
		now += int64(time.Millisecond)
	}
	if most > 4096 {
		t.Errorf("%d addresses were kept, of 1,000 that are new in a second", most)
	}
}
