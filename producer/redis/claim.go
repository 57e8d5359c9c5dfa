package redis

import (
	"context"
	"errors"
	"log/slog"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstock-go/penstock/internal/lease"
)

// own returns entries that an earlier process of this name has left.
func (s *store[T]) own(ctx context.Context, client goredis.UniversalClient, n int) (items []lease.Item[key, T], err error) {
	for i := range s.history {
		for s.history[i] != "" && len(items) == 0 {
			read, err := client.XReadGroup(ctx, &goredis.XReadGroupArgs{
				Group: s.cfg.Group, Consumer: s.consumer, Streams: []string{s.cfg.Streams[i], s.history[i]}, Count: int64(n), Block: -1,
			}).Result()
			if err = s.known(err); err != nil {
				return nil, err
			}
			if len(read) == 0 || len(read[0].Messages) == 0 {
				s.history[i] = ""
				break
			}
			list := read[0].Messages
			if items, err = s.delivered(ctx, client, i, list); err != nil {
				return nil, err
			}
			s.history[i] = list[len(list)-1].ID
		}
		if len(items) > 0 {
			return items, nil
		}
	}
	s.history = nil
	return nil, nil
}

// claim returns entries of consumers that have not renewed them for a lease, if it is time to
// look for some: four times in a lease, and when entries were released here.
func (s *store[T]) claim(ctx context.Context, client goredis.UniversalClient, n int) ([]lease.Item[key, T], error) {
	if !s.reclaim.Swap(false) && time.Since(s.looked) < s.cfg.Lease/4 {
		return nil, nil
	}
	for i, stream := range s.cfg.Streams {
		// One call looks at ten entries for each that is wanted; a pass over all has an end.
		for first := true; first || s.cursors[i] != "0-0"; first = false {
			list, next, deleted, err := client.XAutoClaimWithDeleted(ctx, &goredis.XAutoClaimArgs{
				Stream: stream, Group: s.cfg.Group, MinIdle: s.cfg.Lease, Start: s.cursors[i], Count: int64(n), Consumer: s.consumer,
			}).Result()
			if err = s.known(err); err != nil {
				s.reclaim.Store(true)
				return nil, err
			}
			s.cursors[i] = next
			s.trim(stream, len(deleted))
			if len(list) == 0 {
				continue
			}
			s.reclaim.Store(true) // there may be more
			return s.delivered(ctx, client, i, list)
		}
	}
	s.looked = time.Now()
	return nil, nil
}

// delivered returns entries that were delivered before, with the number of their deliveries.
// Those that were trimmed meanwhile are acknowledged.
func (s *store[T]) delivered(ctx context.Context, client goredis.UniversalClient, i int, list []goredis.XMessage) ([]lease.Item[key, T], error) {
	stream := s.cfg.Streams[i]
	counts := make([]*goredis.XPendingExtCmd, len(list))
	_, err := client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for j, m := range list {
			if m.Values == nil {
				pipe.XAck(ctx, stream, s.cfg.Group, m.ID)
				continue
			}
			counts[j] = pipe.XPendingExt(ctx, &goredis.XPendingExtArgs{
				Stream: stream, Group: s.cfg.Group, Start: m.ID, End: m.ID, Count: 1,
			})
		}
		return nil
	})
	if err != nil && !errors.Is(err, goredis.Nil) {
		// They are this consumer's now, and free again after a lease.
		return nil, err
	}
	items := make([]lease.Item[key, T], 0, len(list))
	for j, m := range list {
		if counts[j] == nil {
			s.trim(stream, 1)
			continue
		}
		deliveries := 2
		if pending := counts[j].Val(); len(pending) == 1 {
			deliveries = int(pending[0].RetryCount)
		}
		items = append(items, s.item(i, m, deliveries))
	}
	return items, nil
}

// trim counts entries that were trimmed before they were handled.
func (s *store[T]) trim(stream string, n int) {
	if n > 0 {
		s.trimmed.Add(int64(n))
		s.discards.Add(int64(n))
		s.lines.Log(s.cfg.Logger, slog.LevelError, "redis: entries were trimmed from their stream before they were handled",
			"stream", stream, "group", s.cfg.Group, "entries", n)
	}
}
