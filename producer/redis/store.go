package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/complain"
	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/lease"
	"github.com/penstock-go/penstock/metrics"
)

// key identifies an entry: the index of its stream, and its ID.
type key struct {
	stream int
	id     string
}

// store is a lease.Store of a consumer group. The fence of a lease is the number of
// deliveries, so that an entry that was never emitted does not count as delivered.
type store[T any] struct {
	cfg      Config[T]
	consumer string
	trimmed  atomic.Int64
	reclaim  atomic.Bool // entries may be claimable before the next look
	discards metrics.Counter
	lines    complain.Limit

	mu     sync.Mutex // guards client
	client goredis.UniversalClient

	// The rest belongs to the fetcher's goroutine, except for renewed.
	grouped bool      // all streams have the group
	history []string  // where the reading of this consumer's own entries goes on; nil: it is done
	looked  time.Time // when claimable entries were last looked for
	cursors []string  // where XAUTOCLAIM goes on, "0-0" at the beginning
	turn    int       // the stream whose claimable entries are looked for next

	renewed time.Time // when all leases were last renewed; the renewer's
}

func newStore[T any](cfg Config[T]) *store[T] {
	s := &store[T]{cfg: cfg, consumer: cfg.Consumer, discards: trimmedCounter(cfg.Metrics), renewed: time.Now()}
	if s.consumer == "" {
		s.consumer = randomName()
	} else {
		for range cfg.Streams {
			s.history = append(s.history, "0")
		}
	}
	for range cfg.Streams {
		s.cursors = append(s.cursors, "0-0")
	}
	return s
}

// connect returns the client, which is made by the first call.
func (s *store[T]) connect() goredis.UniversalClient {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		s.client = goredis.NewUniversalClient(options(s.cfg.Options))
	}
	return s.client
}

// block is how long a read waits for entries, and so at most what a drain waits for it.
const block = 200 * time.Millisecond

// Fetch implements lease.Store. Entries that have become free come first.
func (s *store[T]) Fetch(ctx context.Context, n int) ([]lease.Item[key, T], error) {
	client := s.connect()
	if err := s.group(ctx, client); err != nil {
		return nil, err
	}
	items, err := s.own(ctx, client, n)
	if len(items) > 0 || err != nil {
		return items, err
	}
	if items, err = s.claim(ctx, client, n); len(items) > 0 || err != nil {
		return items, err
	}
	args := goredis.XReadGroupArgs{Group: s.cfg.Group, Consumer: s.consumer, Block: min(block, s.cfg.Timeout/2)}
	args.Streams = append(args.Streams, s.cfg.Streams...)
	for range s.cfg.Streams {
		args.Streams = append(args.Streams, ">")
	}
	// COUNT is for each stream.
	args.Count = int64(max(1, n/len(s.cfg.Streams)))
	if n < len(s.cfg.Streams) {
		// One after the other gets the demand, which does not suffice for all.
		s.turn = (s.turn + 1) % len(s.cfg.Streams)
		args.Streams, args.Count = []string{s.cfg.Streams[s.turn], ">"}, int64(n)
		args.Block /= time.Duration(len(s.cfg.Streams))
	}
	args.Block = max(args.Block, time.Millisecond)
	read, err := client.XReadGroup(ctx, &args).Result()
	if err = s.known(err); err != nil {
		return nil, err
	}
	for _, stream := range read {
		i := s.index(stream.Stream)
		for _, m := range stream.Messages {
			items = append(items, s.item(i, m, 1))
		}
	}
	return items, nil
}

// Wait implements lease.Store: a read has waited already.
func (s *store[T]) Wait(context.Context) error { return nil }

// known turns the errors that are no failure into nil, and has the group made again if it is
// missing.
func (s *store[T]) known(err error) error {
	switch {
	case err == nil, errors.Is(err, goredis.Nil):
		return nil
	case strings.HasPrefix(err.Error(), "NOGROUP"):
		s.grouped = false
	}
	return err
}

func (s *store[T]) index(stream string) int {
	for i, name := range s.cfg.Streams {
		if name == stream {
			return i
		}
	}
	return 0 // Redis sends only what was asked for
}

// group makes the group where it is missing.
func (s *store[T]) group(ctx context.Context, client goredis.UniversalClient) error {
	if s.grouped {
		return nil
	}
	for _, stream := range s.cfg.Streams {
		err := client.XGroupCreateMkStream(ctx, stream, s.cfg.Group, s.cfg.Start.id()).Err()
		if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
			return fmt.Errorf("group %q of stream %q: %w", s.cfg.Group, stream, err)
		}
	}
	s.grouped = true
	return nil
}

// item decodes an entry.
func (s *store[T]) item(i int, m goredis.XMessage, deliveries int) lease.Item[key, T] {
	e := Entry{Stream: s.cfg.Streams[i], ID: m.ID, Values: make(map[string]string, len(m.Values)), Deliveries: deliveries}
	for name, v := range m.Values {
		text, ok := v.(string)
		if !ok {
			text = fmt.Sprint(v)
		}
		e.Values[name] = text
	}
	item := lease.Item[key, T]{ID: key{i, m.ID}, Fence: int64(deliveries)}
	if s.cfg.MaxDeliveries > 0 && deliveries > s.cfg.MaxDeliveries {
		item.Err = fmt.Errorf("delivered %d times without a receipt", deliveries-1)
	} else {
		item.Event, item.Err = decode(s.cfg.Decode, e)
	}
	if item.Err != nil {
		item.Letter = deadletter.Letter{Source: e.Position(), Attempts: deliveries}
		item.Letter.Event, _ = json.Marshal(e.Values) // a map of texts can always be written
	}
	return item
}

// decode calls f; a panic is an error.
func decode[E, T any](f func(E) (T, error), e E) (event T, err error) {
	defer crash.Catch(&err)
	return f(e)
}
