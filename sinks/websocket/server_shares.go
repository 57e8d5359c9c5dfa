package websocket

import (
	"net/netip"
	"sync"
)

// shares bounds the requests that are served at once, so that no address can use
// them all up: each may have as many as are free.
type shares struct {
	limit int

	mu   sync.Mutex
	used int
	by   map[netip.Addr]int // without those that have none
}

// take reports whether a request of an address may be served, and counts it.
func (s *shares) take(addr netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by[addr] >= s.limit-s.used {
		return false
	}
	if s.by == nil {
		s.by = make(map[netip.Addr]int)
	}
	s.used++
	s.by[addr]++
	return true
}

// give ends a request that take has counted.
func (s *shares) give(addr netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used--
	if s.by[addr]--; s.by[addr] == 0 {
		delete(s.by, addr)
	}
}
