//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// What is measured with pushes.
const (
	users = 2000
	runs  = 3 // of which the median counts
	rate  = 5000
)

// flat is a run flat out.
type flat struct {
	pushed
	cpu time.Duration // of all nodes, for each push
}

func (f flat) rate() float64 { return float64(f.Receipts) / f.Took.Seconds() }

// void returns why pushes do not count.
func (p pushed) void() string {
	if p.Receipts == p.Pushes {
		return ""
	}
	return fmt.Sprintf("%d of %d pushes have no receipt", p.Pushes-p.Receipts, p.Pushes)
}

// spread distributes functions as users over the nodes from first on.
func (c *cluster) spread(ctx context.Context, first, count int) error {
	_, err := callEach[none](ctx, c.nodes, "users", func(k int) any {
		if k < first || k >= first+count {
			return some{}
		}
		return some{Users: users, First: k - first, Every: count}
	})
	return err
}

// measurePushes pushes from a to users of b and c that are functions.
func (c *cluster) measurePushes(ctx context.Context) error {
	if err := c.spread(ctx, 1, 2); err != nil {
		return err
	}
	if err := c.pushes(ctx, "to functions at b and c", "sinks"); err != nil {
		return err
	}
	return c.spread(ctx, 0, 0)
}

// measureSockets pushes from a to WebSocket clients of b and c.
func (c *cluster) measureSockets(ctx context.Context) (err error) {
	if c.clients, err = startProcess("clients", "clients"); err != nil {
		return err
	}
	for k, p := range c.nodes[1:] {
		address, err := call[string](ctx, p, "listen", none{})
		if err != nil {
			return err
		}
		if _, err := call[none](ctx, c.clients, "connect", connecting{some{users, k, 2}, address}); err != nil {
			return err
		}
	}
	idle, err := call[used](ctx, c.clients, "usage", none{})
	if err != nil {
		return err
	}
	if err := c.pushes(ctx, "to WebSockets at b and c", "sockets"); err != nil {
		return err
	}
	frames, err := call[int64](ctx, c.clients, "count", none{})
	if err != nil {
		return err
	}
	busy, err := call[used](ctx, c.clients, "usage", none{})
	if err != nil {
		return err
	}
	c.add(row{Work: "the same: processor time of the clients for each, in all", Ours: us(busy.CPU-idle.CPU) / float64(max(frames, 1)), Unit: "us"})
	err = c.clients.close()
	c.clients = nil
	return err
}

// pushes measures flat out and at a rate.
func (c *cluster) pushes(ctx context.Context, where, name string) error {
	if _, err := c.flat(ctx, c.nodes[:1], 300*time.Millisecond); err != nil { // to warm up
		return err
	}
	if err := c.profiles(ctx, name); err != nil {
		return err
	}
	var flats []flat
	for range runs {
		f, err := c.flat(ctx, c.nodes[:1], c.o.seconds)
		if err != nil {
			return err
		}
		progress("%s: %.0f receipts a second, %.1f us of processor time each", c.backplane, f.rate(), us(f.cpu))
		flats = append(flats, f)
	}
	if err := c.profiles(ctx, ""); err != nil {
		return err
	}
	f := median(flats, flat.rate)
	c.add(row{Work: "pushes " + where + ", flat out", Ours: f.rate(), Unit: "receipts/s", Goal: least(50_000), Void: f.void()})
	c.add(row{Work: "the same: processor time of nodes and server for each", Ours: us(f.cpu), Unit: "us"})
	c.add(row{Work: "the same: messages out for each", Ours: float64(f.Out) / float64(f.Pushes), Unit: "", Goal: most(1)})
	c.add(row{Work: "the same: messages back for each", Ours: float64(f.Back) / float64(f.Pushes), Unit: "", Goal: most(1)})
	var paced []pushed
	for range runs {
		p, err := call[pushed](ctx, c.nodes[0], "push", pushing{Users: users, Rate: rate, For: c.o.seconds})
		if err != nil {
			return err
		}
		progress("%s: at %d a second: p50 %.2f ms, p99 %.2f ms", c.backplane, rate, ms(p.P50), ms(p.P99))
		paced = append(paced, p)
	}
	p := median(paced, func(p pushed) time.Duration { return p.P99 })
	work := fmt.Sprintf("pushes %s, %s a second: ", where, figure(rate))
	c.add(row{Work: work + "p50 to the receipt", Ours: ms(p.P50), Unit: "ms", Goal: most(1.5), Void: p.void()})
	c.add(row{Work: work + "p99", Ours: ms(p.P99), Unit: "ms", Goal: most(8), Void: p.void()})
	c.add(row{Work: work + "messages back for each", Ours: float64(p.Back) / float64(p.Pushes), Unit: "", Goal: most(1)})
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// flat pushes from all of these nodes at once and adds them up.
func (c *cluster) flat(ctx context.Context, from []*process, lasts time.Duration) (sum flat, err error) {
	before, err := c.cpu(ctx)
	if err != nil {
		return sum, err
	}
	all, err := callEach[pushed](ctx, from, "push", same(pushing{Users: users, For: lasts}))
	if err != nil {
		return sum, err
	}
	after, err := c.cpu(ctx)
	if err != nil {
		return sum, err
	}
	for _, p := range all {
		sum.Pushes += p.Pushes
		sum.Receipts += p.Receipts
		sum.Out += p.Out
		sum.Back += p.Back
		sum.Dropped += p.Dropped
		sum.Took = max(sum.Took, p.Took)
	}
	sum.cpu = (after - before) / time.Duration(max(sum.Pushes, 1))
	return sum, nil
}

// profiles begins profiles of the nodes under a name, or ends them if that is empty.
func (c *cluster) profiles(ctx context.Context, name string) error {
	if c.o.profile == "" {
		return nil
	}
	_, err := callEach[none](ctx, c.nodes, "profile", func(k int) any {
		if name == "" {
			return ""
		}
		return filepath.Join(c.o.profile, fmt.Sprintf("%s-%s-%s.pprof", c.backplane, name, c.nodes[k].name))
	})
	return err
}

// measureNodes pushes from 1, 2 and 3 nodes to users that are spread over them.
func (c *cluster) measureNodes(ctx context.Context) error {
	for count := 1; count <= nodes; count++ {
		if err := c.spread(ctx, 0, count); err != nil {
			return err
		}
		f, err := c.flat(ctx, c.nodes[:count], c.o.seconds)
		if err != nil {
			return err
		}
		work := fmt.Sprintf("%d nodes, users and pushes spread over them: ", count)
		if count == 1 {
			work = "1 node, its own users: "
		}
		c.add(row{Work: work + "all receipts", Ours: f.rate(), Unit: "receipts/s", Void: f.void()})
		c.add(row{Work: work + "processor time for each", Ours: us(f.cpu), Unit: "us"})
		// The receipt of a push to a user of its own node waits for no other node, and so
		// does not slow the pushes down to what the backplane takes.
		c.add(row{Work: work + "messages dropped, of 100", Ours: 100 * float64(f.Dropped) / float64(max(f.Out, 1)), Unit: ""})
	}
	return c.spread(ctx, 0, 0)
}
