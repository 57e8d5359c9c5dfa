// Package pubsub carries messages from a caller that broadcasts on a topic to the
// subscribers of that topic: in one process and, through a [Remote], between
// processes.
//
//	                        ┌────────── Hub ──────────┐
//	Broadcast(topic, …) ──▶ │ shard ▶ topic ▶ [subs]  │ ──▶ Subscriber.Deliver
//	                        └──┬──────────────────▲───┘
//	            Remote.Publish ▼                  │ Receiver.Receive
//	                         other nodes of the cluster
//
// # Delivery
//
// A broadcast is offered to each subscription that its topic has at the moment of
// the call, in the caller's goroutine, one after another. A subscriber with two
// subscriptions is offered the message twice. Broadcast returns the number of
// subscriptions of this node that took the message. Delivery is at most once:
// nothing is stored, repeated or acknowledged. [Hub.Deliver] offers a message in
// the same way and reports once what became of it.
//
// # Payloads
//
// A broadcast encodes its payload once, in the goroutine of the caller and before
// anything else, and every subscriber, here and on other nodes, gets the same
// [Payload]. [ErrPayload], or the error of the encoding, is returned also when the
// topic has no subscriber. JSON text given as []byte or json.RawMessage is copied,
// so that the caller can use its buffer again; a [Payload] is not.
//
// # Order
//
// Broadcasts made one after another by one goroutine on one topic reach each
// subscription in that order, on every node. Between goroutines, and between
// topics, there is no order. The same is true of deliveries: one that begins before
// an earlier one has returned, from the function that gets its report for example, can
// overtake it.
//
// # Blocking
//
// No method waits for a subscriber. [Subscriber.Deliver] must not block either:
// the caller of Broadcast waits for it. A [Remote] may block in Publish, until
// the context of the broadcast is done.
//
// # Concurrency
//
// All methods may be called from any goroutine, also from inside Deliver: no
// lock is held while a subscriber runs.
//
// # Loss
//
// A subscriber refuses a message by returning false; it is then not counted.
// After [Subscription.Unsubscribe] has returned no new delivery to it begins; a
// broadcast that was already under way may finish its call.
//
// # Other nodes
//
// A hub with a [Remote] takes part in a cluster while [Hub.Run] runs:
//
//	hub, err := pubsub.New(pubsub.Config{Remote: remote})
//	go hub.Run(ctx) // returns nil when ctx is done, or the error of the remote
//
// Subscribers of this node never wait for the network, and local deliveries go on
// without it. A broadcast that other nodes did not get returns a [*RemoteError].
// An [InterestedRemote] receives only topics that have a subscription on its node;
// the hub announces the first and the last subscription of a topic in batches, so
// that shortly after Subscribe messages of other nodes may still be missing:
// [Hub.Settle] waits for that. Nothing that comes in is trusted: a message that
// cannot be decoded is dropped and counted in [Hub.Snapshot].
//
// A delivery goes to the other nodes in one message each, and each of them answers
// once, several deliveries in one message. The delivery ends with the first node
// that has it; with the last negative answer, at once if no node has a subscriber;
// or with [ErrNoAnswer], after Config.RemoteTimeout or shortly after a node has left
// that may have had it. Where a remote does not know how many nodes have a delivery
// ([MemberRemote]), all are asked what became of it, after a negative answer or 250 ms
// of silence: so a lost message is known then, and the lack of a subscriber at once.
//
// A node that stood still finds deliveries that their origin has given up, and has sent
// again elsewhere. It estimates their age, and asks the origin about what seems older
// than half of RemoteTimeout before it offers it. The origin sends it once more if it
// still waits for it and has sent nothing newer on the topic. A delivery on a topic that
// keeps history is offered in any case, since clients know it by its number.
//
// # History
//
// Without a [History] nothing is kept. With one, each broadcast on the topics
// that it keeps gets a number and is kept before it is offered: the message that a
// subscriber gets has its number, and the history has all messages before it. A
// subscriber that subscribes first and then reads the history misses nothing and
// recognises by the numbers what it gets twice. Deliveries of different goroutines
// may overtake each other. The payload of such a topic is a JSON object; a binary
// one is refused and reaches no subscriber.
//
// [Memory] is the history of one node: it numbers what this node broadcasts and
// receives. Positions of another node are of another epoch. When messages may have
// been missed, because the remote lost its connection or the node was not
// interested in the topic, the topic begins a new epoch and its subscribers are
// told ([LossHandler]): a gap is never silent. Subscribers of topics without history
// are told as well: they can read anew what they have a copy of.
//
// # Errors
//
// [ErrClosed] after [Hub.Stop]; the error of the history; an error that a
// subscriber has set with [Message.Fail], in which case other nodes do not get the
// message either; a [*RemoteError], when the local deliveries have been made and
// are counted all the same.
//
// # Cost
//
// A broadcast allocates one [Message], whatever the number of subscribers, and
// takes one lock twice. A subscription costs its own struct and one slot; a topic
// without subscriptions costs nothing. A hub without a remote has no goroutine. Run
// holds three besides that of the remote, whatever the number of topics and
// deliveries.
package pubsub
