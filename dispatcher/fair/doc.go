// Package fair shares a stage's output between keys: a key that floods delays
// only its own events. The key is what fairness is about, such as a user id; it
// must not change while the dispatcher holds the event.
//
//	offer ──▶ one queue per active key ──▶ keys with credits, then keys in turn ──▶ subscriptions
//	             │ bounds: drop or pause        ▲                                      │
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
// The defaults suit live events and drop what does not fit: the oldest event of
// a key that is full, or the oldest event of the longest queue when the
// dispatcher is full. Every dropped event is passed to Out.Discard with its
// reason. With [Pause] and [Pause] nothing is dropped.
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
