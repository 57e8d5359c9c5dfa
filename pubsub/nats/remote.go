package nats

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/internal/backplane"
	"github.com/penstock-go/penstock/pubsub"
)

// Remote joins a hub to those of other nodes over NATS. All methods may be called from
// any goroutine. Make one with [New].
type Remote struct {
	cfg      Config
	subjects subjects
	interest *backplane.Interest
	counters counters
	meters   meters
	logs     logs

	running atomic.Bool
	// up is the session that can publish, nil without a connection.
	up atomic.Pointer[session]
	// missing is set while another node cannot be reached perhaps.
	missing atomic.Bool
	// last is the session of the current or the last Run.
	last atomic.Pointer[session]

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when up changes
	reach   bool          // as the hub was told last
}

var (
	_ pubsub.InterestedRemote = (*Remote)(nil)
	_ pubsub.ReachRemote      = (*Remote)(nil)
	_ pubsub.MemberRemote     = (*Remote)(nil)
)

// New makes a remote. It connects in [Remote.Run]. The error is an [*OptionError].
func New(cfg Config) (*Remote, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	r := &Remote{cfg: cfg, subjects: newSubjects(cfg.Prefix), meters: newMeters(cfg.Metrics), changed: make(chan struct{})}
	r.interest = backplane.NewInterest(func() {
		if s := r.last.Load(); s != nil {
			s.poke()
		}
	})
	return r, nil
}

// Node implements pubsub.Remote.
func (r *Remote) Node() string { return r.cfg.Node }

// Publish implements pubsub.Remote. It does not block. It returns -1: the number of
// nodes is not known yet. If a delivery turns out to be wanted by no node, the hub is
// told so within a round trip to the server.
func (r *Remote) Publish(ctx context.Context, to string, m *pubsub.Message) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s := r.up.Load()
	if s == nil {
		return 0, ErrNotConnected
	}
	subject, id := "", uint64(0)
	if to == "" {
		subject, id = r.subjects.topic(m.Topic), m.DeliveryID()
	} else {
		subject, id = r.subjects.node(to), directID
	}
	limit := int(s.limit.Load())
	if size := s.send(subject, id, limit, m.Append); size > 0 {
		r.counters.tooLarge.Add(1)
		return 0, &TooLargeError{Size: size, Limit: limit}
	}
	return -1, nil
}

// Reach implements pubsub.ReachRemote. A node that said no goodbye counts until it was
// silent for DownAfter.
func (r *Remote) Reach() bool { return r.up.Load() != nil && !r.missing.Load() }

// Members implements pubsub.MemberRemote.
func (r *Remote) Members() []string {
	s := r.up.Load()
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.members.Names()
}

// Join implements pubsub.InterestedRemote.
func (r *Remote) Join(topic string) { r.interest.Join(topic) }

// Leave implements pubsub.InterestedRemote.
func (r *Remote) Leave(topic string) { r.interest.Leave(topic) }

// syncPause is how long Sync waits after a failure before it tries again.
const syncPause = 50 * time.Millisecond

// Sync implements pubsub.InterestedRemote. The server confirms the subscriptions, and
// where there are several servers, one node at each of the others. It waits as long as
// there is no connection.
func (r *Remote) Sync(ctx context.Context) error {
	for {
		r.mu.Lock()
		s, changed := r.up.Load(), r.changed
		r.mu.Unlock()
		var err error
		if s != nil {
			if err = s.sync(ctx); err == nil {
				return nil
			}
			pause := time.NewTimer(syncPause)
			select {
			case <-ctx.Done():
			case <-pause.C:
			}
			pause.Stop()
		} else {
			err = ErrNotConnected
			select {
			case <-ctx.Done():
			case <-changed:
			}
		}
		if ctx.Err() != nil {
			return fmt.Errorf("nats: topics not known to be in effect: %w (%w)", ctx.Err(), err)
		}
	}
}

// setUp makes s the session that publishes, or none. Without force, only s itself is
// put down: another session may be up.
func (r *Remote) setUp(s *session, up bool) {
	var changed bool
	if up {
		changed = r.up.Swap(s) != s
	} else {
		changed = r.up.CompareAndSwap(s, nil)
	}
	if changed {
		r.mu.Lock()
		close(r.changed)
		r.changed = make(chan struct{})
		r.mu.Unlock()
		s.followReach()
	}
}

// Run implements pubsub.Remote. The error is a [*NameError], [ErrRunning], or that of
// a server that has refused this node for good, as for wrong credentials.
func (r *Remote) Run(ctx context.Context, in pubsub.Receiver) error {
	if !r.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer r.running.Store(false)
	r.interest.Forget()
	s := newSession(r, in)
	r.last.Store(s)
	err := s.run(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}
