package main

import (
	"os"
	"testing"
)

// TestRedisCarriesAPushToAnotherProcess, and its receipt back. It needs a server: make
// test-redis.
func TestRedisCarriesAPushToAnotherProcess(t *testing.T) {
	at := os.Getenv("PENSTOCK_REDIS")
	if at == "" {
		t.Skip("needs a server: make test-redis, or PENSTOCK_REDIS")
	}
	a, b := start(t, "-cluster", "redis://"+at, "-node", "a"), start(t, "-cluster", "redis://"+at, "-node", "b")
	here, there := a.join("1"), b.join("2")
	b.endpoint.PubSub().Settle(t.Context(), "user:2")
	ctx := within(t, patience)
	const count = 50
	for n := range count {
		a.push("1", n)
		a.push("2", n)
	}
	for n := range count {
		for _, s := range []*subscriber{here, there} {
			if got, err := s.next(ctx); err != nil || got.Data.N != n {
				t.Fatalf("push %d: %+v, %v", n, got, err)
			}
		}
	}
	discardedAtOnce(a)
	if s := a.status(t.Context()); s.Node != "a" || len(s.Nodes) != 1 || s.Nodes[0] != "b" {
		t.Errorf("the page shows %q and %q", s.Node, s.Nodes)
	}
	for _, s := range []*subscriber{here, there} {
		s.conn.CloseNow() // the end would wait for a client that does not read
	}
	if sum := a.stop(); sum.Delivered != 2*count {
		t.Errorf("%d of %d have a receipt: %+v", sum.Delivered, 2*count, sum)
	}
	if sum := b.stop(); sum.Delivered != 0 || sum.Enqueued != 0 {
		t.Errorf("the other process has taken pushes in: %+v", sum)
	}
}
