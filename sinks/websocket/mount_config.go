package websocket

import (
	"slices"
	"strings"
	"time"

	"github.com/penstock-go/penstock/internal/option"
)

// Overflow is what happens to a push or broadcast for which the outbound queue
// of a connection has no room. Replies and control messages may use twice the
// room; beyond that the connection is closed whatever the policy.
type Overflow uint8

const (
	// DefaultOverflow is the mount's policy for a channel, and CloseSlow for a
	// mount.
	DefaultOverflow Overflow = iota
	// CloseSlow closes the connection with 1013: the client connects again,
	// joins again and knows that it missed something.
	CloseSlow
	// DropNewest gives up the frame that finds no room.
	DropNewest
	// DropOldest gives up the frames that wait longest.
	DropOldest

	// retried is for an item that its sender queues again when there is room: a
	// record of the history, or a delivery. It is refused if there is no room,
	// and never discarded for other items.
	retried
)

// QueueConfig configures the outbound queue of each connection.
type QueueConfig struct {
	// Events and Bytes are its bounds. 0 means 256 and 1 MiB.
	Events, Bytes int
	// Overflow is its policy, for channels that have none of their own.
	Overflow Overflow
	// WriteTimeout bounds one write: who takes nothing for that long is
	// disconnected. 0 means 5 s.
	WriteTimeout time.Duration
}

// MountConfig configures how a [Socket] is reached at one path. The zero value
// is useful.
type MountConfig struct {
	// Suffix follows the mount path for WebSocket connections. Empty means
	// "/websocket", which phoenix.js appends.
	Suffix string
	// Origin decides which pages may connect; nil means the endpoint's.
	Origin OriginCheck
	// AuthToken takes the client's token from the subprotocol
	// "base64url.bearer.phx.…", as phoenix.js sends its option authToken, and
	// answers the subprotocol "phoenix".
	AuthToken bool
	// Subprotocols are those offered; the first one the client asks for is
	// chosen, and a client that asks for none of them is refused. A client that
	// asks for nothing is welcome. Empty means that requests are not looked at.
	Subprotocols []string
	// Headers are further request headers that Connect may see, such as Cookie.
	// With Cookie a request needs an Origin or a token outside of the URL, since
	// a browser adds cookies to what a foreign page asks for too.
	Headers []string
	// IdleTimeout closes a connection with 1002 when nothing came from the
	// client for so long. 0 means 60 s.
	IdleTimeout time.Duration
	// ConnectTimeout bounds Connect. 0 means 5 s.
	ConnectTimeout time.Duration
	// MessageTimeout bounds the time from the first byte of a message to its
	// last. 0 means 10 s.
	MessageTimeout time.Duration
	// CloseTimeout is how long the client's answer to a close is waited for.
	// 0 means 2 s.
	CloseTimeout time.Duration
	// MaxFrame bounds a message from the client, in bytes, before memory is
	// taken for it; larger ones close the connection with 1009. 0 means 64 KiB.
	MaxFrame int
	// MaxFragments bounds the frames of one message. 0 means 64.
	MaxFragments int
	// MaxChannels bounds the topics joined over one connection. 0 means 100.
	MaxChannels int
	// MaxRate bounds the frames, pings included, MaxByteRate the bytes in them
	// and MaxJoinRate the joins that are taken from one client in a second, out
	// of one budget that holds a second's worth; a faster client is read from
	// more slowly. 0 means 1,000, 4 MiB and 200.
	MaxRate, MaxByteRate, MaxJoinRate int
	// ThrottleTimeout closes the connection of a client that was read from more
	// slowly for so long, without a break, with 4429. 0 means 30 s.
	ThrottleTimeout time.Duration
	// JoinTimeout closes a connection over which nothing was joined for so long
	// after it was made, with 4002. 0 lets it stay: Connect has let it in, and
	// phoenix.js connects before there is anything to join.
	JoinTimeout time.Duration
	// ExpiryGrace is how long after SocketConfig.Expires a client may still renew
	// its credentials, 25 s at most. 0 means 10 s.
	ExpiryGrace time.Duration
	// TopicAllowed decides which names may be joined at all, before anything else
	// is done with them; names are 255 bytes of valid UTF-8 at most in any case.
	// What it refuses is answered like a topic that no pattern matches. It must
	// be quick. nil means one or more of A-Z a-z 0-9 _ : . and -.
	TopicAllowed func(topic string) bool
	// MaxInbox bounds the messages that wait for one channel's handler: a
	// client's own then hold up the reading of its connection, intercepted
	// broadcasts and messages of the program are refused. 0 means 256.
	MaxInbox int
	// Queue configures the outbound queue of each connection.
	Queue QueueConfig
	// LongPoll opens the way for clients without WebSocket; nil keeps it closed.
	LongPoll *LongPollConfig
}

func (c MountConfig) withDefaults() MountConfig {
	if c.Suffix == "" {
		c.Suffix = "/websocket"
	}
	option.Default(&c.IdleTimeout, 60*time.Second)
	option.Default(&c.ConnectTimeout, 5*time.Second)
	option.Default(&c.MessageTimeout, 10*time.Second)
	option.Default(&c.CloseTimeout, 2*time.Second)
	option.Default(&c.MaxFrame, 64<<10)
	option.Default(&c.MaxFragments, 64)
	option.Default(&c.MaxChannels, 100)
	option.Default(&c.MaxInbox, 256)
	option.Default(&c.Queue.Events, 256)
	option.Default(&c.Queue.Bytes, 1<<20)
	option.Default(&c.Queue.WriteTimeout, 5*time.Second)
	option.Default(&c.Queue.Overflow, CloseSlow)
	option.Default(&c.MaxRate, 1000)
	option.Default(&c.MaxByteRate, 4<<20)
	option.Default(&c.MaxJoinRate, 200)
	option.Default(&c.ThrottleTimeout, 30*time.Second)
	option.Default(&c.ExpiryGrace, 10*time.Second)
	if c.TopicAllowed == nil {
		c.TopicAllowed = plainTopic
	}
	if c.LongPoll != nil {
		own := *c.LongPoll
		option.Default(&own.Suffix, "/longpoll")
		option.Default(&own.Window, 10*time.Second)
		c.LongPoll = &own
	}
	return c
}

func (c MountConfig) validate() error {
	bad := ""
	for _, p := range c.Subprotocols {
		if p == "" || strings.ContainsAny(p, " ,\t\r\n\"") {
			bad = p
		}
	}
	if p := c.LongPoll; p != nil {
		if err := option.First(
			mountOwner.Check(p.Suffix == "" || strings.HasPrefix(p.Suffix, "/"), "LongPoll.Suffix", p.Suffix, `"" or a path beginning with "/"`),
			option.AtLeast(mountOwner, "LongPoll.Window", p.Window, 0),
		); err != nil {
			return err
		}
	}
	return option.First(
		mountOwner.Check(c.Suffix == "" || strings.HasPrefix(c.Suffix, "/"), "Suffix", c.Suffix, `"" or a path beginning with "/"`),
		mountOwner.Check(len(c.Subprotocols) == 0 || (bad == "" && !slices.Contains(c.Subprotocols, "")), "Subprotocols", c.Subprotocols, "tokens of RFC 9110"),
		option.AtLeast(mountOwner, "IdleTimeout", c.IdleTimeout, 0),
		option.AtLeast(mountOwner, "ConnectTimeout", c.ConnectTimeout, 0),
		option.AtLeast(mountOwner, "MessageTimeout", c.MessageTimeout, 0),
		option.AtLeast(mountOwner, "CloseTimeout", c.CloseTimeout, 0),
		option.AtLeast(mountOwner, "MaxFrame", c.MaxFrame, 0),
		option.AtLeast(mountOwner, "MaxFragments", c.MaxFragments, 0),
		option.AtLeast(mountOwner, "MaxChannels", c.MaxChannels, 0),
		option.AtLeast(mountOwner, "MaxInbox", c.MaxInbox, 0),
		option.AtLeast(mountOwner, "MaxRate", c.MaxRate, 0),
		option.AtLeast(mountOwner, "MaxByteRate", c.MaxByteRate, 0),
		option.AtLeast(mountOwner, "MaxJoinRate", c.MaxJoinRate, 0),
		option.AtLeast(mountOwner, "ThrottleTimeout", c.ThrottleTimeout, 0),
		option.AtLeast(mountOwner, "JoinTimeout", c.JoinTimeout, 0),
		mountOwner.Check(c.ExpiryGrace >= 0 && c.ExpiryGrace <= maxExpiryGrace, "ExpiryGrace", c.ExpiryGrace, "0 (the default) to 25 s"),
		option.AtLeast(mountOwner, "Queue.Events", c.Queue.Events, 0),
		option.AtLeast(mountOwner, "Queue.Bytes", c.Queue.Bytes, 0),
		option.AtLeast(mountOwner, "Queue.WriteTimeout", c.Queue.WriteTimeout, 0),
		mountOwner.Check(c.Queue.Overflow <= DropOldest, "Queue.Overflow", c.Queue.Overflow, overflowNames),
	)
}

const overflowNames = "DefaultOverflow, CloseSlow, DropNewest, DropOldest"

// plainTopic is the grammar of topics that needs no thought: what it lets
// through means the same in a log, a URL, a file name and a metric.
func plainTopic(topic string) bool {
	for i := range len(topic) {
		switch c := topic[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == ':', c == '.', c == '-':
		default:
			return false
		}
	}
	return topic != ""
}
