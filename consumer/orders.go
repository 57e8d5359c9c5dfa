package consumer

import (
	"time"

	"github.com/penstock-go/penstock/stage"
)

// happening is what a goroutine of the pool has come back from: the input of the pool's
// step.
type happening uint8

const (
	woken    happening = iota // it was started or woken
	ended                     // an attempt has ended
	returned                  // it has handed over what it was ordered to
	reported                  // a failure was logged, and passed to Failed if it was the last
)

// event is what has happened to a goroutine since its last order.
type event struct {
	what happening
	err  error // of the attempt, or of a Failed that did not return
	// cost is how long the attempt took, if timed is set.
	cost     time.Duration
	timed    bool
	decision // of the policy about err
	// now is the time since the supervisor's start. cancelled is set while the
	// supervisor is being stopped. They count only if err is set, or after a
	// report.
	now       time.Duration
	cancelled bool
}

// deed is what a goroutine does next: the output of the pool's step.
type deed uint8

const (
	try    deed = iota // run an attempt of its task
	report             // log the task's failure, and call Failed if it was the last
	back               // come back without a task
	park               // wait to be woken
	leave              // end
)

// orders are what follows from one step of the pool. The goroutine that made the
// step carries them out without the lock, in the order of the fields.
type orders[T any] struct {
	halt   error // stops the stage
	settle []handover[T]
	wake   int  // how many idle goroutines to wake
	start  int  // how many goroutines to start
	remind bool // call tick after patience
	alarm  bool // call alarm when the first pause is over
	quiet  bool // nothing of a pool that stops runs any more
	yield  bool // let the stage that was told something run first
	some   bool // any of the above is set: most steps order nothing but the next attempt
	timed  bool // measure the attempt
	do     deed
}

// reset empties o and keeps its storage. do and timed are set by each step.
func (o *orders[T]) reset() {
	if o.some {
		*o = orders[T]{settle: o.settle[:0]}
	}
}

// handover is what one subscription is given at once: receipts, and the demand
// for slots that were freed.
type handover[T any] struct {
	sub     *stage.Subscription[T]
	ask     int
	ended   int // how many receipts
	tracked bool
	list    []stage.Finished // the receipts, if the subscription is tracked
}

// give passes h to its subscription, without the lock. If receipts are wanted only since h
// was ordered, those without content name no event that the producer remembers. The list
// is emptied for the account's next hand-over.
func (h *handover[T]) give() {
	if !h.tracked {
		h.list = blank(h.list, h.ended) // only their number counts
	}
	h.sub.Settle(h.ask, h.list...)
	clear(h.list)
	h.list = h.list[:0]
	h.sub = nil
}
