package delivery

import (
	"testing"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/receipt"
)

// Two books of one hub: the second one does not wait for a topic of which the first has found
// that no client comes.
func TestTheGraceIsOverForAllConsumers(t *testing.T) {
	const grace = 5 * time.Second
	for name, test := range map[string]struct {
		grace time.Duration          // of the second; 0: the same
		then  func(first *book[int]) // after the grace of the first is over
		after time.Duration          // the next event, since then
		want  verdict
	}{
		"at once":                   {want: discard},
		"soon":                      {after: grace - 1, want: discard},
		"forgotten":                 {after: grace, want: wait},
		"a shorter grace":           {grace: grace / 2, want: discard},
		"a longer grace":            {grace: 2 * grace, want: wait},
		"a client has come":         {then: func(b *book[int]) { b.revive(b.lines["1"], true) }, want: wait},
		"other nodes were cut off":  {then: func(b *book[int]) { b.cutOff(grace) }, want: wait},
		"one was written":           {then: func(b *book[int]) { b.end(&flight[int]{topic: "1"}, true, grace) }, want: wait},
		"the first has ended":       {then: func(b *book[int]) { b.remove(b.lines["1"]) }, want: wait},
		"the first has no room now": {then: func(b *book[int]) { b.setCause(b.lines["1"], forRoom, grace) }, want: wait},
	} {
		t.Run(name, func(t *testing.T) {
			a := &absences{topics: make(map[string]absence)}
			first := &book[int]{grace: grace, maxGone: 9, others: a}
			second := &book[int]{grace: grace, maxGone: 9, others: a}
			if test.grace > 0 {
				second.grace = test.grace
			}
			miss := func(b *book[int], now time.Duration) verdict {
				f := &flight[int]{topic: "1", account: &account[int]{}}
				if v, _ := b.arrive(f, now); v != send {
					return v
				}
				v, _ := b.missed(f, forClient, now)
				if v == discard {
					b.end(f, false, now)
				}
				return v
			}
			if v := miss(first, 0); v != wait {
				t.Fatal(v)
			}
			first.lines["1"].tried = true
			first.expire(grace, func(f *flight[int], _ receipt.Reason) { first.end(f, false, grace) })
			if test.then != nil {
				test.then(first)
			}
			now := grace + test.after
			if v := miss(second, now); v != test.want {
				t.Errorf("verdict %d, want %d", v, test.want)
			}
			if test.want == wait {
				return
			}
			// It watches the topic as if the grace had been its own.
			if l := second.lines["1"]; l == nil || !l.gone || !l.due {
				t.Errorf("its line is %+v", l)
			}
			second.takeDue()
			second.revive(second.lines["1"], true)
			if a.over("1", now, grace) {
				t.Error("it is over after a client has come")
			}
		})
	}
}

// What consumers remember together ends with the last of them.
func TestAbsencesEndWithTheLastConsumer(t *testing.T) {
	hub := new(pubsub.Hub)
	one, two := absencesOf(hub), absencesOf(hub)
	other := new(pubsub.Hub)
	if of := absencesOf(other); one != two || one == of {
		t.Error("not one for each hub")
	}
	absencesOf(other).leave(other)
	one.note("1", 5, 1)
	one.expire("1", 4) // another one has discarded later
	one.leave(hub)
	if !absencesOf(hub).over("1", 5, 1) {
		t.Error("forgotten too early")
	}
	two.expire("1", 5)
	if two.some.Load() {
		t.Error("not forgotten")
	}
	two.leave(hub)
	two.leave(hub)
	if hubs.of[hub] != nil {
		t.Error("it stays")
	}
}
