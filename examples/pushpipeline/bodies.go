package main

import (
	"errors"
	"io"
	"sync"
)

// maxBodies bounds the bytes of bodies that are under way. What is parsed takes several
// times their memory.
const maxBodies = 16 * maxBody

// smallBody is how many bytes of each body do not count, so that small ones are taken
// however many large ones are under way.
const smallBody = 4 << 10

// errBodies is for a body that would exceed its producer's share of maxBodies.
var errBodies = errors.New("too many bytes of bodies of this producer are under way")

// bodyShares bounds the bytes of bodies under way, so that no producer can use them up:
// each may have as many as are free, and a whole body in any case while there is room.
// Any goroutine may use it.
type bodyShares struct {
	limit int64
	mu    sync.Mutex // guards the fields below
	used  int64
	by    map[string]int64 // only producers with bodies
}

// newBodyShares returns shares of limit bytes.
func newBodyShares(limit int64) *bodyShares {
	return &bodyShares{limit: limit, by: make(map[string]int64)}
}

// take reports whether a producer may have n bytes more, and counts them.
func (s *bodyShares) take(producer string, n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	free := s.limit - s.used
	if n > free || s.by[producer]+n > max(free, maxBody) {
		return false
	}
	s.used += n
	s.by[producer] += n
	return true
}

// give gives back n bytes.
func (s *bodyShares) give(producer string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= n
	if s.by[producer] -= n; s.by[producer] == 0 {
		delete(s.by, producer)
	}
}

// sharedBody is a body whose bytes count until release. One goroutine owns it.
type sharedBody struct {
	from       io.Reader
	shares     *bodyShares
	producer   string
	read, held int64 // bytes
}

// Read implements io.Reader.
func (b *sharedBody) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.read += int64(n)
	if more := b.read - smallBody - b.held; more > 0 {
		if !b.shares.take(b.producer, more) {
			return n, errBodies
		}
		b.held += more
	}
	return n, err
}

// release gives back what was counted.
func (b *sharedBody) release() {
	if b.held > 0 {
		b.shares.give(b.producer, b.held)
		b.held = 0
	}
}
