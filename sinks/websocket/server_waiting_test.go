package websocket

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
)

type fakeConn struct {
	net.Conn
	id int
}

// TestWaitingModel compares the structure with a plain search in a list.
func TestWaitingModel(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	type row struct {
		nc   net.Conn
		addr netip.Addr
	}
	var w waiting
	var model []row // the oldest first
	drop := func(nc net.Conn) {
		for i, r := range model {
			if r.nc == nc {
				model = append(model[:i:i], model[i+1:]...)
				return
			}
		}
	}
	conns := make([]row, 60)
	for i := range conns {
		conns[i] = row{&fakeConn{id: i}, netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(8) * random.IntN(2))})}
	}
	for step := range 20_000 {
		switch c := conns[random.IntN(len(conns))]; random.IntN(5) {
		case 0, 1, 2:
			drop(c.nc)
			model = append(model, c)
			w.add(c.nc, c.addr)
		case 3:
			drop(c.nc)
			w.remove(c.nc)
		default:
			if len(model) == 0 {
				continue
			}
			count := make(map[netip.Addr]int)
			for _, r := range model {
				count[r.addr]++
			}
			want := model[0]
			for _, r := range model {
				if count[r.addr] > count[want.addr] {
					want = r
				}
			}
			if got := w.evict(); got != want.nc {
				t.Fatalf("seed %d, step %d: %v, want %v", seed, step, got, want)
			}
			drop(want.nc)
		}
		if len(w.where) != len(model) || len(w.from) != len(w.order) {
			t.Fatalf("seed %d, step %d: %d of %d, %d and %d addresses", seed, step, len(w.where), len(model), len(w.from), len(w.order))
		}
	}
}

// TestShares pins that an address gets no more requests than it leaves free, and
// that all are given back.
func TestShares(t *testing.T) {
	addr := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}) }
	s := shares{limit: 90}
	took := make([]int, 4)
	for who := range took { // one after the other, as much as there is
		for s.take(addr(who), 1) {
			took[who]++
		}
	}
	if got := fmt.Sprint(took); got != "[45 23 11 6]" || s.used != 85 {
		t.Errorf("%s, %d used", got, s.used)
	}
	for who, n := range took {
		for range n {
			s.give(addr(who), 1)
		}
	}
	if s.used != 0 || len(s.by) != 0 {
		t.Errorf("%d used by %d", s.used, len(s.by))
	}
}
