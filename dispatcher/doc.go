// Package dispatcher decides who gets the next event.
//
// A dispatcher is a pure state machine: it has no goroutine, no lock, no clock
// and no channel. The stage that owns it calls it from its own goroutine only,
// tells it what has happened (a subscription came, asked, was cancelled, gave
// receipts) and offers it events; the dispatcher answers by handing the events
// out. The same calls in the same order always give the same answers, which is
// what makes dispatchers testable by tables, models and fuzzing.
//
//	             Subscribe · Ask · Cancel · Receipts
//	consumers ─────────────────────────────────────────▶ Dispatcher
//	    ▲                                                   │  Demand: how much
//	    │            Give · GiveHeld                        ▼  more it can take
//	    └──────────────────────────────── stage ◀────────── Out
//	                                        │ Dispatch(offer)
//	producer ── emits ──▶ buffer ───────────┘
//
// # Demand
//
// [Dispatcher.Demand] says how many events more the dispatcher can take now.
// For [Demand] that is the sum of what consumers have asked for and have not
// been sent. For a dispatcher that holds events itself, such as the one in
// package dispatcher/fair, it is
// the room that is left in its own queues: the source is read ahead up to a
// bound and the choice of who is next is made late. The stage asks its
// producer for exactly that, less what it has already asked for and not got.
//
// # Order
//
// Events are offered in the order in which they were emitted, and what is
// handed to one subscription is delivered in the order in which it was handed
// out.
//
// # Loss
//
// A dispatcher never drops an event without calling [Out.Discard]. An event
// that was offered and not taken stays with the stage and is offered again.
package dispatcher
