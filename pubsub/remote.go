package pubsub

import "context"

// Remote carries messages to the other nodes. An implementation encodes
// Topic, Event and Payload (JSON unless it says otherwise), and gives what it
// receives from the others to [Hub.Receive]. It must not give a node's own
// messages back to it.
type Remote interface {
	// Node is this node's name, unique in the cluster.
	Node() string
	// Publish hands m to the node named to, or to all other nodes if to is
	// empty. It may block until ctx is done. Success means handed over, not
	// delivered.
	Publish(ctx context.Context, to string, m *Message) error
}
