package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstock-go/penstock/internal/lease"
)

// Settle implements lease.Store. What ends is acknowledged; what is given back stays in the
// group as if it had been idle for a lease, so that any consumer may claim it.
func (s *store[T]) Settle(ctx context.Context, ends []lease.Verdict[key]) (late int, err error) {
	acks := make([][]string, len(s.cfg.Streams))
	back := make([][]any, len(s.cfg.Streams))
	idle := s.cfg.Lease.Milliseconds()
	freed := false
	_, err = s.connect().Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for _, v := range ends {
			switch v.End {
			case lease.Released:
				back[v.ID.stream] = append(back[v.ID.stream], v.ID.id)
				freed = true
			case lease.Unused:
				// With the number of deliveries before this one.
				pipe.Do(ctx, "xclaim", s.cfg.Streams[v.ID.stream], s.cfg.Group, s.consumer, 0, v.ID.id,
					"idle", idle, "retrycount", max(0, v.Fence-1), "justid")
			default:
				acks[v.ID.stream] = append(acks[v.ID.stream], v.ID.id)
			}
		}
		for i, stream := range s.cfg.Streams {
			if len(acks[i]) > 0 {
				pipe.XAck(ctx, stream, s.cfg.Group, acks[i]...)
			}
			if len(back[i]) > 0 {
				args := append([]any{"xclaim", stream, s.cfg.Group, s.consumer, 0}, back[i]...)
				pipe.Do(ctx, append(args, "idle", idle, "justid")...)
			}
		}
		return nil
	})
	if err != nil && noGroup(err) {
		err = nil // the stream or its group was deleted: there is nothing to acknowledge
	}
	if err == nil && freed {
		s.reclaim.Store(true)
	}
	return 0, err
}

// Renew implements lease.Store. As long as the last renewal is younger than a lease, no other
// consumer can have claimed the entries. After that they are looked up first: a claim would
// take them back from the consumer that has them now.
func (s *store[T]) Renew(ctx context.Context, held []lease.Held[key]) (lost []lease.Held[key], err error) {
	now, client := time.Now(), s.connect()
	if now.Sub(s.renewed) >= s.cfg.Lease {
		if held, lost, err = s.mine(ctx, client, held); err != nil {
			return nil, err
		}
	}
	ids := make([][]string, len(s.cfg.Streams))
	for _, h := range held {
		ids[h.ID.stream] = append(ids[h.ID.stream], h.ID.id)
	}
	_, err = client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for i, stream := range s.cfg.Streams {
			for list := ids[i]; len(list) > 0; list = list[min(len(list), 1000):] {
				pipe.XClaimJustID(ctx, &goredis.XClaimArgs{
					Stream: stream, Group: s.cfg.Group, Consumer: s.consumer, Messages: list[:min(len(list), 1000)],
				})
			}
		}
		return nil
	})
	if err != nil && !noGroup(err) {
		return nil, err
	}
	s.renewed = now
	return lost, nil
}

// mine divides entries into those that still are this consumer's and those that are not.
func (s *store[T]) mine(ctx context.Context, client goredis.UniversalClient, held []lease.Held[key]) (mine, lost []lease.Held[key], err error) {
	const page = 1000
	there := make(map[key]bool)
	for i, stream := range s.cfg.Streams {
		for from := "-"; ; {
			list, err := client.XPendingExt(ctx, &goredis.XPendingExtArgs{
				Stream: stream, Group: s.cfg.Group, Start: from, End: "+", Count: page, Consumer: s.consumer,
			}).Result()
			if err != nil && !noGroup(err) {
				return nil, nil, err
			}
			for _, p := range list {
				there[key{i, p.ID}] = true
			}
			if len(list) < page {
				break
			}
			from = "(" + list[len(list)-1].ID
		}
	}
	for _, h := range held {
		if there[h.ID] {
			mine = append(mine, h)
		} else {
			lost = append(lost, h)
		}
	}
	return mine, lost, nil
}

// Lag implements lease.Store.
func (s *store[T]) Lag(ctx context.Context) (lag lease.Lag, err error) {
	client := s.connect()
	for _, stream := range s.cfg.Streams {
		groups, err := client.XInfoGroups(ctx, stream).Result()
		if err != nil {
			if isMissing(err) {
				continue
			}
			return lag, err
		}
		for _, g := range groups {
			if g.Name != s.cfg.Group {
				continue
			}
			lag.Leased += g.Pending
			first, err := client.XRangeN(ctx, stream, "("+g.LastDeliveredID, "+", 1).Result()
			if err != nil {
				return lag, err
			}
			if len(first) > 0 {
				lag.Waiting += max(g.Lag, 1) // Redis does not know it after entries were deleted
				lag.Oldest = max(lag.Oldest, age(first[0].ID, time.Now()))
			}
		}
	}
	return lag, nil
}

// Close implements lease.Store. A consumer of a random name leaves the group if nothing of it
// is pending: its removal would take entries out of the group.
func (s *store[T]) Close(ctx context.Context, clean bool) error {
	s.mu.Lock()
	client := s.client
	s.client = nil
	s.mu.Unlock()
	if client == nil {
		return nil
	}
	if clean && s.cfg.Consumer == "" && ctx.Err() == nil {
		for _, stream := range s.cfg.Streams {
			list, err := client.XPendingExt(ctx, &goredis.XPendingExtArgs{
				Stream: stream, Group: s.cfg.Group, Start: "-", End: "+", Count: 1, Consumer: s.consumer,
			}).Result()
			if err == nil && len(list) == 0 {
				client.XGroupDelConsumer(ctx, stream, s.cfg.Group, s.consumer) // it stays if this fails
			}
		}
	}
	return client.Close()
}
