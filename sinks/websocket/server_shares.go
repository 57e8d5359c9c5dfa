package websocket

import (
	"net/netip"
	"sync"
)

// shares bounds what all clients use of something, so that no address can use it up:
// each may have as much as is free. Any goroutine may use it.
type shares struct {
	limit int64
	alone int64 // what an address may have in any case, up to the limit

	mu   sync.Mutex
	used int64
	by   map[netip.Addr]int64 // without those that have none
}

// take reports whether an address may have n more, and counts them.
func (s *shares) take(addr netip.Addr, n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	free := s.limit - s.used
	if n > free || s.by[addr]+n > max(free, s.alone) {
		return false
	}
	if s.by == nil {
		s.by = make(map[netip.Addr]int64)
	}
	s.used += n
	s.by[addr] += n
	return true
}

// give gives back n of what take has counted.
func (s *shares) give(addr netip.Addr, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= n
	if s.by[addr] -= n; s.by[addr] == 0 {
		delete(s.by, addr)
	}
}
