package presence

import (
	"context"
	"encoding/json"
	"sort"
	"sync"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/pubsub"
)

// Tracker knows the presences of all nodes.
type Tracker struct {
	config Config
	self   *replica

	mu       sync.Mutex
	topics   map[string]map[string][]*entry // by topic and key, of nodes that are up
	tracked  map[place]*entry
	owners   map[context.Context]*owner
	replicas map[string]*replica // other nodes, by name
	number   uint64
	pending  []gossipEntry // changes of this node since the last delta
	gone     []string
	since    uint64 // version before them

	// changes wait to be told, by whoever tells at the moment.
	changes []change
	telling bool
}

// place is where a context is tracked.
type place struct {
	owner      context.Context
	topic, key string
}

// owner is a context with presences.
type owner struct {
	places map[place]bool
	stop   func() bool
}

// New makes a tracker. The error is a [*OptionError]. Without other nodes it is
// ready; otherwise it takes part once [Tracker.Run] runs.
func New(config Config) (*Tracker, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	return &Tracker{
		config:   config,
		self:     &replica{name: config.Hub.Node(), incarnation: time.Now().UnixNano(), entries: make(map[string]*entry), up: true},
		topics:   make(map[string]map[string][]*entry),
		tracked:  make(map[place]*entry),
		owners:   make(map[context.Context]*owner),
		replicas: make(map[string]*replica),
	}, nil
}

// Track makes ctx's owner present in topic under key until ctx is done or
// Untrack is called, and answers the ref of the meta. The context tells owners
// apart; it must be comparable, as all contexts of the standard library are.
// [ErrAlreadyTracked] if it is present there already; other keys and topics are
// fine. A context that is done is not tracked, which is no error.
func (t *Tracker) Track(ctx context.Context, topic, key string, meta any) (ref string, err error) {
	ref = newRef()
	encoded, err := encodeMeta(meta, ref, "")
	if err != nil {
		return "", err
	}
	p := place{ctx, topic, key}
	t.mu.Lock()
	if t.tracked[p] != nil {
		t.mu.Unlock()
		return "", ErrAlreadyTracked
	}
	if ctx.Err() != nil {
		t.mu.Unlock()
		return ref, nil
	}
	o := t.owners[ctx]
	first := o == nil
	if first {
		o = &owner{places: make(map[place]bool)}
		t.owners[ctx] = o
	}
	o.places[p] = true
	e := &entry{ref: ref, topic: topic, key: key, meta: encoded, node: t.self}
	t.tracked[p] = e
	t.write(change{joins: []*entry{e}})
	t.mu.Unlock()
	if first {
		stop := context.AfterFunc(ctx, func() { t.UntrackAll(ctx) })
		t.mu.Lock()
		if t.owners[ctx] == o {
			o.stop = stop
			stop = nil
		}
		t.mu.Unlock()
		if stop != nil {
			stop() // untracked meanwhile
		}
	}
	t.tell()
	return ref, nil
}

// Update replaces the meta of a presence. Error: [ErrNotTracked].
func (t *Tracker) Update(ctx context.Context, topic, key string, meta any) (ref string, err error) {
	return t.UpdateFunc(ctx, topic, key, func(json.RawMessage) any { return meta })
}

// UpdateFunc is Update with a meta made of the present one, as it was given. f
// may be called again if somebody else updates at the same time.
func (t *Tracker) UpdateFunc(ctx context.Context, topic, key string, f func(meta json.RawMessage) any) (ref string, err error) {
	p := place{ctx, topic, key}
	for {
		t.mu.Lock()
		before := t.tracked[p]
		t.mu.Unlock()
		if before == nil {
			return "", ErrNotTracked
		}
		plain, err := withoutRefs(before.meta)
		if err != nil {
			return "", err
		}
		ref := newRef()
		encoded, err := encodeMeta(f(plain), ref, before.ref)
		if err != nil {
			return "", err
		}
		e := &entry{ref: ref, topic: topic, key: key, meta: encoded, node: t.self}
		t.mu.Lock()
		same := t.tracked[p] == before
		if same {
			t.tracked[p] = e
			t.write(change{joins: []*entry{e}, leaves: []*entry{before}})
		}
		t.mu.Unlock()
		if same {
			t.tell()
			return ref, nil
		}
	}
}

// Untrack ends a presence; one that is not there is no error.
func (t *Tracker) Untrack(ctx context.Context, topic, key string) {
	t.untrack(ctx, func(p place) bool { return p.topic == topic && p.key == key })
}

// UntrackAll ends all presences of ctx's owner.
func (t *Tracker) UntrackAll(ctx context.Context) {
	t.untrack(ctx, func(place) bool { return true })
}

func (t *Tracker) untrack(ctx context.Context, which func(p place) bool) {
	t.mu.Lock()
	o := t.owners[ctx]
	if o == nil {
		t.mu.Unlock()
		return
	}
	var c change
	for p := range o.places {
		if which(p) {
			c.leaves = append(c.leaves, t.tracked[p])
			delete(t.tracked, p)
			delete(o.places, p)
		}
	}
	var stop func() bool
	if len(o.places) == 0 {
		delete(t.owners, ctx)
		stop = o.stop
	}
	if !c.empty() {
		t.write(c)
	}
	t.mu.Unlock()
	if stop != nil {
		stop()
	}
	t.tell()
}

// List answers the presences of a topic on all nodes that are up.
func (t *Tracker) List(topic string) State {
	t.mu.Lock()
	s := State{}
	for key, entries := range t.topics[topic] {
		s[key] = Presence{Metas: metasOf(entries)}
	}
	t.mu.Unlock()
	t.fetch(topic, s)
	return s
}

// Get answers the metas of one key; none if it is not present.
func (t *Tracker) Get(topic, key string) []json.RawMessage {
	t.mu.Lock()
	defer t.mu.Unlock()
	return metasOf(t.topics[topic][key])
}

// Count is the number of keys present in a topic.
func (t *Tracker) Count(topic string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.topics[topic])
}

func metasOf(entries []*entry) []json.RawMessage {
	list := make([]json.RawMessage, len(entries))
	for i, e := range entries {
		list[i] = e.meta
	}
	return list
}

func (t *Tracker) fetch(topic string, states ...State) {
	if t.config.Fetch == nil {
		return
	}
	seen := map[string]bool{}
	var keys []string
	for _, s := range states {
		for key := range s {
			if !seen[key] {
				seen[key] = true
				keys = append(keys, key)
			}
		}
	}
	if len(keys) == 0 {
		return
	}
	sort.Strings(keys)
	extra := t.config.Fetch(topic, keys)
	for _, s := range states {
		for key, p := range s {
			p.Extra = extra[key]
			s[key] = p
		}
	}
}

// write makes a change of this node: to its own replica, to the next delta and
// to the topics. The mutex is held.
func (t *Tracker) write(c change) {
	for _, e := range c.leaves {
		delete(t.self.entries, e.ref)
	}
	for _, e := range c.joins {
		t.self.entries[e.ref] = e
	}
	t.self.version++
	if t.config.Hub.Node() != pubsub.LocalNode {
		for _, e := range c.joins {
			t.pending = append(t.pending, gossipEntry{Ref: e.ref, Topic: e.topic, Key: e.key, Meta: e.meta})
		}
		for _, e := range c.leaves {
			t.gone = append(t.gone, e.ref)
		}
	}
	t.show(c)
}

// show makes a change visible in the topics and notes it to be told. The mutex
// is held.
func (t *Tracker) show(c change) {
	if c.empty() {
		return
	}
	for _, e := range c.leaves {
		keys := t.topics[e.topic]
		list := keys[e.key]
		for i, other := range list {
			if other == e {
				list = append(list[:i:i], list[i+1:]...)
				break
			}
		}
		if keys[e.key] = list; len(list) == 0 {
			delete(keys, e.key)
		}
		if len(keys) == 0 {
			delete(t.topics, e.topic)
		}
	}
	for _, e := range c.joins {
		keys := t.topics[e.topic]
		if keys == nil {
			keys = make(map[string][]*entry)
			t.topics[e.topic] = keys
		}
		t.number++
		e.number = t.number
		keys[e.key] = append(keys[e.key], e)
	}
	t.changes = append(t.changes, c)
}

// tell broadcasts the diffs of all changes that wait, in order, now or when the
// diff period is over. One goroutine at a time does it, for all others.
func (t *Tracker) tell() {
	t.mu.Lock()
	if t.telling || len(t.changes) == 0 {
		t.mu.Unlock()
		return
	}
	t.telling = true
	t.mu.Unlock()
	if d := t.config.DiffPeriod; d > 0 {
		time.AfterFunc(d, t.tellWaiting)
	} else {
		t.tellWaiting()
	}
}

// tellWaiting tells what waits, and what comes while it tells: at once, or after
// another period.
func (t *Tracker) tellWaiting() {
	for {
		t.mu.Lock()
		list := t.changes
		t.changes = nil
		t.mu.Unlock()
		t.tellOne(merge(list))
		t.mu.Lock()
		t.telling = len(t.changes) > 0
		again := t.telling
		t.mu.Unlock()
		switch d := t.config.DiffPeriod; {
		case !again:
			return
		case d > 0:
			time.AfterFunc(d, t.tellWaiting)
			return
		}
	}
}

func (t *Tracker) tellOne(c change) {
	for topic, diff := range c.byTopic() {
		t.tellTopic(topic, diff)
	}
}

func (t *Tracker) tellTopic(topic string, diff *Diff) {
	defer func() {
		if v := recover(); v != nil {
			err := crash.Of(v)
			t.config.Logger.Error("presence callback crashed", "tracker", t.config.Name, "error", err, "stack", string(err.Stack))
		}
	}()
	t.fetch(topic, diff.Joins, diff.Leaves)
	if !t.config.Silent {
		if _, err := t.config.Hub.LocalBroadcast(nil, topic, "presence_diff", *diff); err != nil {
			t.config.Logger.Warn("presence diff not broadcast", "tracker", t.config.Name, "error", err)
		}
	}
	if t.config.OnDiff != nil {
		t.config.OnDiff(topic, *diff)
	}
}
