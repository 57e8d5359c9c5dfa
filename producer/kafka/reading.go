package kafka

import (
	"fmt"
	"regexp"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/option"
)

// Protocol is how the members of a group share its partitions. See the package
// comment, section The group's protocol.
type Protocol uint8

// The protocols.
const (
	// ClassicProtocol has a member assign the partitions, cooperatively: every broker
	// supports it.
	ClassicProtocol Protocol = iota
	// ServerProtocol has the broker assign them, KIP-848: members go on while
	// partitions move between others. It needs Kafka 4.0, and 4.3 is advised. At an older
	// broker the client uses the classic protocol, with the eager sticky balancer.
	ServerProtocol
)

// findTopics is how old the client's list of topics may be if they are named by patterns.
const findTopics = 30 * time.Second

// preferences are options that come before those of the program, which may replace them.
func (c *Config[T]) preferences() (opts []kgo.Opt) {
	if len(c.TopicPatterns) > 0 {
		opts = append(opts, kgo.MetadataMaxAge(findTopics))
	}
	if c.Protocol == ServerProtocol {
		// The client falls back to the classic protocol for any balancer but this and range.
		opts = append(opts, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	}
	return opts
}

// reading are the options that say what is read and from where. StartAgo counts from the
// call.
func (c *Config[T]) reading() []kgo.Opt {
	start, reset := c.Start.offset(), c.Reset.offset()
	switch {
	case !c.StartAt.IsZero():
		start = kgo.NewOffset().AfterMilli(c.StartAt.UnixMilli())
	case c.StartAgo > 0:
		start = kgo.NewOffset().AfterMilli(time.Now().Add(-c.StartAgo).UnixMilli())
	}
	if c.ResetAgo > 0 {
		reset = kgo.LookbackOffset(c.ResetAgo)
	}
	opts := []kgo.Opt{
		kgo.ConsumeStartOffset(start), kgo.ConsumeResetOffset(reset),
		// They show how far the client has come past aborted records.
		kgo.KeepControlRecords(),
	}
	if len(c.TopicPatterns) > 0 {
		opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics(whole(c.TopicPatterns)...), kgo.ConsumeExcludeTopics(whole(c.NotTopics)...))
	} else {
		opts = append(opts, kgo.ConsumeTopics(c.Topics...))
	}
	if c.ReadCommitted {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	return opts
}

// whole makes patterns match whole names only.
func whole(patterns []string) []string {
	list := make([]string, len(patterns))
	for i, p := range patterns {
		list[i] = "^(?:" + p + ")$"
	}
	return list
}

// end is the offset behind the newest record that the member may have.
func (c *Config[T]) end(f kgo.FetchTopicPartition) int64 {
	if c.ReadCommitted {
		return f.LastStableOffset
	}
	return f.HighWatermark
}

// validateReading checks what reading and preferences use.
func (c *Config[T]) validateReading(owner option.Owner) error {
	starts := 0
	for _, set := range []bool{c.Start != Oldest, !c.StartAt.IsZero(), c.StartAgo != 0} {
		if set {
			starts++
		}
	}
	return option.First(
		owner.Check(len(c.TopicPatterns) == 0 || len(c.Topics) == 0, "TopicPatterns", c.TopicPatterns, "none if there are Topics"),
		owner.Check(len(c.TopicPatterns) > 0 || len(c.NotTopics) == 0, "NotTopics", c.NotTopics, "none without TopicPatterns"),
		patterns(owner, "TopicPatterns", c.TopicPatterns),
		patterns(owner, "NotTopics", c.NotTopics),
		owner.Check(c.Protocol <= ServerProtocol, "Protocol", c.Protocol, "ClassicProtocol or ServerProtocol"),
		owner.Check(c.StartAgo >= 0, "StartAgo", c.StartAgo, "0 or more"),
		owner.Check(c.ResetAgo >= 0, "ResetAgo", c.ResetAgo, "0 or more"),
		owner.Check(c.Delay >= 0 && c.Delay <= 7*24*time.Hour, "Delay", c.Delay, "up to 7 days"),
		owner.Check(starts <= 1, "Start", c.Start, "one of Start, StartAt and StartAgo"),
		owner.Check(c.Reset == Oldest || c.ResetAgo == 0, "Reset", c.Reset, "one of Reset and ResetAgo"),
	)
}

// patterns refuses what is no regular expression.
func patterns(owner option.Owner, field string, list []string) error {
	for i, p := range list {
		if _, err := regexp.Compile(p); err != nil {
			return owner.Refuse(fmt.Sprintf("%s[%d]", field, i), p, "a regular expression")
		}
	}
	return nil
}
