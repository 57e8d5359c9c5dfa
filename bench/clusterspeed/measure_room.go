//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	bursts    = 4      // of each run
	burstSize = 20_000 // broadcasts, which fit into the buffers on the way
)

// measureRooms broadcasts to a room at each node, and with the bare client.
func (c *cluster) measureRooms(ctx context.Context) error {
	for _, members := range []int{2000, 1} {
		var ours, bare []float64
		for range runs {
			for _, is := range []struct {
				bare  bool
				rates *[]float64
			}{{false, &ours}, {true, &bare}} {
				if err := c.profiles(ctx, fmt.Sprintf("room%d-bare=%t", members, is.bare)); err != nil {
					return err
				}
				rate, err := c.broadcasts(ctx, members, is.bare)
				if err != nil {
					return err
				}
				if err := c.profiles(ctx, ""); err != nil {
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
	start, err := c.reached(ctx, bare)
	if err != nil {
		return 0, err
	}
	var took time.Duration
	for n := range bursts {
		begin, err := call[time.Time](ctx, c.nodes[0], "broadcast", broadcasting{burstSize, pushBytes, bare})
		if err != nil {
			return 0, err
		}
		ends, err := callEach[time.Time](ctx, c.nodes, "await", func(k int) any { return start[k] + int64(n+1)*burstSize })
		if err != nil {
			return 0, fmt.Errorf("bare client %t: %w", bare, err)
		}
		took += slices.MaxFunc(ends, time.Time.Compare).Sub(begin)
	}
	_, err = callEach[none](ctx, c.nodes, "room", same(opening{}))
	return bursts * burstSize / took.Seconds(), err
}

// reached makes broadcasts until each node has one, since the servers of NATS are told of
// the bare clients' subscriptions some time later. It returns how many each node has.
func (c *cluster) reached(ctx context.Context, bare bool) (got []int64, err error) {
	for range 100 {
		if _, err := call[time.Time](ctx, c.nodes[0], "broadcast", broadcasting{1, pushBytes, bare}); err != nil {
			return nil, err
		}
		time.Sleep(50 * time.Millisecond)
		if got, err = callEach[int64](ctx, c.nodes, "got", same(none{})); err != nil || slices.Min(got) > 0 {
			return got, err
		}
	}
	return nil, fmt.Errorf("bare client %t: broadcasts do not reach each node: %d have come", bare, got)
}
