// Package history keeps what is broadcast on some topics in a stream of JetStream, so
// that the nodes of a cluster share it: a client that comes back at another node gets
// what it missed.
//
// Each topic is a subject of the stream. Its entries have the offsets 1, 2 and so on,
// and the topic's epoch, which its first entry has made up: once the stream has dropped
// all entries of a topic, the next one begins another epoch. The server refuses an
// entry that does not follow the last one, so two nodes cannot give the same offset.
package history

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

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
	// Stream is the name of the stream. Default: penstock-history.
	Stream string
	// Prefix begins the subjects. Default: penstock.h.
	Prefix string
	// File keeps the stream in files of the servers. Default: in their memory.
	File bool
	// Replicas is the number of servers that have the stream, 1 to 5. Default: 1.
	Replicas int
	// Events bounds the entries of one topic. Default: 256.
	Events int
	// Age bounds how old what is read may be. Default: 5 min.
	Age time.Duration
	// MaxBytes bounds the stream in bytes; the oldest entries are dropped first.
	// Default: 64 MiB.
	MaxBytes int64
	// Timeout bounds one call of the server with its repetitions. Default: 5 s.
	Timeout time.Duration
}

const owner option.Owner = "history.History"

func (c Config) validate(js jetstream.JetStream) error {
	if err := owner.Needs("js", js, "a JetStream"); err != nil {
		return err
	}
	if len(c.Topics) == 0 {
		return owner.Refuse("Topics", c.Topics, "at least one pattern")
	}
	for _, topics := range c.Topics {
		if !pattern.Valid(topics) {
			return owner.Refuse("Topics", topics, pattern.Allowed)
		}
	}
	return option.First(
		option.Within(owner, "Replicas", c.Replicas, 0, 5),
		option.AtLeast(owner, "Events", c.Events, 0),
		option.AtLeast(owner, "Age", c.Age, 0),
		option.AtLeast(owner, "MaxBytes", c.MaxBytes, 0),
		option.AtLeast(owner, "Timeout", c.Timeout, 0),
	)
}

func (c Config) withDefaults() Config {
	if c.Except == nil {
		c.Except = []string{"presence_diff"}
	}
	option.Default(&c.Stream, "penstock-history")
	option.Default(&c.Prefix, "penstock.h")
	option.Default(&c.Replicas, 1)
	option.Default(&c.Events, 256)
	option.Default(&c.Age, 5*time.Minute)
	option.Default(&c.MaxBytes, 64<<20)
	option.Default(&c.Timeout, 5*time.Second)
	return c
}
