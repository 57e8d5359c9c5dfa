package nats

import (
	"errors"
	"fmt"
)

// ErrNotConnected refuses a message while there is no connection to a server, or while
// Run does not run. A hub returns it in a *pubsub.RemoteError.
var ErrNotConnected = errors.New("nats: not connected")

// ErrRunning is returned by Run while another call runs.
var ErrRunning = errors.New("nats: remote runs already")

// TooLargeError refuses a message that the server would not take.
type TooLargeError struct {
	// Size is that of the message with its topic and event, Limit the largest that
	// the server takes (its max_payload), in bytes.
	Size, Limit int
}

// Error names both sizes.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("nats: message of %d bytes exceeds the limit of the server, %d bytes (max_payload)", e.Size, e.Limit)
}

// NameError ends the Run of a node whose name another one has.
type NameError struct {
	Node string
	// Fenced is set if this node was a member before: another one took its name while
	// it did not reply.
	Fenced bool
}

// Error names the node.
func (e *NameError) Error() string {
	if e.Fenced {
		return fmt.Sprintf("nats: another process took the name of node %q while this one did not reply: names must be unique", e.Node)
	}
	return fmt.Sprintf("nats: another node of the cluster has the name %q: names must be unique", e.Node)
}
