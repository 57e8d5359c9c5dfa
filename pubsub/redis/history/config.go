// Package history keeps what is broadcast on some topics in streams of Redis, so that
// the nodes of a cluster share it: a client that comes back at another node gets what
// it missed.
//
// Each topic is one stream, PREFIX.h.TOPIC (the topic is escaped). The record with
// offset N has the identifier N-1, the topic's epoch, and the time of the server. A
// script gives offsets, so two nodes cannot give the same one. A stream that was
// evicted, has expired or was lost begins anew with another epoch.
//
// A server that comes back with older data of the same stream, as a replica that was
// promoted or one that does not sync each write, gives offsets of that epoch again: a
// client that had the lost records misses the ones that took their places. Delete the
// streams then, or use appendfsync always.
package history

import (
	"log/slog"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/internal/pattern"
)

// OptionError reports a refused option. The type is the same in every package of this
// module.
type OptionError = option.Error

// Config configures [New]. It is the same on all nodes.
type Config struct {
	// Topics are the topics that keep history, at least one: each is a topic, or
	// the beginning of topics if it ends with "*".
	Topics []string
	// Except are events that are not kept. Default: presence_diff.
	Except []string
	// Options say where Redis is, and how to log in. A Redis Cluster is refused.
	// Default: 127.0.0.1:6379.
	Options *goredis.UniversalOptions
	// Prefix begins the keys: without spaces. Default: penstock.
	Prefix string
	// Events bounds what is read of one topic. Redis keeps up to a few hundred
	// records more. Default: 256.
	Events int
	// Age bounds how old what is read may be. Default: 5 min.
	Age time.Duration
	// Idle is how long the stream of a topic is kept without a call, at least Age.
	// The topic has another epoch after it. Default: 24 h, at least Age.
	Idle time.Duration
	// Timeout bounds one call with its repetitions. Default: 5 s.
	Timeout time.Duration
	// Logger receives failures of the server and attempts that are repeated, at most
	// one line a second. Default: slog.Default.
	Logger *slog.Logger
}

const owner option.Owner = "history.History"

func (c Config) validate() error {
	if len(c.Topics) == 0 {
		return owner.Refuse("Topics", c.Topics, "at least one pattern")
	}
	for _, topics := range c.Topics {
		if !pattern.Valid(topics) {
			return owner.Refuse("Topics", topics, pattern.Allowed)
		}
	}
	return option.First(
		owner.Check(!isCluster(c.Options), "Options", "a Redis Cluster", "one server, or sentinels with a MasterName"),
		owner.Check(!strings.ContainsFunc(c.Prefix, func(r rune) bool { return r <= ' ' || r == 0x7f }), "Prefix", c.Prefix, "text without spaces"),
		option.AtLeast(owner, "Events", c.Events, 0),
		owner.Check(c.Age == 0 || c.Age >= time.Millisecond, "Age", c.Age, "1ms or more"),
		owner.Check(c.Idle == 0 || c.Idle >= c.withDefaults().Age, "Idle", c.Idle, "at least Age"),
		option.AtLeast(owner, "Timeout", c.Timeout, 0),
	)
}

// isCluster reports whether the client would take the options for a Redis Cluster.
func isCluster(o *goredis.UniversalOptions) bool {
	return o != nil && (o.IsClusterMode || o.RouteByLatency || o.RouteRandomly || o.MasterName == "" && len(o.Addrs) > 1)
}

func (c Config) withDefaults() Config {
	if c.Except == nil {
		c.Except = []string{"presence_diff"}
	}
	option.Default(&c.Prefix, "penstock")
	option.Default(&c.Events, 256)
	option.Default(&c.Age, 5*time.Minute)
	option.Default(&c.Idle, max(24*time.Hour, c.Age))
	option.Default(&c.Timeout, 5*time.Second)
	option.Logger(&c.Logger)
	return c
}

// clientOptions are those of the client: calls end with their context, and the history
// itself makes the attempts.
func (c Config) clientOptions() *goredis.UniversalOptions {
	var own goredis.UniversalOptions
	if c.Options != nil {
		own = *c.Options
	}
	own.ContextTimeoutEnabled, own.MaxRetries, own.DialerRetries = true, -1, 1
	if own.MaintNotificationsConfig == nil {
		own.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	}
	return &own
}
