package lease

import (
	"context"
	"time"

	"github.com/penstock-go/penstock/deadletter"
)

// Item is what a store has leased to this source.
type Item[K comparable, T any] struct {
	// ID is the item's identity in the store. Fence tells its leases apart: it is passed
	// back with everything that is about this lease.
	ID    K
	Fence int64
	Event T
	// Err is not nil if the item cannot be used. It is not emitted then; Letter is what
	// the dead letters get, if they are kept.
	Err    error
	Letter deadletter.Letter
}

// End is what becomes of an item in the store.
type End uint8

const (
	// Done: the item was handled, or dropped by a policy.
	Done End = iota
	// Failed: the item failed for good, or could not be used.
	Failed
	// Released: the item was emitted and is to be delivered again.
	Released
	// Unused: the item was never emitted, and is to be delivered as if it had not been leased.
	Unused
)

// Verdict is the end of a lease.
type Verdict[K comparable] struct {
	ID    K
	Fence int64
	End   End
	Error string // why it has failed, if that is known
}

// Held is a lease that is to be prolonged.
type Held[K comparable] struct {
	ID    K
	Fence int64
}

// Lag is how far a source is behind.
type Lag struct {
	// Waiting is the number of items that were never leased or are free again, and Oldest
	// the age of the oldest of them, 0 if it is not known.
	Waiting int64
	Oldest  time.Duration
	// Leased is the number of items that any process has, 0 if it is not known.
	Leased int64
}

// Store is the server. Fetch, Wait and Settle are called from one goroutine each, Renew
// and Lag from another one. All must return when ctx is done.
type Store[K comparable, T any] interface {
	// Fetch leases up to n items, in order. It may wait a moment if there are none.
	Fetch(ctx context.Context, n int) ([]Item[K, T], error)
	// Wait returns when there may be items again, or ctx is done. It is called after an
	// empty Fetch; a store whose Fetch waits returns at once.
	Wait(ctx context.Context) error
	// Settle makes ends durable, and returns how many of the leases had been lost. After
	// an error the same ends are passed again.
	Settle(ctx context.Context, ends []Verdict[K]) (lost int, err error)
	// Renew prolongs leases, and returns those that have been lost: the items are another
	// process's.
	Renew(ctx context.Context, held []Held[K]) (lost []Held[K], err error)
	// Lag measures.
	Lag(ctx context.Context) (Lag, error)
	// Close is called after everything else. clean reports whether no lease is left.
	Close(ctx context.Context, clean bool) error
}
