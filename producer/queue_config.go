package producer

import (
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/receipt"
)

// The defaults of a queue, in events.
const (
	DefaultCapacity     = 10_000
	DefaultKeyMaxEvents = 1024
)

// Overflow selects what a full queue does with a push.
type Overflow uint8

const (
	// Refuse makes Push wait and TryPush return ErrFull. It is the default.
	Refuse Overflow = iota
	// DropOldest makes room by discarding the oldest event.
	DropOldest
	// DropNewest discards the event that was to be pushed.
	DropNewest
)

// QueueConfig configures [NewQueue]. The zero value is useful.
type QueueConfig[T any] struct {
	// Capacity bounds how many events wait in the queue, 1 or more. Default:
	// 10,000.
	Capacity int
	// Key, if set, returns what an event is accounted to, such as its user, in the
	// pushing goroutine. It must be pure. A key has no more than KeyMaxEvents
	// unfinished events, so that one which floods is refused while the pushes of
	// all others go through. It needs Overflow Refuse.
	Key func(event T) string
	// KeyMaxEvents bounds the unfinished events of a key, 1 or more: those that
	// were accepted and have no receipt yet, wherever in the pipeline they are.
	// Default: 1,024. It needs Key.
	KeyMaxEvents int
	// MaxBytes bounds the unfinished events in total, in bytes as measured by
	// Size. Default: no bound. It needs Size, and Overflow Refuse.
	MaxBytes int64
	// Size returns the bytes that an event counts for, in the pushing goroutine.
	// Below 0 counts as 0. It needs MaxBytes.
	Size func(event T) int
	// Overflow selects what happens when Capacity is reached. Default: Refuse.
	Overflow Overflow
	// Stamp, if set, is called in the pushing goroutine with the time at which
	// the push began, before it can wait for anything.
	Stamp func(event *T, at time.Time)
	// Discarded, if set, is called for every event that is dropped: in the
	// pushing goroutine with receipt.QueueFull, and on the stage's goroutine
	// with receipt.Stopped for the events left when the stage is stopped.
	// It must not block or push.
	Discarded func(event T, reason receipt.Reason)
	// Metrics gets the counters queue.refused and queue.discarded. nil records
	// nothing.
	Metrics metrics.Recorder
	// Logger gets a line for refused pushes and for dropped events, at most once a
	// second for each reason, with the number that it stands for, and one if ten seconds
	// after the first push nothing was taken from the queue. Default: slog.Default.
	Logger *slog.Logger
}

// validate is called with the defaults filled in.
func (c *QueueConfig[T]) validate() error {
	owner := option.Owner("producer.Queue")
	refuses := func(option string, used bool) error {
		return owner.Check(!used || c.Overflow == Refuse, option, c.Overflow, "unset unless Overflow is Refuse")
	}
	return option.First(
		option.AtLeast(owner, "Capacity", c.Capacity, 1),
		owner.Check(c.Overflow <= DropNewest, "Overflow", c.Overflow, "Refuse, DropOldest or DropNewest"),
		owner.Check(c.Key != nil || c.KeyMaxEvents == 0, "KeyMaxEvents", c.KeyMaxEvents, "0 unless Key is set"),
		option.AtLeast(owner, "KeyMaxEvents", c.KeyMaxEvents, 0),
		option.AtLeast(owner, "MaxBytes", c.MaxBytes, 0),
		owner.Check(c.Size != nil || c.MaxBytes == 0, "Size", c.Size, "a function if MaxBytes is set"),
		owner.Check(c.Size == nil || c.MaxBytes > 0, "MaxBytes", c.MaxBytes, "1 or more if Size is set"),
		refuses("Key", c.Key != nil),
		refuses("MaxBytes", c.MaxBytes > 0),
		owner.Recorder(c.Metrics),
	)
}
