package pubsub

import (
	"container/list"
	"context"
	"crypto/rand"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/penstock-go/penstock/internal/pattern"
)

// Memory is the [History] of one process: bounded, and gone when it ends. Each
// topic has an epoch of its own, and each node other epochs, so that a client that
// comes from another node is told that it cannot resume. All methods are safe for
// concurrent use.
type Memory struct {
	cfg   MemoryConfig
	name  string // random: part of every epoch
	start time.Time

	// mu guards what follows; no function of a caller runs under it. bytes is the
	// sum over all topics.
	mu     sync.Mutex
	topics map[string]*past
	epochs uint64
	bytes  int
	// Topics forgotten since the beginning.
	forgotten int64
	// Topics that hold records, the longest ago broadcast on first: they give way to
	// MaxBytes.
	holding list.List
	// Topics without a subscription, the longest unused first: they give way to
	// MaxTopics, those without records before those with.
	empty, idle list.List
}

// past is what is known of one topic. Guarded by Memory.mu.
type past struct {
	topic string
	epoch string
	last  uint64 // offset of the last broadcast
	// The oldest first, without gaps: the last has the offset last.
	records []kept
	bytes   int
	// Subscribed counts the hubs on which the topic has a subscription.
	subscribed int
	held       *list.Element // in holding, or nil
	unused     *list.Element // in empty or idle, or nil
}

// kept is a record with its age.
type kept struct {
	Record
	at time.Duration // since Memory.start
}

// NewMemory makes a history without records. It starts no goroutine and no
// timer: records that are too old are removed when others are added. The error is
// a [*OptionError].
func NewMemory(cfg MemoryConfig) (*Memory, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Memory{
		cfg: cfg.withDefaults(), name: rand.Text()[:12], start: time.Now(),
		topics: make(map[string]*past),
	}, nil
}

// Keeps reports whether the topic keeps history.
func (h *Memory) Keeps(topic string) bool {
	return slices.ContainsFunc(h.cfg.Topics, func(p string) bool { return pattern.Matches(p, topic) })
}

// Append keeps m if its topic keeps history, and does not block. The error is
// [ErrNotObject] for a binary payload.
func (h *Memory) Append(_ context.Context, m *Message) error {
	if !h.Keeps(m.Topic) || slices.Contains(h.cfg.Except, m.Event) {
		return nil
	}
	if m.Payload.Binary || !m.Payload.IsObject() {
		return ErrNotObject
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Since(h.start)
	p := h.past(m.Topic)
	p.last++
	p.records = append(p.records, kept{m.Keep(Position{Epoch: p.epoch, Offset: p.last}), now})
	h.add(p, len(m.Payload.Data))
	h.move(&p.held, &h.holding, p)
	h.file(p)
	h.trim(p, now)
	// Other topics are trimmed here, since no timer does it.
	for first := h.holding.Front(); first != nil; first = h.holding.Front() {
		p := first.Value.(*past)
		if h.bytes > h.cfg.MaxBytes {
			h.drop(p, len(p.records))
		} else if h.trim(p, now); len(p.records) > 0 {
			break
		}
	}
	return nil
}

// Since returns what was kept of topic after a position. It does not block.
func (h *Memory) Since(_ context.Context, topic string, after Position) ([]Record, Position, error) {
	if !h.Keeps(topic) {
		return nil, Position{}, ErrNotKept
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.past(topic)
	h.trim(p, time.Since(h.start))
	now := Position{Epoch: p.epoch, Offset: p.last}
	if after.Epoch != now.Epoch || after.Offset > p.last {
		return nil, now, ErrEpoch
	}
	missed := p.last - after.Offset
	if missed > uint64(len(p.records)) {
		return nil, now, ErrTrimmed
	}
	list := make([]Record, missed)
	for i, k := range p.records[uint64(len(p.records))-missed:] {
		list[i] = k.Record
	}
	return list, now, nil
}

// Lost begins the history of a topic anew, of all topics if topic is empty. It
// does not block.
func (h *Memory) Lost(topic string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if topic != "" {
		if p := h.topics[topic]; p != nil {
			h.restart(p)
		}
		return
	}
	for _, p := range h.topics {
		h.restart(p)
	}
}

// restart drops the records and begins another epoch: no position of before can be
// resumed. The mutex is held.
func (h *Memory) restart(p *past) {
	h.drop(p, len(p.records))
	p.epoch, p.last = h.newEpoch(), 0
}

// newEpoch returns an epoch that no other topic or process has had.
func (h *Memory) newEpoch() string {
	h.epochs++
	return h.name + strconv.FormatUint(h.epochs, 36)
}

// Subscribed implements [SubscribedHistory]: a topic with a subscription is not
// forgotten.
func (h *Memory) Subscribed(topic string, subscribed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.past(topic)
	if subscribed {
		p.subscribed++
	} else if p.subscribed > 0 {
		p.subscribed--
	}
	h.file(p)
	h.forgetUnused(h.cfg.MaxTopics)
}

// past finds or makes what is known of a topic. It may forget another one. The
// mutex is held, as for all below.
func (h *Memory) past(topic string) *past {
	p := h.topics[topic]
	if p == nil {
		h.forgetUnused(h.cfg.MaxTopics - 1)
		p = &past{topic: topic, epoch: h.newEpoch()}
		h.topics[topic] = p
	}
	h.file(p)
	return p
}

// forgetUnused forgets topics without a subscription beyond a number, those
// without records first, and the longest unused first.
func (h *Memory) forgetUnused(most int) {
	for h.empty.Len()+h.idle.Len() > most {
		first := h.empty.Front()
		if first == nil {
			first = h.idle.Front()
		}
		h.forget(first.Value.(*past))
	}
}

// forget removes a topic: if it is used again it has another epoch.
func (h *Memory) forget(p *past) {
	h.drop(p, len(p.records))
	h.move(&p.unused, nil, p)
	delete(h.topics, p.topic)
	h.forgotten++
}

// file puts a topic at the end of the list of unused topics that it belongs to, if
// it does: it is in use now.
func (h *Memory) file(p *past) {
	switch {
	case p.subscribed > 0:
		h.move(&p.unused, nil, p)
	case len(p.records) == 0:
		h.move(&p.unused, &h.empty, p)
	default:
		h.move(&p.unused, &h.idle, p)
	}
}

// move takes a topic from the list in which place is, and puts it at the end of
// another one, if to is not nil.
func (h *Memory) move(place **list.Element, to *list.List, p *past) {
	if *place != nil {
		for _, l := range []*list.List{&h.holding, &h.empty, &h.idle} { // Remove does nothing in the lists where it is not
			l.Remove(*place)
		}
		*place = nil
	}
	if to != nil {
		*place = to.PushBack(p)
	}
}

// add counts bytes that a topic has more, or fewer.
func (h *Memory) add(p *past, bytes int) {
	p.bytes += bytes
	h.bytes += bytes
}

// trim removes the records beyond the bounds of one topic.
func (h *Memory) trim(p *past, now time.Duration) {
	n, bytes := 0, p.bytes
	for n < len(p.records) {
		oldest := &p.records[n]
		if len(p.records)-n <= h.cfg.Events && bytes <= h.cfg.Bytes && now-oldest.at <= h.cfg.Age {
			break
		}
		bytes -= len(oldest.Data)
		n++
	}
	h.drop(p, n)
}

// drop removes the n oldest records. They are cleared, since the rest of the array
// lives on.
func (h *Memory) drop(p *past, n int) {
	if n == 0 {
		return
	}
	for i := range p.records[:n] {
		h.add(p, -len(p.records[i].Data))
	}
	clear(p.records[:n])
	if p.records = p.records[n:]; len(p.records) == 0 {
		p.records = nil
		h.move(&p.held, nil, p)
		if p.unused != nil {
			h.file(p) // without records now
		}
	}
}
