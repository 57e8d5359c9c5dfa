package sourcetest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/stage"
)

// Event is an event of the cases: the n-th of a key.
type Event struct {
	Key string
	Seq int
}

// Text returns the event as backends store it.
func (e Event) Text() string { return fmt.Sprintf("%s/%d", e.Key, e.Seq) }

// Poison is a text that is no event.
const Poison = "poison"

// Parse returns the event of a text.
func Parse(text string) (e Event, err error) {
	key, seq, ok := strings.Cut(text, "/")
	if !ok {
		return e, fmt.Errorf("%q is no event", text)
	}
	e.Key = key
	e.Seq, err = strconv.Atoi(seq)
	return e, err
}

// Options are what a case asks of a source.
type Options struct {
	// Window bounds what the source may have unfinished, and so what a kill repeats.
	Window int
	// Lease is that of the source, which also bounds its calls to the server. Default: a second.
	Lease time.Duration
	// DeadLetters are of poison.
	DeadLetters deadletter.Sink
	// Addr is the server's address if it is another one than usual: a proxy.
	Addr string
}

// Backend is a source with its server. Each case has a new one, with a queue of its own.
type Backend struct {
	// Append adds texts, in order, each of a key.
	Append func(t testing.TB, events []Event, more ...string)
	// Source makes a source of the queue.
	Source func(t testing.TB, o Options) stage.Producer[Event]
	// Left returns how many events the server has that are not acknowledged.
	Left func(t testing.TB) int
	// Taken returns how many events a source has taken from the server.
	Taken func(source stage.Producer[Event]) int
	// Ordered reports whether the order of each key is promised, across redelivery.
	Ordered bool

	// Memory reports that the source acknowledges nothing and ends with its pipeline, such as a
	// queue in memory. Cases that need more are left out.
	Memory bool
	// Child is the environment in which a process of the same test binary makes a source of
	// the queue, for Main. nil: the case that kills processes is left out.
	Child []string
	// Control starts, stops and kills the server. nil: these cases are left out.
	Control func(t testing.TB, action string)
	// Addr is the server's address, for a proxy. "": the case is left out.
	Addr string
}
