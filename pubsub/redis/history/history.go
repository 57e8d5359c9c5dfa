package history

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstock-go/penstock/internal/backplane"
	"github.com/penstock-go/penstock/internal/pace"
	"github.com/penstock-go/penstock/internal/pattern"
	"github.com/penstock-go/penstock/pubsub"
)

// History is a [pubsub.History] in streams of Redis that all nodes share. All methods
// are safe for concurrent use.
type History struct {
	cfg    Config
	client goredis.UniversalClient

	appended, retried, failed atomic.Int64

	begin time.Time
	mu    sync.Mutex   // of lines
	lines pace.Limiter // of failures and repetitions
}

// Snapshot is what a history has done since it was made.
type Snapshot struct {
	Appended int64 `json:"appended"` // messages, in order of their success
	Retried  int64 `json:"retried"`  // attempts to append after one without an answer
	Failed   int64 `json:"failed"`   // calls of Append and Since that returned an error of the server
}

var errForm = errors.New("malformed record of the stream")

// New makes the history of a node. It connects with the first call. The error is an
// [*OptionError].
func New(cfg Config) (*History, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	return &History{cfg: cfg, client: goredis.NewUniversalClient(cfg.clientOptions()), begin: time.Now()}, nil
}

// Close ends the connections. Later calls fail.
func (h *History) Close() error { return h.client.Close() }

// Snapshot returns what the history has done.
func (h *History) Snapshot() Snapshot {
	return Snapshot{Appended: h.appended.Load(), Retried: h.retried.Load(), Failed: h.failed.Load()}
}

// Keeps reports whether the topic keeps history.
func (h *History) Keeps(topic string) bool {
	return slices.ContainsFunc(h.cfg.Topics, func(p string) bool { return pattern.Matches(p, topic) })
}

// Lost does nothing: the stream has what was lost on the way.
func (h *History) Lost(string) {}

// retryPause is the time between two attempts when the server has not answered.
const retryPause = 50 * time.Millisecond

// Append stores m at the end of its topic, unless the node that it comes from has
// done so. It waits for the server, at most for Config.Timeout.
func (h *History) Append(ctx context.Context, m *pubsub.Message) error {
	if at, kept := m.OriginPosition(); kept {
		m.Keep(at)
		return nil
	}
	if !h.Keeps(m.Topic) || slices.Contains(h.cfg.Except, m.Event) {
		return nil
	}
	if m.Payload.Binary || !m.Payload.IsObject() {
		return pubsub.ErrNotObject
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	// Nodes that receive one delivery without a position store it once.
	id, look := rand.Text(), 0
	if n := m.DeliveryID(); n != 0 {
		id, look = m.Origin()+"/"+strconv.FormatUint(n, 36), 1
	}
	for {
		reply, err := add.Run(ctx, h.client, []string{h.key(m.Topic)}, rand.Text(), h.cfg.Idle.Milliseconds(),
			h.cfg.Events, id, m.Event, []byte(m.Payload.Data), look).StringSlice()
		var at pubsub.Position
		if err == nil {
			at, err = parsePosition(reply)
		}
		if err == nil {
			h.appended.Add(1)
			m.Keep(at)
			return nil
		}
		var refused goredis.Error
		if errors.As(err, &refused) || errors.Is(err, errForm) || errors.Is(err, goredis.ErrClosed) || ctx.Err() != nil {
			return h.fail(err)
		}
		// Not known whether it is stored: again, with the same id.
		select {
		case <-time.After(retryPause):
			look = 1
			h.retried.Add(1)
			h.warn("history: appending again", err)
		case <-ctx.Done():
			return h.fail(err)
		}
	}
}

// batch is the number of records of one round trip.
const batch = 128

// Since returns what was stored of topic after a position. It reads in batches.
func (h *History) Since(ctx context.Context, topic string, after pubsub.Position) ([]pubsub.Record, pubsub.Position, error) {
	if !h.Keeps(topic) {
		return nil, pubsub.Position{}, pubsub.ErrNotKept
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	now, clock, err := h.end(ctx, topic)
	if err != nil {
		return nil, pubsub.Position{}, h.fail(err)
	}
	if after.Epoch != now.Epoch || after.Offset > now.Offset {
		return nil, now, pubsub.ErrEpoch
	}
	if now.Offset-after.Offset > uint64(h.cfg.Events) {
		return nil, now, pubsub.ErrTrimmed
	}
	var records []pubsub.Record
	for next := after.Offset + 1; next <= now.Offset; {
		entries, err := h.client.XRangeN(ctx, h.key(topic), id(next), id(now.Offset), batch).Result()
		if err != nil {
			return nil, now, h.fail(err)
		}
		if len(entries) == 0 {
			return nil, now, pubsub.ErrTrimmed
		}
		for _, e := range entries {
			epoch, _ := e.Values["e"].(string)
			event, _ := e.Values["n"].(string)
			data, ok := e.Values["d"].(string)
			text, _ := e.Values["t"].(string)
			stored, err := strconv.ParseInt(text, 10, 64)
			switch {
			case !ok || err != nil:
				return nil, now, h.fail(errForm)
			case epoch != now.Epoch: // begun anew meanwhile
				if now, _, err = h.end(ctx, topic); err != nil {
					return nil, now, h.fail(err)
				}
				return nil, now, pubsub.ErrEpoch
			case e.ID != id(next) || clock-stored > h.cfg.Age.Milliseconds():
				return nil, now, pubsub.ErrTrimmed
			}
			records = append(records, pubsub.Record{Offset: next, Event: event, Data: []byte(data)})
			next++
		}
	}
	return records, now, nil
}

// end returns the position of the last record of a topic, and the time of the server
// in milliseconds. A topic without a stream gets one.
func (h *History) end(ctx context.Context, topic string) (at pubsub.Position, clock int64, err error) {
	reply, err := position.Run(ctx, h.client, []string{h.key(topic)}, rand.Text(), h.cfg.Idle.Milliseconds()).StringSlice()
	if err != nil {
		return at, 0, err
	}
	if len(reply) != 3 {
		return at, 0, errForm
	}
	if clock, err = strconv.ParseInt(reply[2], 10, 64); err != nil {
		return at, 0, errForm
	}
	at, err = parsePosition(reply)
	return at, clock, err
}

// parsePosition reads epoch and offset of a reply.
func parsePosition(reply []string) (pubsub.Position, error) {
	if len(reply) < 2 || reply[0] == "" {
		return pubsub.Position{}, errForm
	}
	offset, err := strconv.ParseUint(reply[1], 10, 64)
	if err != nil {
		return pubsub.Position{}, errForm
	}
	return pubsub.Position{Epoch: strings.Clone(reply[0]), Offset: offset}, nil
}

// fail counts and logs an error of the server.
func (h *History) fail(err error) error {
	h.failed.Add(1)
	h.warn("history: a call failed", err)
	return fmt.Errorf("history: %w", err)
}

// warn logs at most one line a second. count is the number of occurrences that the line
// stands for.
func (h *History) warn(what string, err error) {
	h.mu.Lock()
	count := h.lines.Line(time.Since(h.begin), 1)
	h.mu.Unlock()
	if count > 0 {
		h.cfg.Logger.Warn(what, "error", err, "count", count)
	}
}

// key returns the key of a topic.
func (h *History) key(topic string) string { return h.cfg.Prefix + ".h." + backplane.Token(topic) }

// id returns the identifier of a record in its stream.
func id(offset uint64) string { return strconv.FormatUint(offset, 10) + "-1" }
