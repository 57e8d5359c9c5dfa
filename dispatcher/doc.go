// Package dispatcher decides which subscription gets the next event.
//
// A dispatcher is a pure state machine: it has no goroutine, no lock, no clock
// and no channel. The stage that owns it calls it from its own goroutine only,
// reports what has happened (a subscription came, asked, was cancelled, gave
// receipts) and offers it events; the dispatcher hands the events out. The same
// calls in the same order always have the same results, so dispatchers can be
// tested by tables, models and fuzzing.
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
// [Dispatcher.Demand] is the number of events that the dispatcher can still take.
// For [Demand] that is the sum of the events that consumers have asked for and not
// been sent. For a dispatcher that holds events itself, such as the one in package
// dispatcher/fair, it is the room left in its own queues: it reads the source
// ahead up to a bound and chooses the next event late. The stage asks its producer
// for exactly that, less the events already asked for and not received.
//
// # Order
//
// Events are offered in the order in which they were emitted, and delivered on a
// subscription in the order in which they were handed to it.
//
// # Loss
//
// A dispatcher never drops an event without calling [Out.Discard]. An event
// that was offered and not taken stays with the stage and is offered again.
package dispatcher
