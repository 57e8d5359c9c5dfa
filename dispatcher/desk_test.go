package dispatcher

import (
	"fmt"
	"slices"
	"testing"

	"github.com/penstock-go/penstock/receipt"
)

// desk plays a stage for a dispatcher of ints, and checks with every step that
// no subscription gets more than it asked for and that no event is lost or made up.
type desk struct {
	t        *testing.T
	d        Dispatcher[int]
	told     int // demand passed upstream and not served
	asked    map[int]int
	got      map[int][]int
	multi    bool // an event may go to several
	offer    Offer[int]
	next     uint64
	given    []int // of the running Dispatch: how often each place was given
	held     []int // handed out of what was held
	dropped  []string
	discards int
	rejected map[int]error
}

func newDesk(t *testing.T, d Dispatcher[int]) *desk {
	return &desk{t: t, d: d, asked: map[int]int{}, got: map[int][]int{}, rejected: map[int]error{}}
}

func (k *desk) subscribe(sub int, opts SubscribeConfig) int {
	k.t.Helper()
	if err := k.d.Subscribe(sub, opts); err != nil {
		k.t.Fatal(err)
	}
	k.asked[sub] = 0
	return k.up()
}

// up returns what the stage asks of its producer now.
func (k *desk) up() int {
	n := max(0, k.d.Demand()-k.told)
	k.told += n
	return n
}

func (k *desk) ask(sub, n int) int {
	k.asked[sub] = addSaturating(k.asked[sub], n)
	k.d.Ask(sub, n)
	return k.up()
}

func (k *desk) cancel(sub int) int {
	delete(k.asked, sub)
	k.d.Cancel(sub)
	return k.up()
}

// dispatch offers events and returns the rest.
func (k *desk) dispatch(events ...int) []int {
	k.t.Helper()
	k.told = max(0, k.told-len(events))
	k.offer = Offer[int]{Events: slices.Clone(events), First: k.next}
	k.given = make([]int, len(events))
	k.held, k.discards = nil, 0
	holder, _ := k.d.(Holder[int])
	before := 0
	if holder != nil {
		before = holder.Held()
	}
	n := k.d.Dispatch(k.offer, k)
	if n < 0 || n > len(events) {
		k.t.Fatalf("took %d of %d", n, len(events))
	}
	k.next += uint64(n)
	out := len(k.held) + k.discards
	for i, times := range k.given {
		if times > 1 && !k.multi || times > 0 && i >= n {
			k.t.Fatalf("event %d of %d taken was given %d times", i, n, times)
		}
		out += min(times, 1)
	}
	after := 0
	if holder != nil {
		after = holder.Held()
	}
	if before+n != out+after {
		k.t.Fatalf("held %d + taken %d, but given or discarded %d + held %d", before, n, out, after)
	}
	clear(k.offer.Events) // the dispatcher may not keep the slice
	return events[n:]
}

func (k *desk) charge(sub, n int) {
	k.t.Helper()
	if left, ok := k.asked[sub]; !ok || left < n {
		k.t.Fatalf("subscription %d is given %d, has asked for %d", sub, n, left)
	}
	k.asked[sub] -= n
}

func (k *desk) Give(sub, lo, hi int) {
	k.t.Helper()
	k.charge(sub, hi-lo)
	if hi == lo {
		k.t.Fatal("given nothing")
	}
	for i := lo; i < hi; i++ {
		k.given[i]++
	}
	k.got[sub] = append(k.got[sub], k.offer.Events[lo:hi]...)
}

func (k *desk) GiveHeld(sub int, event int, seq, _ uint64) {
	k.t.Helper()
	k.charge(sub, 1)
	k.held = append(k.held, event)
	k.got[sub] = append(k.got[sub], event)
}

func (k *desk) Discard(event int, _ uint64, reason receipt.Reason) {
	k.discards++
	k.dropped = append(k.dropped, fmt.Sprint(event, " ", reason))
}

// eachDesk takes scattered events in one call, and rejections.
type eachDesk struct{ *desk }

func (k eachDesk) GiveEach(sub int, at []int32) {
	k.t.Helper()
	k.charge(sub, len(at))
	for _, i := range at {
		k.given[i]++
		k.got[sub] = append(k.got[sub], k.offer.Events[i])
	}
}

func (k *desk) want(what string, got, want any) {
	k.t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		k.t.Fatalf("%s: got %v, want %v", what, g, w)
	}
}

// taken returns and forgets what a subscription got.
func (k *desk) taken(sub int) []int {
	got := k.got[sub]
	delete(k.got, sub)
	return got
}

func ints(lo, hi int) []int {
	var all []int
	for i := lo; i < hi; i++ {
		all = append(all, i)
	}
	return all
}
