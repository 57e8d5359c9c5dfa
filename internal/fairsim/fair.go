package fairsim

import (
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
)

// Fair is [fair.Dispatcher] as a Queue, driven as a stage drives it.
type Fair struct {
	Fair    *fair.Dispatcher[Event, int]
	next    uint64
	got     []held
	flying  map[int]held // by Event.Seq
	dropped []Event
}

// held is an event that was handed out, with what its receipt needs.
type held struct {
	event       Event
	seq, ticket uint64
}

// NewFair makes a Queue of a fair.Dispatcher whose key is the user.
func NewFair(cfg fair.Config[Event]) *Fair {
	f := &Fair{
		Fair:   option.Must(fair.New(func(e Event) int { return e.User }, cfg)),
		next:   1,
		flying: map[int]held{},
	}
	if err := f.Fair.Subscribe(0, dispatcher.SubscribeConfig{}); err != nil {
		panic(err)
	}
	return f
}

// Give implements dispatcher.Out.
func (f *Fair) Give(int, int, int) {}

// GiveHeld implements dispatcher.Out.
func (f *Fair) GiveHeld(_ int, e Event, seq, ticket uint64) {
	f.got = append(f.got, held{e, seq, ticket})
}

// Discard implements dispatcher.Out.
func (f *Fair) Discard(e Event, _ uint64, _ receipt.Reason) {
	f.dropped = append(f.dropped, e)
}

// Arrive implements Queue.
func (f *Fair) Arrive(now int64, e Event) []Event {
	f.dropped = f.dropped[:0]
	f.next += uint64(f.Fair.Dispatch(dispatcher.Offer[Event]{Events: []Event{e}, First: f.next, Now: now}, f))
	return f.dropped
}

// Next implements Queue.
func (f *Fair) Next(now int64, _ int) (Event, bool) {
	f.got = f.got[:0]
	f.Fair.Ask(0, 1)
	f.Fair.Dispatch(dispatcher.Offer[Event]{Now: now}, f)
	if len(f.got) == 0 {
		// The worker goes on waiting outside: what it has asked for is taken back.
		f.Fair.Cancel(0)
		_ = f.Fair.Subscribe(0, dispatcher.SubscribeConfig{})
		return Event{}, false
	}
	f.flying[f.got[0].event.Seq] = f.got[0]
	return f.got[0].event, true
}

// Done implements Queue.
func (f *Fair) Done(now int64, e Event) {
	h := f.flying[e.Seq]
	delete(f.flying, e.Seq)
	f.Fair.Receipts(now, []dispatcher.Receipt[Event]{{Seq: h.seq, Ticket: h.ticket, Cost: e.Service}})
}
