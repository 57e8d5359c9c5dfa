package pubsub

import (
	"cmp"
	"time"
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
	if len(c.Topics) == 0 {
		return &ConfigError{Option: "Topics", Value: c.Topics, Allowed: "at least one pattern"}
	}
	for _, pattern := range c.Topics {
		if !ValidPattern(pattern) {
			return &ConfigError{Option: "Topics", Value: pattern, Allowed: AllowedPattern}
		}
	}
	for option, n := range map[string]int{"Events": c.Events, "Bytes": c.Bytes, "MaxBytes": c.MaxBytes, "MaxTopics": c.MaxTopics} {
		if n < 0 {
			return &ConfigError{Option: option, Value: n, Allowed: "0 (the default) or more"}
		}
	}
	if c.Age < 0 {
		return &ConfigError{Option: "Age", Value: c.Age, Allowed: "0 (the default) or more"}
	}
	return nil
}
