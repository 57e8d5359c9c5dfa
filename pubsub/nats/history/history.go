package history

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/penstock-go/penstock/internal/backplane"
	"github.com/penstock-go/penstock/internal/pattern"
	"github.com/penstock-go/penstock/pubsub"
)

// History is a [pubsub.History] in a stream of JetStream that all nodes share. All
// methods are safe for concurrent use.
type History struct {
	cfg    Config
	js     jetstream.JetStream
	stream jetstream.Stream
	seed   maphash.Seed
	locks  [64]topics // by topic
}

// topics holds the ends of some topics, as far as this node knows them. Its mutex is
// held while one of them is written, so that this node does not compete with itself.
type topics struct {
	mu   sync.Mutex
	ends map[string]end
}

// maxEnds bounds the ends of one part of the topics that are remembered.
const maxEnds = 2048

// end is the last message of a topic.
type end struct {
	seq uint64 // in the stream; 0 if the topic has no message
	at  pubsub.Position
}

// New makes the history of a node, and the stream unless it is there. A refused option
// is an [*OptionError].
func New(ctx context.Context, js jetstream.JetStream, cfg Config) (*History, error) {
	if err := cfg.validate(js); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	storage := jetstream.MemoryStorage
	if cfg.File {
		storage = jetstream.FileStorage
	}
	stream, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: cfg.Stream, Subjects: []string{cfg.Prefix + ".>"}, Storage: storage, Replicas: cfg.Replicas,
		MaxMsgsPerSubject: int64(cfg.Events), MaxBytes: cfg.MaxBytes, Discard: jetstream.DiscardOld,
	})
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return &History{cfg: cfg, js: js, stream: stream, seed: maphash.MakeSeed()}, nil
}

// Keeps reports whether the topic keeps history.
func (h *History) Keeps(topic string) bool {
	return slices.ContainsFunc(h.cfg.Topics, func(p string) bool { return pattern.Matches(p, topic) })
}

// Lost does nothing: the stream has what was lost on the way.
func (h *History) Lost(string) {}

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
	id := rand.Text()
	if n := m.DeliveryID(); n != 0 {
		id = m.Origin() + "/" + strconv.FormatUint(n, 36)
	}
	at, err := h.add(ctx, m.Topic, id, func(last end) entry {
		e := entry{epoch: last.at.Epoch, offset: last.at.Offset + 1, prev: last.seq, event: m.Event, data: m.Payload.Data}
		if last.seq == 0 {
			e.epoch, e.offset = rand.Text(), 1
		}
		return e
	})
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	m.Keep(at)
	return nil
}

// add stores what next makes of the end of a topic, and returns its position. Another
// node may have stored something meanwhile: the server refuses a message that does
// not follow the last one, and next is called again.
func (h *History) add(ctx context.Context, topic, id string, next func(last end) entry) (pubsub.Position, error) {
	part := &h.locks[maphash.String(h.seed, topic)%uint64(len(h.locks))]
	part.mu.Lock()
	defer part.mu.Unlock()
	last, known := part.ends[topic]
	for {
		if !known {
			var err error
			if last, _, err = h.last(ctx, topic); err != nil {
				return pubsub.Position{}, err
			}
		}
		known = false
		e := next(last)
		ack, err := h.js.Publish(ctx, h.subject(topic), e.append(nil), jetstream.WithMsgID(id), jetstream.WithExpectLastSequencePerSubject(last.seq))
		var refused *jetstream.APIError
		switch {
		case err == nil && ack.Duplicate:
			// Stored already: by another node, or by an attempt without an answer.
			stored, _, err := h.get(ctx, ack.Sequence)
			delete(part.ends, topic)
			return stored.at(), err
		case err == nil:
			if part.ends == nil || len(part.ends) >= maxEnds {
				part.ends = make(map[string]end)
			}
			part.ends[topic] = end{ack.Sequence, e.at()}
			return e.at(), nil
		case errors.As(err, &refused) && (refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant):
		case refused != nil || ctx.Err() != nil:
			delete(part.ends, topic)
			return pubsub.Position{}, err
		default: // not known whether it is stored: again, with the same id
			delete(part.ends, topic)
			select {
			case <-time.After(retryPause):
			case <-ctx.Done():
				return pubsub.Position{}, err
			}
		}
	}
}

// retryPause is the time between two attempts when the server has not answered.
const retryPause = 50 * time.Millisecond

// Since returns what was stored of topic after a position. It reads each record that
// was missed from the server.
func (h *History) Since(ctx context.Context, topic string, after pubsub.Position) ([]pubsub.Record, pubsub.Position, error) {
	if !h.Keeps(topic) {
		return nil, pubsub.Position{}, pubsub.ErrNotKept
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	last, e, err := h.last(ctx, topic)
	if err == nil && last.seq == 0 {
		// A first entry without a message: the position of the topic, which all share.
		_, err = h.add(ctx, topic, rand.Text(), func(now end) entry {
			if now.seq == 0 {
				return entry{epoch: rand.Text()}
			}
			return entry{epoch: now.at.Epoch, offset: now.at.Offset, prev: now.seq, again: true}
		})
		if err == nil {
			last, e, err = h.last(ctx, topic)
		}
	}
	if err != nil {
		return nil, pubsub.Position{}, fmt.Errorf("history: %w", err)
	}
	now := last.at
	if after.Epoch != now.Epoch || after.Offset > now.Offset {
		return nil, now, pubsub.ErrEpoch
	}
	missed := now.Offset - after.Offset
	if missed > uint64(h.cfg.Events) {
		return nil, now, pubsub.ErrTrimmed
	}
	records := make([]pubsub.Record, missed)
	for i := missed; i > 0; {
		switch {
		case e.again: // holds no message
		case e.offset != after.Offset+i || time.Since(e.stored) > h.cfg.Age:
			return nil, now, pubsub.ErrTrimmed
		default:
			i--
			records[i] = pubsub.Record{Offset: e.offset, Event: e.event, Data: e.data}
		}
		if i == 0 {
			break
		}
		var found bool
		if e, found, err = h.get(ctx, e.prev); err != nil {
			return nil, now, fmt.Errorf("history: %w", err)
		} else if !found {
			return nil, now, pubsub.ErrTrimmed
		}
	}
	return records, now, nil
}

// subject returns the subject of a topic.
func (h *History) subject(topic string) string { return h.cfg.Prefix + "." + backplane.Token(topic) }

// last returns the last entry of a topic.
func (h *History) last(ctx context.Context, topic string) (end, entry, error) {
	raw, err := h.stream.GetLastMsgForSubject(ctx, h.subject(topic))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return end{}, entry{}, nil
	} else if err != nil {
		return end{}, entry{}, err
	}
	e, err := decode(raw)
	return end{raw.Sequence, e.at()}, e, err
}

// get returns the entry with a number in the stream, if it is still there.
func (h *History) get(ctx context.Context, seq uint64) (e entry, found bool, err error) {
	if seq == 0 {
		return e, false, nil
	}
	raw, err := h.stream.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return e, false, nil
	} else if err != nil {
		return e, false, err
	}
	e, err = decode(raw)
	return e, err == nil, err
}
