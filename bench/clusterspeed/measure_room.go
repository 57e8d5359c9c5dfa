//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

const (
	roomRuns = 3
	roomRows = 20_000 // broadcasts
)

// measureRooms broadcasts to a room at each node, and with the bare client.
func (c *cluster) measureRooms(ctx context.Context) error {
	for _, members := range []int{2000, 1} {
		var ours, bare []float64
		for range roomRuns {
			for _, is := range []struct {
				bare  bool
				rates *[]float64
			}{{false, &ours}, {true, &bare}} {
				rate, err := c.broadcasts(ctx, members, is.bare)
				if err != nil {
					return err
				}
				*is.rates = append(*is.rates, rate)
			}
		}
		same := func(v float64) float64 { return v }
		r := row{Work: fmt.Sprintf("broadcasts of %d bytes to a room of %d x %s", pushBytes, nodes, figure(float64(members))), Unit: "/s"}
		if members == 1 {
			r.Work = fmt.Sprintf("the same with %d x 1 member", nodes)
		} else {
			r.Goal = leastRatio(0.7)
		}
		r.Ours, r.Reference = median(ours, same), median(bare, same)
		c.add(r)
	}
	return nil
}

// broadcasts returns how many broadcasts a second reach the last member everywhere.
func (c *cluster) broadcasts(ctx context.Context, members int, bare bool) (rate float64, err error) {
	if _, err := callEach[none](ctx, c.nodes, "room", same(opening{members, bare})); err != nil {
		return 0, err
	}
	if bare && c.backplane == "nats" { // the routes are told of subscriptions a little later
		time.Sleep(200 * time.Millisecond)
	}
	begin, err := call[time.Time](ctx, c.nodes[0], "broadcast", broadcasting{roomRows, pushBytes, bare})
	if err != nil {
		return 0, err
	}
	ends, err := callEach[time.Time](ctx, c.nodes, "await", same(roomRows))
	if err != nil {
		return 0, err
	}
	last := ends[0]
	for _, end := range ends {
		if end.After(last) {
			last = end
		}
	}
	_, err = callEach[none](ctx, c.nodes, "room", same(opening{}))
	return roomRows / last.Sub(begin).Seconds(), err
}
