package redis

import (
	"crypto/rand"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
)

// OptionError reports a refused option. The type is the same in every package of this
// module.
type OptionError = option.Error

// Config configures [New]. The zero value joins the cluster at a server on this machine
// under a name that is made up.
type Config struct {
	// Node is the name of this node, which is unique in the cluster. It is 1 to 200
	// bytes long. Default: the name of the machine and a random part.
	Node string
	// Options say where Redis is, one server or sentinels with a MasterName, and how to
	// log in, such as TLS and credentials. A Redis Cluster is refused. The remote makes
	// clients of its own of a copy, without the client's own attempts. ReadTimeout, 3 s
	// unless it is set, is how long a server may be silent before its connection is given
	// up. The client itself logs connections that cannot be made; its SetLogger changes
	// that. Default: 127.0.0.1:6379.
	Options *goredis.UniversalOptions
	// Prefix begins all channels: at most 200 bytes without spaces. Nodes with another
	// prefix are another cluster. Default: penstock.
	Prefix string
	// MessageBytes is the largest message with its topic and event, 1 KiB to 512 MiB. A
	// larger one is refused. It should stay well below the server's
	// client-output-buffer-limit pubsub, 32 MiB by default. Default: 4 MiB.
	MessageBytes int
	// OutboxBytes bounds what waits to be sent, twice over, while the server takes
	// nothing: 64 KiB or more. The oldest is dropped then. Default: 16 MiB.
	OutboxBytes int
	// InboxBytes bounds what has arrived and was not handled yet: 64 KiB or more.
	// What does not fit is dropped, and reported as lost. Default: 64 MiB.
	InboxBytes int
	// Beat is the time between two beats of this node, 10 ms to 1 min: a loss that
	// no connection reports is known after it. It is the same on all nodes.
	// Default: 500 ms.
	Beat time.Duration
	// DownAfter is how long a node may be silent before it is no member any more, two
	// beats or more. Default: 5 s, at least 10 beats.
	DownAfter time.Duration
	// Metrics records redis.remote.* of docs/metrics.md. Default: nothing is recorded.
	Metrics metrics.Recorder
	// Logger receives nodes that come and go, and warnings, at most one of a kind in
	// a second. Default: slog.Default.
	Logger *slog.Logger
}

const owner option.Owner = "redis.Remote"

const (
	maxName    = 200
	minBytes   = 64 << 10
	minMessage = 1 << 10
	maxMessage = 512 << 20 // proto-max-bulk-len of a server
)

func (c Config) validate() error {
	return option.First(
		owner.Check(len(c.Node) <= maxName, "Node", c.Node, "at most 200 bytes"),
		owner.Check(!isCluster(c.Options), "Options", "a Redis Cluster", "one server, or sentinels with a MasterName"),
		owner.Check(c.Prefix == "" || validPrefix(c.Prefix), "Prefix", c.Prefix, "at most 200 bytes without spaces"),
		owner.Check(c.MessageBytes == 0 || c.MessageBytes >= minMessage && c.MessageBytes <= maxMessage, "MessageBytes", c.MessageBytes, "1024 to 536870912"),
		owner.Check(c.OutboxBytes == 0 || c.OutboxBytes >= minBytes, "OutboxBytes", c.OutboxBytes, "65536 or more"),
		owner.Check(c.InboxBytes == 0 || c.InboxBytes >= minBytes, "InboxBytes", c.InboxBytes, "65536 or more"),
		owner.Check(c.Beat == 0 || c.Beat >= 10*time.Millisecond && c.Beat <= time.Minute, "Beat", c.Beat, "10ms to 1m"),
		owner.Check(c.DownAfter == 0 || c.DownAfter >= 2*c.withDefaults().Beat, "DownAfter", c.DownAfter, "two beats or more"),
		owner.Recorder(c.Metrics),
	)
}

// isCluster reports whether the client would take the options for a Redis Cluster.
func isCluster(o *goredis.UniversalOptions) bool {
	return o != nil && (o.IsClusterMode || o.RouteByLatency || o.RouteRandomly || o.MasterName == "" && len(o.Addrs) > 1)
}

// validPrefix reports whether text can begin a channel.
func validPrefix(text string) bool {
	return len(text) <= maxName && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

func (c Config) withDefaults() Config {
	if c.Node == "" {
		host, _ := os.Hostname() // without one the random part is the name
		c.Node = host[:min(len(host), 100)] + "-" + rand.Text()[:8]
	}
	if c.Options == nil {
		c.Options = &goredis.UniversalOptions{}
	}
	option.Default(&c.Prefix, "penstock")
	option.Default(&c.MessageBytes, 4<<20)
	option.Default(&c.OutboxBytes, 16<<20)
	option.Default(&c.InboxBytes, 64<<20)
	option.Default(&c.Beat, 500*time.Millisecond)
	option.Default(&c.DownAfter, max(5*time.Second, 10*c.Beat))
	option.Default(&c.Metrics, metrics.Nop())
	option.Logger(&c.Logger)
	return c
}

// clientOptions are those of the clients of a session: it makes all attempts, since those
// of the client would send messages twice.
func (c *Config) clientOptions() *goredis.UniversalOptions {
	own := *c.Options
	own.MaxRetries = -1
	own.DialerRetries = 1
	own.PoolSize, own.MinIdleConns = 1, 0
	option.Default(&own.DialTimeout, 5*time.Second)
	option.Default(&own.ReadTimeout, 3*time.Second)
	option.Default(&own.Protocol, 2) // push messages have no use here
	if own.MaintNotificationsConfig == nil {
		own.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	}
	return &own
}

// reconnectDelay is the pause before the next attempt: 50 ms, then twice as long each
// time up to 2 s, half of it random.
func reconnectDelay(attempts int) time.Duration {
	pause := min(50*time.Millisecond<<min(max(attempts-1, 0), 6), 2*time.Second)
	return pause/2 + mathrand.N(pause/2)
}
