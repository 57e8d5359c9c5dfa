package pubsub

import (
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/internal/option"
)

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

// Config configures a [Hub]. The zero value is an in-process hub.
type Config struct {
	// Shards is the number of independently locked parts, rounded up to a
	// power of two. More shards let more goroutines subscribe at once; each
	// costs about 100 bytes. At most 4096. Default: 32.
	Shards int
	// Remote joins this hub to those of other nodes while [Hub.Run] runs.
	// Default: there are no other nodes.
	Remote Remote
	// RemoteTimeout is how long the hub waits for other nodes: for their answers
	// to a delivery, and for topics to be in effect there. Default: 5 s.
	RemoteTimeout time.Duration
	// History keeps what is broadcast on some topics. Default: nothing is kept.
	History History
	// Linger is how long this node still receives what others broadcast on a
	// topic with history after its last subscription has ended, so that a client
	// that comes back can resume. It matters for an [InterestedRemote] only.
	// Default: 5 min.
	Linger time.Duration
	// Logger receives warnings about other nodes, at most one of a kind in a
	// second. Default: slog.Default.
	Logger *slog.Logger
}

const hubOwner option.Owner = "pubsub.Hub"

func (c Config) validate() error {
	return option.First(
		option.Within(hubOwner, "Shards", c.Shards, 0, 4096),
		option.AtLeast(hubOwner, "RemoteTimeout", c.RemoteTimeout, 0),
		option.AtLeast(hubOwner, "Linger", c.Linger, 0),
		hubOwner.Optional("History", c.History, "a history"),
		hubOwner.Check(c.Remote == nil || (!option.IsNil(c.Remote) && c.Remote.Node() != ""), "Remote", c.Remote, "a remote with a name for this node"),
	)
}

func (c Config) withDefaults() Config {
	option.Default(&c.Shards, 32)
	option.Default(&c.RemoteTimeout, 5*time.Second)
	option.Default(&c.Linger, 5*time.Minute)
	option.Logger(&c.Logger)
	return c
}
