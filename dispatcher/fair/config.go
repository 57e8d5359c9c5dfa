package fair

import (
	"fmt"
	"math"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/retry"
)

// fairOwner names this package's type in an [OptionError].
const fairOwner = option.Owner("fair.Dispatcher")

// Config are the options of [Dispatcher]. The zero value is ready for use and
// discards nothing: it serves keys in turn, one event of a key at a time, reads
// ahead up to 100,000 events or 64 MiB, and then takes nothing more from the source
// until there is room.
type Config[T any] struct {
	// MaxEvents is the global bound of the events held at once. Default:
	// 100,000. Events that come back from a dead consumer or are retried are
	// accepted beyond it: at most as many as were in flight.
	MaxEvents int
	// MaxBytes is the global bound in bytes as measured by Size. Under Pause the source
	// is asked for as many events as fit if they have the mean size of those held.
	// Larger ones wait in the buffer of the stage beyond MaxBytes: at most the number
	// asked for, times the largest event. MaxEvents bounds that number. Default: 64 MiB.
	MaxBytes int64
	// KeyMaxEvents bounds one key's queue in events, within MaxEvents. KeyOverflow
	// selects what happens then. Default: no bound.
	KeyMaxEvents int
	// KeyMaxBytes bounds one key's queue in bytes, within MaxBytes. Default: no
	// bound.
	KeyMaxBytes int64
	// Size returns the bytes that an event counts for; a negative number counts as
	// 0. Default: the size of T without the memory it points to, with which the byte
	// bounds only count events: set Size if payloads are large.
	Size func(event T) int

	// Overflow selects what happens when the global bound is reached: Pause or
	// DropLongest. Default: Pause.
	Overflow Overflow
	// Intake is the least demand under [DropLongest], so that the source is read
	// on although the dispatcher is full. Default: 256. It has no effect under
	// [Pause].
	Intake int
	// KeyOverflow selects what happens when a key's queue is full: Pause,
	// DropOldest, DropNewest or Conflate. DropOldest and DropNewest require
	// KeyMaxEvents or KeyMaxBytes. Default: Pause.
	KeyOverflow Overflow
	// SubKey names, within the event's key, the thing whose latest value the
	// event is. [Conflate] requires it; otherwise it has no effect.
	SubKey func(event T) string
	// Merge returns, under [Conflate], the event that replaces two of which the
	// newer one takes the older one's place. It must have their key and sub-key.
	// Use it to keep the time at which the older one was enqueued, so that
	// latencies count the whole wait. Default: the newer event.
	Merge func(older, newer T) T

	// Credits is the number of events of an idle key that go ahead of the
	// backlogged keys; the key earns one back in every round. From 1 to 64.
	// Default: 8. More credits tolerate longer bursts of light users, and let a
	// newcomer delay the others for longer.
	Credits int
	// UnorderedInFlight, if more than 1, is the number of events of one key that
	// may be in flight at once. There is NO ORDER WITHIN A KEY then: two events
	// of a key run at the same time. 0 and 1 keep the order.
	UnorderedInFlight int
	// Turn, if more than 1, is the number of events of one key that are handed out when
	// its turn comes, one after the other to one subscription that has asked for them. The
	// key is served again when all of them have their receipts, and each of them costs a
	// credit. So a consumer that does several events of a key at less cost than one by one
	// gets several as soon as they wait. Their order is that of the queue, and it is the
	// consumer's to keep: delivery.Consumer does, except on a node of several and on
	// topics with history, where each goes alone; a pool of workers runs them at the
	// same time. Keys without credits get up to every second turn then, as many as they are of
	// all that wait. From 1 to 64. UnorderedInFlight, Weights, Tenant and MeasuredCost must
	// not be set with it, nor a Retry of more than one attempt. Default: 1.
	Turn int

	// Weights are the shares of the classes of keys relative to each other:
	// 1 to 8 weights from 1 to 64. nil is one class for all.
	Weights []int
	// Class returns the index into Weights of the event's key. It is called when
	// the key becomes active; a value out of range counts as 0.
	Class func(event T) int
	// Tenant names the group that the event's key belongs to. With it the
	// tenants share equally first, and the keys of a tenant share what the
	// tenant gets, so many keys are no advantage. nil is one level.
	// A key must belong to one tenant only.
	Tenant func(event T) string
	// TenantClass returns the index into Weights of the event's tenant. nil is 0.
	TenantClass func(event T) int

	// MeasuredCost shares the consumers' time instead of the number of events:
	// a key is charged the cost of its events, which the receipts report.
	// Choosing then takes O(log keys), and an event costs at least a
	// microsecond.
	MeasuredCost bool
	// CostUnit is the worker time that a credit is worth with MeasuredCost.
	// Default: a millisecond.
	CostUnit time.Duration

	// Rate limits each key. The zero value is no limit. A key over its limit is
	// not served until its time comes and delays no other key.
	Rate Rate
	// RateOf returns the limit of the event's key if it is not the same for all.
	// It is called often and must be quick. A limit that Rate could not have is
	// replaced by Rate, and counted ([Snapshot].Misused). nil is Rate for every key.
	RateOf func(event T) Rate

	// TTL bounds how long an event may wait, on the clock of Offer.Now from the
	// moment at which it was taken from the offer. It is checked when the event's
	// turn comes. 0 is no bound.
	TTL time.Duration
	// TTLOf returns the rest of the event's time to live when it is taken from
	// the offer, such as time.Until(event.Deadline) for events that carry their
	// own time: 0 is no bound, below 0 has expired already. nil is TTL for all.
	TTLOf func(event T) time.Duration

	// Retry says how often a Failed event is handed out, and after which pauses. It
	// goes back to the head of its key, before any later event of the key, and the key
	// waits for the pause while others are served. With a Turn above 1 the later ones of
	// the turn are out already, so that it must not be set. Retryable must be nil, since a
	// receipt does not say why an event has failed, and MaxAttempts at most 65,535, or
	// retry.Unlimited. Default: the zero policy hands nothing out again, unlike
	// elsewhere: an event has had all attempts of its consumer before it is Failed, and
	// would have as many for each one here.
	Retry retry.Policy
	// DeadLetter, if set, is called with each event that has failed for the last
	// time, and the number of tries; its receipt stays Failed. It runs on the
	// stage's goroutine and must not block.
	DeadLetter func(event T, tries int)

	// MaxParked bounds the number of keys parked at once. Default: 100,000.
	MaxParked int
}

// Overflow selects what happens to events for which there is no room.
type Overflow uint8

const (
	// DefaultOverflow stands for the default of an option.
	DefaultOverflow Overflow = iota
	// Pause takes nothing more from the source until there is room. Nothing is
	// lost, but every event that comes after in the source waits as well, whatever
	// its key: as a global bound, after a flood has filled the whole; as a bound of
	// a key, after one event of a key that is full. Keys with events in the
	// dispatcher are served meanwhile. It is the default of both options.
	Pause
	// DropOldest discards the oldest event of the key.
	DropOldest
	// DropNewest discards the newest event.
	DropNewest
	// DropLongest discards the oldest event of the key that takes up most of the
	// room, and keeps asking the source for more: a flood loses its own events,
	// and light users after the flood in the source still get through. If no key
	// has more than one event, a key of the tenant with the most keys loses its
	// event, or the newest event is discarded.
	DropLongest
	// Conflate keeps only the latest event of each key and SubKey: a newer one
	// takes the older one's place in the queue. If a key has more sub-keys than
	// KeyMaxEvents or KeyMaxBytes allow, its oldest event is discarded.
	Conflate
)

// Rate is a limit on events a second. The zero value is no limit.
type Rate struct {
	// PerSecond is the number of events a second allowed in the long run, above 0
	// and at most 1e9. A key that waits for its limit makes up for up to 10 ms by
	// which its events were released late.
	PerSecond float64
	// Burst is the number of events that may be handed out at once after a pause.
	// Default: 1.
	Burst int
}

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

const (
	maxEvents  = math.MaxInt32
	maxCredits = 64
	maxTurn    = 64
	maxWeight  = 64
	maxClasses = 8
	maxTries   = math.MaxUint16
)

// Validate returns a [*OptionError] for the first wrong option, or nil.
func (c Config[T]) Validate() error {
	for _, o := range []struct {
		name  string
		value int64
		max   int64
	}{
		{"MaxEvents", int64(c.MaxEvents), maxEvents},
		{"MaxBytes", c.MaxBytes, math.MaxInt64 >> 8},
		{"KeyMaxEvents", int64(c.KeyMaxEvents), maxEvents},
		{"KeyMaxBytes", c.KeyMaxBytes, math.MaxInt64 >> 8},
		{"Intake", int64(c.Intake), maxEvents},
		{"Credits", int64(c.Credits), maxCredits},
		{"UnorderedInFlight", int64(c.UnorderedInFlight), maxEvents},
		{"Turn", int64(c.Turn), maxTurn},
		{"CostUnit", int64(c.CostUnit), int64(time.Hour)},
		{"TTL", int64(c.TTL), math.MaxInt64},
		{"MaxParked", int64(c.MaxParked), maxEvents},
	} {
		if o.value < 0 || o.value > o.max {
			return fairOwner.Refuse(o.name, o.value, fmt.Sprintf("0 to %d", o.max))
		}
	}
	if len(c.Weights) > maxClasses {
		return fairOwner.Refuse("Weights", c.Weights, fmt.Sprintf("at most %d weights", maxClasses))
	}
	for i, w := range c.Weights {
		if w < 1 || w > maxWeight {
			return fairOwner.Refuse(fmt.Sprintf("Weights[%d]", i), w, fmt.Sprintf("1 to %d", maxWeight))
		}
	}
	if !(c.Rate.PerSecond >= 0 && c.Rate.PerSecond <= 1e9) {
		return fairOwner.Refuse("Rate.PerSecond", c.Rate.PerSecond, "0 to 1e9")
	}
	if c.Rate.Burst < 0 || c.Rate.Burst > maxEvents {
		return fairOwner.Refuse("Rate.Burst", c.Rate.Burst, fmt.Sprintf("0 to %d", maxEvents))
	}
	if err := c.Retry.Validate(string(fairOwner)); err != nil {
		return err
	}
	switch {
	case c.Turn > 1 && (c.UnorderedInFlight > 1 || len(c.Weights) > 0 || c.Tenant != nil || c.MeasuredCost):
		return fairOwner.Refuse("Turn", c.Turn, "0 or 1 if UnorderedInFlight, Weights, Tenant or MeasuredCost is set")
	case c.Turn > 1 && c.withDefaults().Retry.MaxAttempts != 1:
		return fairOwner.Refuse("Turn", c.Turn, "0 or 1 if Retry has more than one attempt")
	case c.Retry.MaxAttempts > maxTries && c.Retry.MaxAttempts != retry.Unlimited:
		return fairOwner.Refuse("Retry.MaxAttempts", c.Retry.MaxAttempts, fmt.Sprintf("0 to %d, or Unlimited", maxTries))
	case c.Retry.Retryable != nil:
		return fairOwner.Refuse("Retry.Retryable", "set", "nil: a receipt does not say why an event has failed")
	case c.Overflow != DefaultOverflow && c.Overflow != DropLongest && c.Overflow != Pause:
		return fairOwner.Refuse("Overflow", c.Overflow, "Pause or DropLongest")
	case c.KeyOverflow > Conflate || c.KeyOverflow == DropLongest:
		return fairOwner.Refuse("KeyOverflow", c.KeyOverflow, "Pause, DropOldest, DropNewest or Conflate")
	case (c.KeyOverflow == DropOldest || c.KeyOverflow == DropNewest) && c.KeyMaxEvents == 0 && c.KeyMaxBytes == 0:
		return fairOwner.Refuse("KeyMaxEvents", 0, "1 or more, or KeyMaxBytes, when KeyOverflow drops events")
	case c.KeyOverflow == Conflate && c.SubKey == nil:
		return fairOwner.Refuse("SubKey", nil, "a function when KeyOverflow is Conflate")
	case c.Class != nil && len(c.Weights) == 0:
		return fairOwner.Refuse("Weights", c.Weights, "1 to 8 weights when Class is set")
	case c.TenantClass != nil && (len(c.Weights) == 0 || c.Tenant == nil):
		return fairOwner.Refuse("TenantClass", "set", "nil unless Tenant and Weights are set")
	}
	return nil
}

// withDefaults is the configuration with every 0 that stands for a default
// replaced. A key without a bound has one that is never reached.
func (c Config[T]) withDefaults() Config[T] {
	option.Default(&c.MaxEvents, 100_000)
	option.Default(&c.MaxBytes, 64<<20)
	option.Default(&c.KeyMaxEvents, math.MaxInt)
	option.Default(&c.KeyMaxBytes, math.MaxInt64)
	option.Default(&c.Overflow, Pause)
	option.Default(&c.KeyOverflow, Pause)
	option.Default(&c.Intake, 256)
	option.Default(&c.Credits, 8)
	option.Default(&c.UnorderedInFlight, 1)
	option.Default(&c.Turn, 1)
	option.Default(&c.CostUnit, time.Millisecond)
	option.Default(&c.MaxParked, 100_000)
	if p := c.Retry; p.MaxAttempts == 0 && p.Backoff == 0 && p.MaxBackoff == 0 && p.Factor == 0 && p.Jitter == 0 {
		c.Retry.MaxAttempts = 1
	}
	c.Retry = c.Retry.WithDefaults()
	if len(c.Weights) == 0 {
		c.Weights = []int{1}
	}
	return c
}
