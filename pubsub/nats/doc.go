// Package nats joins the hubs of several nodes over NATS: it is a [pubsub.Remote].
//
//	remote, err := nats.New(nats.Config{Node: "node-1", URL: "nats://10.0.0.5:4222"})
//	hub, err := pubsub.New(pubsub.Config{Remote: remote})
//	go hub.Run(ctx)
//
// The server may be one of the program's own: see package embedded beside this one.
//
// # Subjects
//
// A topic is one subject, which a node subscribes to with the first local
// subscription of the topic and leaves after the last. All subjects begin with
// Config.Prefix, so that several applications can share a server:
//
//	PREFIX.t.TOPIC  broadcasts and deliveries (the topic is escaped)
//	PREFIX.n.NODE   messages to one node, such as answers to deliveries
//	PREFIX.c.all    beats of all nodes
//	PREFIX.k.ID     replies to one process
//	PREFIX.o.NODE   claims of a name
//
// The server does not send a node what it has published itself. A delivery asks the
// server for a word if the topic has no subscriber ("no responders"), so that it
// ends at once when no other node wants the topic. How many nodes do is not known
// otherwise.
//
// # Names
//
// Run ends with a [*NameError] if a node of the same name replies. One that does not,
// since its process stands still or the network is divided, is fenced: its Run ends
// with that error as soon as it hears of its successor.
//
// # Loss
//
// Delivery is at most once. Each node sends a numbered beat to all others, every
// Config.Beat. A node reports a loss to its hub when its connection was lost, when it
// was too slow for what came in, when a beat of another node is missing, as after a
// cut between servers, and when another node reports that its own messages were lost
// on the way out. Without a connection Publish returns [ErrNotConnected] at once.
//
// # Cost
//
// A node has one connection and six goroutines besides that of Run, three of them the
// client's, whatever the number of topics. What waits is bounded by Config.OutboxBytes and
// InboxBytes. A topic that a node wants takes about 1 KB, the part of a server in the
// same process included (go test ./pubsub/nats -run none -bench Join -benchtime 100000x).
package nats
