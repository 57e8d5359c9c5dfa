// Package pubsub carries messages from whoever broadcasts on a topic to
// whoever has subscribed to it, inside one process and, through a [Remote],
// between processes.
//
//	                        ┌────────── Hub ──────────┐
//	Broadcast(topic, …) ──▶ │ shard ▶ topic ▶ [subs]  │ ──▶ Subscriber.Deliver
//	                        └───────────┬─────────────┘
//	                                    └──▶ Remote.Publish ──▶ other nodes ──▶ Hub.Receive
//
// # Delivery
//
// A broadcast is offered to every subscription that its topic has at the
// moment of the call, in the caller's goroutine, one after another. A
// subscriber that subscribed twice is offered the message twice. The number of
// subscriptions that took the message is answered; zero means that nobody on
// this node has it. Delivery is at most once: nothing is stored, repeated or
// acknowledged.
//
// # Deliveries with a report
//
// [Hub.Deliver] offers a message as a broadcast does and reports once what became
// of it: when the first subscriber has it, or when it is certain that none will,
// and why. Subscribers take part by means of [Message.Tally]. A delivery that
// failed for lack of a subscriber, or of room at one, can be tried again when
// [Hub.Watch] reports a change of the topic.
//
// # Order
//
// Broadcasts made one after another by one goroutine on one topic reach each
// subscription in that order. Between goroutines, and between topics, there is
// no order.
//
// # Blocking
//
// No method waits for a subscriber. [Subscriber.Deliver] must not block either:
// the one who broadcasts pays for it. A [Remote] may block in Publish, up to
// the context it is given.
//
// # Concurrency
//
// All methods may be called from any goroutine, also from inside Deliver: no
// lock is held while a subscriber runs.
//
// # Loss
//
// A subscriber may refuse a message by answering false; it is then not counted.
// After [Subscription.Unsubscribe] has returned no new delivery to it begins; a
// broadcast that was already under way may finish its call.
//
// # History
//
// Without a [History] nothing is kept. With one, each broadcast on the topics
// it keeps is numbered and kept before it is offered: a subscriber finds in the
// message which one it is, and in the history all that came before. So whoever
// subscribes first and reads the history then has neither a gap nor, by the
// numbers, anything twice. Deliveries of different goroutines may overtake each
// other; their numbers tell. The payload of such a topic is a JSON object; a
// binary one is refused and reaches no subscriber.
//
// # Payloads
//
// A broadcast encodes its payload once, in the goroutine of the caller and before
// anything else, and every subscriber, here and on other nodes, gets the same
// [Payload]. [ErrPayload], or the error of the encoding, is returned also when the
// topic has no subscriber. JSON text given as []byte or json.RawMessage is copied,
// so that the caller can use its buffer again; a [Payload] is not.
//
// # Errors
//
// [ErrClosed] after [Hub.Close]; what the history answers; what a subscriber has
// told by [Message.Fail], in which case other nodes do not get the message
// either; an error of the remote is wrapped, and the local deliveries have been
// made and are counted all the same.
//
// # Cost
//
// A broadcast allocates one [Message], whatever the number of subscribers, and
// takes one lock twice. A subscription costs its own struct and one slot; a
// topic nobody subscribes to any more costs nothing.
package pubsub
