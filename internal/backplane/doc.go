// Package backplane has what remotes of pubsub share, whatever carries their
// messages: names of topics, the interest of a node, bounded queues in both
// directions, and the members of a cluster. Nothing here has a goroutine or knows a
// network.
package backplane
