package presence

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/pubsub"
)

// Errors of [Tracker].
var (
	// ErrAlreadyTracked: this context is tracked under topic and key already.
	ErrAlreadyTracked = errors.New("presence: already tracked")
	// ErrNotTracked: this context is not tracked under topic and key.
	ErrNotTracked = errors.New("presence: not tracked")
	// ErrMeta: the meta is not encoded as a JSON object, or not as valid UTF-8.
	ErrMeta = errors.New("presence: meta is not an object")

	errPushCrashed = errors.New("presence: push has crashed")
)

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

// Config configures a [Tracker].
type Config struct {
	// Hub carries the diffs to clients and the presences to other nodes. Required.
	Hub *pubsub.Hub
	// Name distinguishes trackers on one hub. Default: "presence".
	Name string
	// Fetch adds to what clients are told about keys, such as a user's name from
	// a database: for each key of the topic it may return further fields beside
	// metas. It is called for lists and for each diff, in goroutines of its own,
	// several at once. If it fails, takes longer than FetchTimeout, panics or ends
	// its goroutine, clients are told without its fields. Default: nothing is added.
	Fetch func(ctx context.Context, topic string, keys []string) (map[string]map[string]any, error)
	// FetchTimeout bounds a call of Fetch, whose context ends then; it is waited for
	// no longer. While 16 calls go on after that no other one is made. Default: 5 s.
	FetchTimeout time.Duration
	// OnDiff is called for each diff, after it was broadcast, one call at a time.
	// It must not block: later diffs wait. The Broadcast of an endpoint of package
	// websocket may wait; that of the Hub does not wait for clients.
	OnDiff func(topic string, diff Diff)
	// Silent keeps diffs from being broadcast: then only OnDiff gets them.
	Silent bool
	// DiffPeriod is how long changes are gathered before a diff of all of them is
	// broadcast to clients; docs/presence.md has what a period saves. Default: not at
	// all while changes of a topic come one by one; those of a crowd in it for 5 to 25 ms.
	// A period of a nanosecond gathers only what comes until the next diff is made.
	DiffPeriod time.Duration
	// BroadcastPeriod is how often changes are sent to other nodes. Default: 1.5 s.
	BroadcastPeriod time.Duration
	// HeartbeatPeriod is the longest silence of a node. Default: ten
	// BroadcastPeriods.
	HeartbeatPeriod time.Duration
	// DownPeriod is how long a silent node counts as up, at least twice
	// HeartbeatPeriod. Default: twice HeartbeatPeriod.
	DownPeriod time.Duration
	// PermDownPeriod is when a silent node is forgotten, more than DownPeriod.
	// Default: 20 min, or twice DownPeriod if that is more.
	PermDownPeriod time.Duration
	// Logger receives what happens to nodes, and what fails. Default: slog.Default.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = "presence"
	}
	option.Default(&c.FetchTimeout, 5*time.Second)
	if c.BroadcastPeriod == 0 {
		c.BroadcastPeriod = 1500 * time.Millisecond
	}
	if c.HeartbeatPeriod == 0 {
		c.HeartbeatPeriod = 10 * c.BroadcastPeriod
	}
	if c.DownPeriod == 0 {
		c.DownPeriod = 2 * c.HeartbeatPeriod
	}
	if c.PermDownPeriod == 0 {
		c.PermDownPeriod = max(20*time.Minute, 2*c.DownPeriod)
	}
	option.Logger(&c.Logger)
	return c
}

// maxPeriod bounds what a period can be set to: sums of several are computed.
const maxPeriod = 365 * 24 * time.Hour

const trackerOwner option.Owner = "presence.Tracker"

func (c Config) validate() error {
	owner := trackerOwner
	if err := option.First(
		owner.Needs("Hub", c.Hub, "a hub"),
		option.Within(owner, "FetchTimeout", c.FetchTimeout, 0, maxPeriod),
		option.Within(owner, "DiffPeriod", c.DiffPeriod, 0, maxPeriod),
		option.Within(owner, "BroadcastPeriod", c.BroadcastPeriod, 0, maxPeriod),
		option.Within(owner, "HeartbeatPeriod", c.HeartbeatPeriod, 0, maxPeriod),
		option.Within(owner, "DownPeriod", c.DownPeriod, 0, maxPeriod),
		option.Within(owner, "PermDownPeriod", c.PermDownPeriod, 0, maxPeriod),
	); err != nil {
		return err
	}
	full := c.withDefaults()
	switch {
	case full.HeartbeatPeriod < full.BroadcastPeriod:
		return owner.Refuse("HeartbeatPeriod", full.HeartbeatPeriod, "BroadcastPeriod or more")
	case full.DownPeriod < 2*full.HeartbeatPeriod:
		return owner.Refuse("DownPeriod", full.DownPeriod, "twice HeartbeatPeriod or more")
	case full.PermDownPeriod <= full.DownPeriod:
		return owner.Refuse("PermDownPeriod", full.PermDownPeriod, "more than DownPeriod")
	}
	return nil
}
