package presence

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

// Tracker knows the presences of all nodes. All methods may be called from any
// goroutine.
// Its mutex guards what decides, all of it pure: machine, view and post, and the
// owners of this node. Nothing is sent and no function of a caller runs under it.
type Tracker struct {
	cfg    Config
	logger *slog.Logger

	mu      sync.Mutex
	machine *machine
	view    view
	post    post
	// The presences of this node: tracked by place, and the places of each owner.
	// An owner is in owners exactly while it has a place.
	tracked map[place]*entry
	owners  map[context.Context]*owner
	teller  teller

	counters counters
	logs     logs
	made     time.Time    // the grace of expectRun begins
	life     atomic.Int32 // made, runs, ended
	overdue  atomic.Int64 // calls of Fetch that go on after their timeout
}

// place is where a context is tracked. It is a map's key, which is why contexts
// must be comparable.
type place struct {
	owner      context.Context
	topic, key string
}

// owner is a context with presences, and what ends the wait for its end. stop is
// nil until Track has set it, which it does after the mutex is free.
type owner struct {
	places map[place]bool
	stop   func() bool
}

// New makes a tracker. The error is a [*OptionError]. Without other nodes it is
// ready; otherwise it takes part once [Tracker.Run] runs.
func New(cfg Config) (*Tracker, error) { return newTracker(cfg, time.Now()) }

// newTracker is New at a time of this node's clock.
func newTracker(cfg Config, now time.Time) (*Tracker, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	node := cfg.Hub.Node()
	return &Tracker{
		cfg:     cfg,
		logger:  cfg.Logger,
		machine: newMachine(cfg, node, newProcess(now), node == pubsub.LocalNode),
		view:    view{topics: make(map[string]map[string][]*entry)},
		post:    post{known: make(map[letter]bool), wake: make(chan struct{}, 1)},
		tracked: make(map[place]*entry),
		owners:  make(map[context.Context]*owner),
		made:    time.Now(),
	}, nil
}

// Track makes ctx's owner present in topic under key until ctx is done or Untrack
// is called, and returns the ref of the meta. Owners are told apart by their
// context, which must be comparable, as all contexts of the standard library are.
// The error is [ErrAlreadyTracked] if ctx is present in topic under key already;
// the same key in other topics, and other keys, are fine. A context that is done is
// not tracked, which is no error. Track waits for nothing: the diff is broadcast in
// another goroutine, which [Tracker.Settle] waits for.
func (t *Tracker) Track(ctx context.Context, topic, key string, meta any) (ref string, err error) {
	t.expectRun()
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
	// Checked under the mutex: if ctx ends later, AfterFunc runs and untracks.
	if ctx.Err() != nil {
		t.mu.Unlock()
		return ref, nil
	}
	o := t.owners[ctx]
	// Only the first presence of a context waits for its end.
	first := o == nil
	if first {
		o = &owner{places: make(map[place]bool)}
		t.owners[ctx] = o
	}
	o.places[p] = true
	e := &entry{ref: ref, topic: topic, key: key, meta: encoded}
	t.tracked[p] = e
	t.write(change{joins: []*entry{e}})
	t.mu.Unlock()
	if first {
		// Outside of the mutex, since a context may call back at once.
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
	return ref, nil
}

// Update replaces the meta of a presence. Error: [ErrNotTracked].
func (t *Tracker) Update(ctx context.Context, topic, key string, meta any) (ref string, err error) {
	return t.UpdateFunc(ctx, topic, key, func(json.RawMessage) any { return meta })
}

// UpdateFunc is Update with a meta that f makes of the present one, which it gets
// as it was tracked. f is called again if another update came first.
func (t *Tracker) UpdateFunc(ctx context.Context, topic, key string, f func(meta json.RawMessage) any) (ref string, err error) {
	p := place{ctx, topic, key}
	for {
		t.mu.Lock()
		before := t.tracked[p]
		t.mu.Unlock()
		if before == nil {
			return "", ErrNotTracked
		}
		// f runs without the mutex, so the entry is compared again afterwards.
		ref := newRef()
		encoded, err := encodeMeta(f(withoutRefs(before.meta)), ref, before.ref)
		if err != nil {
			return "", err
		}
		e := &entry{ref: ref, topic: topic, key: key, meta: encoded}
		t.mu.Lock()
		same := t.tracked[p] == before // else another update came first
		if same {
			t.tracked[p] = e
			t.write(change{joins: []*entry{e}, leaves: []*entry{before}})
		}
		t.mu.Unlock()
		if same {
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

// untrack ends the presences of ctx at the places that which selects.
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
}

// List returns the presences of a topic on all nodes that are up. It waits for
// Fetch, for Config.FetchTimeout at the longest.
func (t *Tracker) List(topic string) State {
	t.mu.Lock()
	s := t.view.list(topic)
	t.mu.Unlock()
	t.endFetch(t.beginFetch(topic, s), topic, s)
	return s
}

// Get returns the metas of one key, none if it is not present.
func (t *Tracker) Get(topic, key string) []json.RawMessage {
	t.mu.Lock()
	defer t.mu.Unlock()
	return metasOf(t.view.topics[topic][key])
}

// Count returns the number of keys that are present in a topic.
func (t *Tracker) Count(topic string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.view.topics[topic])
}

// Online reports whether key is present in topic, on any node that is up. It looks at one
// entry of a map and allocates nothing, so that it can be asked for each event.
func (t *Tracker) Online(topic, key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.view.topics[topic][key]) > 0
}

// metasOf returns the metas of entries in their order. The bytes are shared with
// them.
func metasOf(entries []*entry) []json.RawMessage {
	list := make([]json.RawMessage, len(entries))
	for i, e := range entries {
		list[i] = e.meta
	}
	return list
}

// write makes a change of this node. The mutex is held.
func (t *Tracker) write(c change) {
	eff := t.machine.change(c)
	t.carryOut(&eff)
}
