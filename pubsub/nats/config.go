package nats

import (
	"crypto/rand"
	"log/slog"
	"math"
	"os"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"

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
	// URL is where the servers are, several separated by commas. Default:
	// nats://127.0.0.1:4222.
	URL string
	// Options of the connection, such as TLS and credentials. Unless they say
	// otherwise the client tries to reconnect for ever, after pauses of up to 2 s
	// with jitter, and finds a server that does not reply within 8 s. Default: none.
	Options []natsgo.Option
	// Prefix begins all subjects: one or more tokens separated by dots, at most 200
	// bytes. Nodes with another prefix are another cluster. Default: penstock.
	Prefix string
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
	// Metrics records nats.* of docs/metrics.md. Default: nothing is recorded.
	Metrics metrics.Recorder
	// Logger receives nodes that come and go, and warnings, at most one of a kind in
	// a second. Default: slog.Default.
	Logger *slog.Logger
}

const owner option.Owner = "nats.Remote"

const (
	maxName  = 200
	minBytes = 64 << 10
)

func (c Config) validate() error {
	return option.First(
		owner.Check(len(c.Node) <= maxName, "Node", c.Node, "at most 200 bytes"),
		owner.Check(c.Prefix == "" || validPrefix(c.Prefix), "Prefix", c.Prefix, "tokens separated by dots, without spaces, * and >, at most 200 bytes"),
		owner.Check(c.OutboxBytes == 0 || c.OutboxBytes >= minBytes, "OutboxBytes", c.OutboxBytes, "65536 or more"),
		owner.Check(c.InboxBytes == 0 || c.InboxBytes >= minBytes, "InboxBytes", c.InboxBytes, "65536 or more"),
		owner.Check(c.Beat == 0 || c.Beat >= 10*time.Millisecond && c.Beat <= time.Minute, "Beat", c.Beat, "10ms to 1m"),
		owner.Check(c.DownAfter == 0 || c.DownAfter >= 2*c.withDefaults().Beat, "DownAfter", c.DownAfter, "two beats or more"),
		owner.Recorder(c.Metrics),
	)
}

// validPrefix reports whether text can begin a subject.
func validPrefix(text string) bool {
	for token := range strings.SplitSeq(text, ".") {
		if token == "" || strings.ContainsAny(token, "*>$") || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return false
		}
	}
	return len(text) <= maxName
}

func (c Config) withDefaults() Config {
	if c.Node == "" {
		host, _ := os.Hostname() // without one the random part is the name
		c.Node = host[:min(len(host), 100)] + "-" + rand.Text()[:8]
	}
	option.Default(&c.URL, natsgo.DefaultURL)
	option.Default(&c.Prefix, "penstock")
	option.Default(&c.OutboxBytes, 16<<20)
	option.Default(&c.InboxBytes, 64<<20)
	option.Default(&c.Beat, 500*time.Millisecond)
	option.Default(&c.DownAfter, max(5*time.Second, 10*c.Beat))
	option.Default(&c.Metrics, metrics.Nop())
	option.Logger(&c.Logger)
	return c
}

// reconnectDelay is the pause before the next attempt: 50 ms, then twice as long each
// time up to 2 s, and a random part of up to the same.
func reconnectDelay(attempts int) time.Duration {
	pause := min(50*time.Millisecond<<min(max(attempts-1, 0), 6), 2*time.Second)
	return pause/2 + time.Duration(float64(pause)/2*random())
}

// random returns a number from 0 to 1.
func random() float64 {
	var b [1]byte
	_, _ = rand.Read(b[:]) // never fails
	return float64(b[0]) / math.MaxUint8
}
