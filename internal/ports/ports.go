// Package ports hands out loopback ports to tests and scripts that start servers of their own.
//
// A port that the system chose and that was closed again may belong to another program before
// the server listens there, and two processes that draw numbers may draw the same. A [Range] is
// kept by a listener of its own until it is closed, so that all who use this package, in
// any process, have ports of their own. Its ports are below those that systems hand out to
// clients. Scripts have them by the program hold.
package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports come in tens, of which the first keeps the other nine. Linux hands out ports from
// 32,768 on by default, other systems from 16,000 on.
const (
	lowest = 10_000
	ten    = 10
	tens   = 600
)

// Range is some tens of ports that no other Range has, in any process.
type Range struct {
	// First is a multiple of ten. It and each tenth port after it are taken by the Range
	// itself; the nine after each of them are free.
	First int

	kept []net.Listener
}

var errNone = errors.New("ports: no free ports on 127.0.0.1")

// Take returns n tens of ports one after the other, at all of which nothing listens.
func Take(n int) (*Range, error) { return take(n, rand.IntN(tens)) }

// take tries all places, beginning with the ten with number from.
func take(n, from int) (*Range, error) {
	for i := range tens {
		place := (from + i) % tens
		if place+n > tens {
			continue
		}
		r := &Range{First: lowest + ten*place}
		if r.keep(n) {
			return r, nil
		}
		r.Close()
	}
	return nil, fmt.Errorf("%w: %d from %d to %d", errNone, n*ten, lowest, lowest+ten*tens-1)
}

// keep listens at each tenth port, and reports whether all other ports are free.
func (r *Range) keep(n int) bool {
	for i := range n * ten {
		l, err := net.Listen("tcp", address(r.First+i))
		switch {
		case err != nil:
			return false
		case i%ten == 0:
			r.kept = append(r.kept, l)
		default:
			_ = l.Close()
		}
	}
	return true
}

// Addr returns the host:port of free port n, the first of which has number 0.
func (r *Range) Addr(n int) string { return address(r.First + n/(ten-1)*ten + n%(ten-1) + 1) }

// Close gives the ports back.
func (r *Range) Close() {
	for _, l := range r.kept {
		_ = l.Close()
	}
	r.kept = nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Test is what [For] needs of a testing.TB.
type Test interface {
	Helper()
	Fatal(args ...any)
	Cleanup(func())
}

// For takes n tens of ports for a test, which has them until it ends.
func For(t Test, n int) *Range {
	t.Helper()
	r, err := Take(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}
