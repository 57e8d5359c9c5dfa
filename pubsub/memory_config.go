package pubsub

import (
	"cmp"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/internal/pattern"
)

// MemoryConfig configures a [Memory].
type MemoryConfig struct {
	// Topics are those that keep history: each is a topic, or the beginning of
	// topics if it ends with "*". At least one.
	Topics []string
	// Except are events that are not kept: who was away does not get them. nil
	// means presence_diff, since the whole state is sent to whoever joins.
	Except []string
	// Events, Bytes of payload and Age bound what is kept of one topic; what is
	// beyond any of them is forgotten, the oldest first. 0 means 256 events,
	// 256 KiB and 5 minutes.
	Events, Bytes int
	Age           time.Duration
	// MaxBytes bounds the payloads of all topics together: beyond it topics
	// lose what they keep, those without a broadcast for longest first. 0 means
	// 64 MiB.
	MaxBytes int
	// MaxTopics bounds the topics whose position is known, some 200 bytes each:
	// beyond it those longest unused begin anew, with another epoch. 0 means
	// 100,000.
	MaxTopics int
}

func (c MemoryConfig) withDefaults() MemoryConfig {
	if c.Except == nil {
		c.Except = []string{"presence_diff"}
	}
	c.Events = cmp.Or(c.Events, 256)
	c.Bytes = cmp.Or(c.Bytes, 256<<10)
	c.Age = cmp.Or(c.Age, 5*time.Minute)
	c.MaxBytes = cmp.Or(c.MaxBytes, 64<<20)
	c.MaxTopics = cmp.Or(c.MaxTopics, 100_000)
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
