package pubsub

import (
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/internal/pattern"
)

// MemoryConfig configures a [Memory].
type MemoryConfig struct {
	// Topics are the topics that keep history, at least one: each is a topic, or
	// the beginning of topics if it ends with "*".
	Topics []string
	// Except are events that are not kept: a subscriber that was away does not get
	// them. Default: presence_diff, since a client that joins gets the whole state.
	Except []string
	// Events bounds the records of one topic, of which the oldest are removed
	// first. Default: 256.
	Events int
	// Bytes bounds the payloads that are kept of one topic. Default: 256 KiB.
	Bytes int
	// Age bounds how long a record is kept. Default: 5 min.
	Age time.Duration
	// MaxBytes bounds the payloads of all topics together. Beyond it the topics
	// whose last broadcast is the longest ago lose what they keep. Default: 64 MiB.
	MaxBytes int
	// MaxTopics bounds the topics without a subscription whose position is known,
	// some 300 bytes each. Beyond it those unused for the longest time begin anew,
	// with another epoch, at first those that keep no record. Topics with a
	// subscription are never forgotten. Default: 100,000.
	MaxTopics int
}

func (c MemoryConfig) withDefaults() MemoryConfig {
	if c.Except == nil {
		c.Except = []string{"presence_diff"}
	}
	option.Default(&c.Events, 256)
	option.Default(&c.Bytes, 256<<10)
	option.Default(&c.Age, 5*time.Minute)
	option.Default(&c.MaxBytes, 64<<20)
	option.Default(&c.MaxTopics, 100_000)
	return c
}

func (c MemoryConfig) validate() error {
	owner := option.Owner("pubsub.Memory")
	if len(c.Topics) == 0 {
		return owner.Refuse("Topics", c.Topics, "at least one pattern")
	}
	for _, topics := range c.Topics {
		if !pattern.Valid(topics) {
			return owner.Refuse("Topics", topics, pattern.Allowed)
		}
	}
	return option.First(
		option.AtLeast(owner, "Events", c.Events, 0),
		option.AtLeast(owner, "Bytes", c.Bytes, 0),
		option.AtLeast(owner, "MaxBytes", c.MaxBytes, 0),
		option.AtLeast(owner, "MaxTopics", c.MaxTopics, 0),
		option.AtLeast(owner, "Age", c.Age, 0),
	)
}
