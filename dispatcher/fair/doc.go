// Package fair shares a stage's output between keys: a key that floods delays
// only its own events. The key is what fairness is about, such as a user id; it
// must not change while the dispatcher holds the event.
//
//	offer ──▶ one queue per active key ──▶ keys with credits, then keys in turn ──▶ subscriptions
//	             │ bounds: pause or drop        ▲                                      │
//	             ▼                              └────────── receipt frees the key ◀────┘
//	          Discard
//
// # Choice
//
// The dispatcher reads events ahead into the queues of their keys. It decides
// which key is next when a subscription has asked, not before. It cannot take
// back what it has handed to a subscription, so let consumers ask for as many
// events as they have free workers. A key that has been idle has
// [Config.Credits] and goes before the keys that have used theirs up; the others
// are served in turn, one event a turn. A key earns one credit a round. This is
// deficit round robin with sparse flows first (Shreedhar & Varghese, SIGCOMM
// '95; RFC 8290), interleaved, and with a privilege that survives an empty
// queue.
//
// # Order
//
// The events of a key are delivered one at a time and in the order in which
// they were offered: the next one is handed out after the receipt of the one
// before has arrived. [Config.UnorderedInFlight] gives that order up.
// [Conflate] replaces the older event of a sub-key with the new one, in place.
//
// # Loss
//
// Nothing is dropped by default: a dispatcher that is full takes nothing more from
// its source until there is room ([Pause]), and neither light keys nor heavy ones
// get through from there meanwhile. Only an option that names it drops an event:
// [DropLongest] for the whole, [DropOldest], [DropNewest] or [Conflate] for a key
// that has a bound, a TTL. Every dropped event is passed to Out.Discard with its
// reason. Live events, whose latest matters, are best served with DropLongest and
// a bound for each key: a flood then loses events of its own, and no other key waits for it.
//
// # Concurrency
//
// A [Dispatcher] has no lock. Call all of its methods, including
// [Dispatcher.Park], [Dispatcher.Unpark] and [Dispatcher.Snapshot], on the
// goroutine of its stage.
//
// # Cost
//
// A step takes constant time, whatever the number of keys. No memory is
// allocated once the dispatcher has held its largest number of keys and events.
// A key costs about 120 bytes while it has events, an idle one nothing.
package fair
