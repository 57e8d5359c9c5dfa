package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
)

// The brokers are asked every healthEvery, each time for healthTimeout at most. They
// count as away when none has responded healthTries times in a row: a single time may
// be due to this process, which was stopped for a while.
const (
	healthEvery   = 500 * time.Millisecond
	healthTimeout = 1500 * time.Millisecond
	healthTries   = 2
)

// The pauses between two attempts to reach a broker at the start: doubled from the
// first to the longest, and shortened at random by up to half.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// brokerConfigs has the embedded broker look every ten seconds for what it may drop,
// and accept every -session-timeout.
var brokerConfigs = kfake.BrokerConfigs(map[string]string{
	"log.cleaner.backoff.ms": "10000", "group.min.session.timeout.ms": "1000",
})

// topic is what the source reads and writes.
type topic struct {
	name       string
	partitions int32 // if it has to be created
	retention  int64 // bytes of each partition; 0 for the broker's own
}

// health knows whether a broker responds. Any goroutine may use it.
type health struct {
	client *kgo.Client
	stop   context.CancelFunc
	done   sync.WaitGroup // the goroutine that asks

	mu     sync.Mutex // guards the fields below
	failed int        // times in a row
	reason error      // of the latest failure
}

// newHealth returns a health that has seen no broker. It waits for none.
func newHealth(brokers []string) (*health, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DialTimeout(healthTimeout))
	if err != nil {
		return nil, err
	}
	return &health{client: client, stop: func() {}, failed: healthTries, reason: errors.New("no broker has responded yet")}, nil
}

// prepare makes the topic, if it is not there, and asks the brokers regularly from
// then on; each is called after they have responded. It tries until ctx is done; a topic
// that no broker can make is an error.
func (h *health) prepare(ctx context.Context, t topic, log *slog.Logger, each func(context.Context)) error {
	var logged logLimit
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := h.create(ctx, t)
		if err == nil {
			break
		}
		h.note(err)
		if lasting(err) {
			return fmt.Errorf("topic %s: %w", t.name, err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if more, ok := logged.allow(time.Now()); ok {
			log.Warn("no broker: trying again", "error", err, "unlogged", more)
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
	h.note(nil)
	asking, stop := context.WithCancel(context.Background())
	h.stop = stop
	h.done.Go(func() { h.watch(asking, each) })
	return nil
}

// create makes the topic, once.
func (h *health) create(ctx context.Context, t topic) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	configs := map[string]*string{}
	if t.retention > 0 {
		bytes := strconv.FormatInt(t.retention, 10)
		segment := strconv.FormatInt(embeddedkafka.SegmentBytes(t.retention), 10)
		configs["retention.bytes"], configs["segment.bytes"] = &bytes, &segment
	}
	// The replication factor -1 is the broker's default.
	_, err := kadm.NewClient(h.client).CreateTopic(ctx, t.partitions, -1, configs, t.name)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	return err
}

// lasting reports whether trying again is in vain.
func lasting(err error) bool {
	return errors.Is(err, kerr.InvalidTopicException) || errors.Is(err, kerr.InvalidPartitions) || errors.Is(err, kerr.PolicyViolation)
}

// watch asks the brokers until ctx is done.
func (h *health) watch(ctx context.Context, each func(context.Context)) {
	ticker := time.NewTicker(healthEvery)
	defer ticker.Stop()
	for {
		limit, cancel := context.WithTimeout(ctx, healthTimeout)
		err := h.client.Ping(limit)
		cancel()
		if ctx.Err() != nil {
			return
		}
		h.note(err)
		if err == nil {
			each(ctx)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// note books what has come of asking.
func (h *health) note(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reason = err; err == nil {
		h.failed = 0
		return
	}
	h.failed++
}

// away returns why the brokers count as away, or nil.
func (h *health) away() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failed < healthTries {
		return nil
	}
	return fmt.Errorf("%w: %w", errAway, h.reason)
}

// close ends the asking.
func (h *health) close() {
	h.stop()
	h.done.Wait()
	h.client.Close()
}
