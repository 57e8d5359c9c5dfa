package delivery

import (
	"slices"

	"github.com/penstock-go/penstock/stage"
)

// account is the demand and the receipts of one subscription. It belongs to the
// stage's goroutine. owed + open never exceeds max + min(lagging, bound).
type account[T any] struct {
	sub   *stage.Subscription[T]
	max   int // events on their way to sockets
	least int // MinDemand of the subscription
	lot   int // demand is asked for in groups of this size
	bound int // events that lag behind, on top of max

	owed     int              // asked for and not received
	open     int              // received and without a receipt
	lagging  int              // open events that have waited, or that a socket is slow to write
	finished []stage.Finished // receipts that settle gives next; the array is used again
}

// The stage has asked for MaxDemand events when it subscribed, so these are
// owed from the start.
func newAccount[T any](sub *stage.Subscription[T], maxWaiting int) *account[T] {
	info := sub.Info()
	a := &account[T]{
		sub: sub, least: info.MinDemand, bound: maxWaiting,
		owed: info.MaxDemand, // the stage has asked for it
	}
	a.resize(info.MaxDemand)
	return a
}

// resize changes how many events may be on their way to sockets. What was asked for
// before cannot be taken back: room is 0 until enough of it has come and ended.
func (a *account[T]) resize(maxDemand int) {
	a.max, a.lot = maxDemand, max(1, min(a.least, maxDemand-1))
}

// receive notes the arrival of n events that were asked for.
func (a *account[T]) receive(n int) {
	a.owed -= n
	a.open += n
}

// finish notes the receipt of an event: a nil err means that it was written.
// The receipt goes upstream with the next settle.
func (a *account[T]) finish(f *flight[T], err error) {
	a.open--
	if f.lags {
		a.lagging--
	}
	a.finished = append(a.finished, stage.Finished{Position: f.position, Err: err})
}

// room is how many events may be asked for. An event that lags makes room for
// another one, up to bound, so that a user who is away does not stop the others.
func (a *account[T]) room() int {
	return max(0, a.max+min(a.lagging, a.bound)-a.open-a.owed)
}

// ask is how many events are asked for now: as many as there is room for, in
// groups, unless nothing else is coming.
func (a *account[T]) ask() int {
	n := a.room()
	if n < a.lot && a.owed > 0 {
		return 0
	}
	return n
}

// starved reports whether no event can arrive until one is finished or lags.
func (a *account[T]) starved() bool { return a.owed == 0 && a.room() == 0 && a.lagging < a.bound }

// crowded reports whether so many events lag that there is soon no room for others.
func (a *account[T]) crowded() bool { return a.lagging > a.bound/4*3 }

// settle gives the receipts that are due and asks for more.
func (a *account[T]) settle() {
	n := a.ask()
	if n == 0 && len(a.finished) == 0 {
		return
	}
	a.owed += n
	a.sub.Settle(n, a.finished...)
	// Settle has copied them; an error must not be kept alive by the array.
	clear(a.finished)
	a.finished = a.finished[:0]
}

// accountOf returns the account of a subscription, and opens it at the first
// delivery. Accounts of subscriptions that have ended are dropped then; their
// open flights still point to them, and their receipts go nowhere.
func (c *Consumer[T]) accountOf(sub *stage.Subscription[T]) *account[T] {
	for _, a := range c.accounts {
		if a.sub == sub {
			return a
		}
	}
	c.accounts = slices.DeleteFunc(c.accounts, func(a *account[T]) bool { return a.sub.Err() != nil })
	a := newAccount(sub, c.cfg.MaxWaiting)
	if c.size > 0 {
		a.resize(c.size)
	}
	c.accounts = append(c.accounts, a)
	return a
}
