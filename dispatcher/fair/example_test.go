package fair_test

import (
	"fmt"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
)

// push is an event for one user.
type push struct {
	UserID string
	Text   string
}

// printer takes the place of a stage: it prints the dispatcher's decisions.
type printer struct{ receipts []dispatcher.Receipt[push] }

func (p *printer) Give(sub, lo, hi int) {}

func (p *printer) GiveHeld(sub int, e push, seq, ticket uint64) {
	fmt.Println(e.UserID, e.Text)
	p.receipts = append(p.receipts, dispatcher.Receipt[push]{Sub: sub, Seq: seq, Ticket: ticket})
}

func (p *printer) Discard(e push, seq uint64, reason receipt.Reason) {
	fmt.Println("dropped:", e.UserID, e.Text, reason)
}

// One user floods, another sends a single event after that. In a pipeline the
// stage makes these calls.
func ExampleNew() {
	fair := option.Must(fair.New(func(p push) string { return p.UserID }, fair.Config[push]{}))

	out := &printer{}
	_ = fair.Subscribe(0, dispatcher.SubscribeConfig{})
	fair.Dispatch(dispatcher.Offer[push]{Events: []push{
		{"ann", "1"}, {"ann", "2"}, {"ann", "3"}, {"ann", "4"}, {"bob", "1"},
	}}, out)
	for range 5 {
		fair.Ask(0, 1) // one worker is free
		fair.Dispatch(dispatcher.Offer[push]{}, out)
		fair.Receipts(0, out.receipts)
		out.receipts = out.receipts[:0]
	}
	// Output:
	// ann 1
	// bob 1
	// ann 2
	// ann 3
	// ann 4
}

// The key of a user whose socket is full is parked.
func ExampleDispatcher_Park() {
	fair := option.Must(fair.New(func(p push) string { return p.UserID }, fair.Config[push]{}))

	out := &printer{}
	_ = fair.Subscribe(0, dispatcher.SubscribeConfig{})
	fair.Ask(0, 10)
	fair.Park("ann")
	fair.Dispatch(dispatcher.Offer[push]{Events: []push{{"ann", "1"}, {"bob", "1"}}}, out)
	fmt.Println("parked:", fair.Snapshot().Parked)
	fair.Unpark("ann")
	fair.Dispatch(dispatcher.Offer[push]{}, out)
	// Output:
	// bob 1
	// parked: 1
	// ann 1
}
