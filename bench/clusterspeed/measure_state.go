//go:build linux

package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	presences       = 10_000
	broadcastPeriod = 1500 * time.Millisecond // the default of a tracker
	newcomers       = 4
	herdJoins       = 2500
	topics          = 100_000
)

// measurePresence tracks presences of one topic at all nodes.
func (c *cluster) measurePresence(ctx context.Context) error {
	const name = "crowd"
	if _, err := callEach[seen](ctx, c.nodes, "count", same(expected{name, 0, 0})); err != nil { // makes the trackers
		return err
	}
	before, err := c.heaps(ctx)
	if err != nil {
		return err
	}
	first := 0
	begins, err := callEach[time.Time](ctx, c.nodes, "track", func(k int) any {
		return tracking{name, presences * k / nodes, share(presences, k, nodes)}
	})
	if err != nil {
		return err
	}
	all, err := callEach[seen](ctx, c.nodes, "count", same(expected{name, presences, 0}))
	if err != nil {
		return err
	}
	work := fmt.Sprintf("%s presences of one topic over three nodes: ", figure(presences))
	c.add(row{Work: work + "until all are everywhere", Ours: latest(all).Sub(begins[0]).Seconds(), Unit: "s"})
	after, err := c.heaps(ctx)
	if err != nil {
		return err
	}
	grown := int64(0)
	for k := range after {
		grown = max(grown, after[k].Heap-before[k].Heap)
	}
	c.add(row{Work: work + "memory of each at each node", Ours: float64(grown) / presences, Unit: "B"})

	slowest := time.Duration(0)
	for i := range newcomers {
		first = presences + i
		begin, err := call[time.Time](ctx, c.nodes[0], "track", tracking{name, first, 1})
		if err != nil {
			return err
		}
		others, err := callEach[seen](ctx, c.nodes[1:], "online", same(expected{name, 0, first}))
		if err != nil {
			return err
		}
		slowest = max(slowest, latest(others).Sub(begin))
		time.Sleep(broadcastPeriod / newcomers) // at another moment of the period
	}
	limit := (broadcastPeriod + time.Second).Seconds()
	c.add(row{Work: work + fmt.Sprintf("a join reaches the others, slowest of %d", newcomers), Ours: slowest.Seconds(), Unit: "s", Goal: most(limit)})

	left := presences + newcomers - share(presences, nodes-1, nodes)
	if _, err := call[none](ctx, c.nodes[nodes-1], "untrack", name); err != nil {
		return err
	}
	if _, err := callEach[seen](ctx, c.nodes[:nodes-1], "count", same(expected{name, left, 0})); err != nil {
		return err
	}
	state, err := call[seen](ctx, c.nodes[nodes-1], "count", expected{name, left, 0})
	if err != nil {
		return err
	}
	c.add(row{Work: fmt.Sprintf("a new node learns of %s presences", figure(float64(left))), Ours: state.Took.Seconds(), Unit: "s"})
	c.add(row{Work: "the same: messages", Ours: float64(state.Messages), Unit: ""})
	longest, err := call[time.Duration](ctx, c.nodes[0], "herd", joins{herdJoins, 20 * time.Millisecond})
	if err != nil {
		return err
	}
	c.add(row{Work: fmt.Sprintf("%s joins at once, each Fetch takes 20 ms: longest call of Track", figure(herdJoins)), Ours: ms(longest), Unit: "ms", Goal: most(1000)})
	_, err = callEach[none](ctx, c.nodes, "untrack", same(name))
	return err
}

// latest returns when the last one was seen.
func latest(all []seen) (at time.Time) {
	for _, s := range all {
		if s.At.After(at) {
			at = s.At
		}
	}
	return at
}

// measureTopics has many users at each node.
func (c *cluster) measureTopics(ctx context.Context) error {
	before, err := c.heaps(ctx)
	if err != nil {
		return err
	}
	statsBefore, err := c.redisStats(ctx)
	if err != nil {
		return err
	}
	var subsBefore []int
	if c.redis == nil {
		if subsBefore, err = callEach[int](ctx, c.nodes, "subscriptions", same(none{})); err != nil {
			return err
		}
	}
	took, err := callEach[time.Duration](ctx, c.nodes, "topics", func(k int) any {
		return wanting{topics * k / nodes, share(topics, k, nodes)}
	})
	if err != nil {
		return err
	}
	after, err := c.heaps(ctx)
	if err != nil {
		return err
	}
	stats, err := c.redisStats(ctx)
	if err != nil {
		return err
	}
	slowest, grown := time.Duration(0), int64(0)
	for k := range took {
		slowest = max(slowest, took[k])
		grown += after[k].Heap - before[k].Heap
	}
	work := fmt.Sprintf("%s topics of users over three nodes, joined at once: ", figure(topics))
	c.add(row{Work: work + "until all are in effect", Ours: slowest.Seconds(), Unit: "s"})
	c.add(row{Work: work + "memory of each, the three nodes together", Ours: float64(grown) / topics, Unit: "B"})
	if c.redis == nil {
		return c.subscribes(ctx, work, subsBefore)
	}
	c.add(row{Work: work + "memory of each in Redis", Ours: (stats["used_memory"] - statsBefore["used_memory"]) / topics, Unit: "B"})
	c.add(row{Work: work + "channels for each", Ours: (stats["pubsub_channels"] - statsBefore["pubsub_channels"]) / topics, Unit: "", Goal: most(1)})
	c.add(row{Work: work + "SUBSCRIBE commands", Ours: stats["subscribe"] - statsBefore["subscribe"], Unit: ""})
	return nil
}

// subscribes counts the subscriptions of the embedded servers: each has those of its
// own node and, as an interest, those of the others.
func (c *cluster) subscribes(ctx context.Context, work string, before []int) error {
	all, err := callEach[int](ctx, c.nodes, "subscriptions", same(none{}))
	if err != nil {
		return err
	}
	sum := 0
	for k := range all {
		sum += all[k] - before[k]
	}
	c.add(row{Work: work + "subscriptions of each, at the servers of all nodes together", Ours: float64(sum) / topics, Unit: "", Goal: most(nodes)})
	return nil
}

// redisStats returns numbers of INFO, and the calls of SUBSCRIBE.
func (c *cluster) redisStats(ctx context.Context) (map[string]float64, error) {
	if c.redis == nil {
		return nil, nil
	}
	text, err := c.redis.Info(ctx, "memory", "stats", "commandstats").Result()
	if err != nil {
		return nil, err
	}
	stats := make(map[string]float64)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "cmdstat_subscribe" {
			name, value = "subscribe", strings.TrimPrefix(strings.Split(value, ",")[0], "calls=")
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			stats[name] = v
		}
	}
	return stats, nil
}
