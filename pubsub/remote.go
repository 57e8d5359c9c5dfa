package pubsub

import (
	"context"
	"fmt"
)

// Remote joins the hubs of several nodes. [Hub.Run] gives it its life.
//
// A remote carries messages as bytes: [Message.Append] makes them, and what comes
// in goes to [Receiver.Receive] unread. Delivery is at most once. Messages that
// one goroutine publishes on one topic reach another node in that order. A node
// does not receive its own messages.
type Remote interface {
	// Node returns the name of this node, which is unique in the cluster. It is
	// the same at each call.
	Node() string
	// Run connects this node to the others and passes their messages to in, until
	// ctx is done; then it returns nil. It reconnects by itself, and reports what
	// may have been lost meanwhile with [Receiver.Lost]. An error is final and
	// ends [Hub.Run]. Run is called at most once at a time. After its return it
	// does not call in any more.
	Run(ctx context.Context, in Receiver) error
	// Publish hands m to the node named to, or, if to is empty, to all other
	// nodes that want m.Topic. It returns the number of nodes that m was handed
	// to, or -1 if that cannot be known. Handed over does not mean received. A
	// node that does not exist is no error. Publish may block until ctx is done.
	// m must not be used after the return.
	Publish(ctx context.Context, to string, m *Message) (nodes int, err error)
}

// InterestedRemote is a [Remote] that sends a node only messages on topics with a
// subscription there, and messages that are addressed to the node.
//
// The hub calls Join and Leave alternately for each topic, from one goroutine, which
// may be a little ahead of Run. What was joined when a Run ends, or when the
// connection is lost, the remote joins again by itself.
type InterestedRemote interface {
	Remote
	// Join and Leave note that this node wants a topic, or no longer does. They
	// return at once; the network is told later, several topics at a time.
	Join(topic string)
	Leave(topic string)
	// Sync waits until all earlier calls of Join and Leave are in effect: what
	// any node publishes afterwards respects them. What this node has published
	// before has left it by then.
	Sync(ctx context.Context) error
}

// Receiver takes what a [Remote] receives. Its methods may be called from any
// goroutine and do not wait for subscribers.
type Receiver interface {
	// Receive takes the bytes of one message, which belong to the receiver
	// afterwards. Messages of one sender are passed in their order. A message
	// that cannot be decoded is counted and dropped.
	Receive(data []byte)
	// Lost reports that messages on a topic of this node may have been lost, on
	// any topic if topic is empty. It is called after Receive for the messages
	// before the loss, and before Receive for those after it. Positions in the
	// history of the topic do not continue then, and clients that follow it are
	// told.
	Lost(topic string)
}

// CountReceiver is a [Receiver] that can be given later the number of nodes that a
// delivery was handed to, by a remote whose Publish returns before it knows that. The
// receiver of a [Hub] is one.
type CountReceiver interface {
	Receiver
	// Counted reports that so many nodes were handed the message with this
	// [Message.DeliveryID]. It may be called before Publish has returned -1.
	Counted(delivery uint64, nodes int)
}

// LeaveReceiver is a [Receiver] that can be given word of nodes that have left. The
// receiver of a [Hub] is one.
type LeaveReceiver interface {
	Receiver
	// Left reports that a node has said goodbye: no answer of it will come any more. What
	// it had sent before was passed to Receive before.
	Left(node string)
}

// RemoteError reports that other nodes did not get a message, or that it is not
// known whether they did. Deliveries on this node were made all the same.
type RemoteError struct {
	// To is the node the message was for; empty for all nodes.
	To  string
	Err error
}

// Error names the node and the cause.
func (e *RemoteError) Error() string {
	if e.To == "" {
		return fmt.Sprintf("pubsub: not sent to other nodes: %v", e.Err)
	}
	return fmt.Sprintf("pubsub: not sent to node %q: %v", e.To, e.Err)
}

// Unwrap returns the cause.
func (e *RemoteError) Unwrap() error { return e.Err }
