package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// tally is what the clients of a test have received.
type tally struct {
	reading sync.WaitGroup
	mu      sync.Mutex
	got     map[int]int // by number of a push: connections that have it
}

// follow reads from a connection until it ends.
func (a *tally) follow(ctx context.Context, s *subscriber) {
	a.reading.Go(func() {
		for {
			r, err := s.next(ctx)
			if err != nil {
				return
			}
			a.mu.Lock()
			a.got[r.Data.N]++
			a.mu.Unlock()
		}
	})
}

// TestTheAccountOfAClusterAddsUp: pushes are posted at each of three processes for users
// who are at any of them, move, or are nowhere. The sum of the summaries has each push
// once, wherever it was delivered.
func TestTheAccountOfAClusterAddsUp(t *testing.T) {
	t.Parallel() // it waits
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	a, b := startPair(t, "-grace", "500ms")
	c := start(t, "-cluster", "embedded", "-join", a.cluster.server.ClusterAddr(), "-node", "c", "-grace", "500ms")
	nodes := []running{a, b, c}
	clients := &tally{got: make(map[int]int)}
	ctx := within(t, patience)
	const users, pushes = 6, 300
	var at [users]*subscriber
	accepted := make([]int64, len(nodes))
	for n := range pushes {
		if i := r.IntN(users); r.IntN(8) == 0 || at[i] == nil {
			if at[i] != nil {
				at[i].conn.CloseNow()
			}
			at[i] = nodes[r.IntN(len(nodes))].join(fmt.Sprint(i))
			clients.follow(ctx, at[i])
		}
		user, home := r.IntN(users+2), r.IntN(len(nodes)) // two users are nowhere
		nodes[home].push(fmt.Sprint(user), n)
		accepted[home]++
	}
	for i := range at {
		if at[i] == nil {
			at[i] = c.join(fmt.Sprint(i))
			clients.follow(ctx, at[i])
		}
	}
	eventually(t, patience, "the end of all pushes", func() bool {
		var ended int64
		for _, node := range nodes {
			s := node.status(ctx)
			ended += s.Delivered + sum(s.Discarded)
		}
		return ended == pushes
	})
	var enqueued, delivered, queued, discarded int64
	for i, node := range nodes {
		s := node.stop()
		t.Logf("%+v", s)
		if s.Accepted != accepted[i] || s.Enqueued != accepted[i] || !s.balanced() {
			t.Errorf("node %d has taken in %d, and counts %+v", i, accepted[i], s)
		}
		enqueued, delivered, queued, discarded = enqueued+s.Enqueued, delivered+s.Delivered, queued+s.Queued, discarded+sum(s.Discarded)
		if s.Discarded["no_subscriber"]+s.Discarded["no_answer"] != sum(s.Discarded) {
			t.Errorf("discarded %v", s.Discarded)
		}
	}
	clients.reading.Wait() // the connections are closed
	if enqueued != pushes || delivered+discarded != pushes || queued != 0 {
		t.Errorf("%d pushes: enqueued %d, delivered %d, discarded %d, queued %d", pushes, enqueued, delivered, discarded, queued)
	}
	if got := int64(len(clients.got)); got > delivered+discarded || delivered == 0 || discarded == 0 {
		t.Errorf("the clients have %d pushes, %d are delivered, %d discarded", got, delivered, discarded)
	}
}
