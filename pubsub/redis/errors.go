package redis

import (
	"errors"
	"fmt"
)

// ErrNotConnected refuses a message while there is no connection to the server, or while
// Run does not run. A hub returns it in a *pubsub.RemoteError.
var ErrNotConnected = errors.New("redis: not connected")

// ErrRunning is returned by Run while another call runs.
var ErrRunning = errors.New("redis: remote runs already")

// TooLargeError refuses a message of more than Config.MessageBytes.
type TooLargeError struct {
	// Size is that of the message with its topic and event, Limit the largest that is
	// allowed, in bytes.
	Size, Limit int
}

// Error names both sizes.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("redis: message of %d bytes exceeds the limit, %d bytes (MessageBytes)", e.Size, e.Limit)
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
		return fmt.Sprintf("redis: another process took the name of node %q while this one did not reply: names must be unique", e.Node)
	}
	return fmt.Sprintf("redis: another node of the cluster has the name %q: names must be unique", e.Node)
}
