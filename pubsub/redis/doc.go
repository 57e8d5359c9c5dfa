// Package redis joins the hubs of several nodes over Redis: it is a [pubsub.Remote].
//
//	remote, err := redis.New(redis.Config{Node: "node-1", Options: &goredis.UniversalOptions{Addrs: []string{"10.0.0.5:6379"}}})
//	hub, err := pubsub.New(pubsub.Config{Remote: remote})
//	go hub.Run(ctx)
//
// It uses publish/subscribe alone: it stores no key, and needs no right to write one.
//
// # Channels
//
// A topic is one channel, which a node subscribes to with the first local subscription
// of the topic and leaves after the last. All channels begin with Config.Prefix, so that
// several applications can share a server. Databases do not keep them apart: channels
// are the same in each.
//
//	PREFIX.t.TOPIC  broadcasts and deliveries (the topic is escaped)
//	PREFIX.n.NODE   messages to one node, such as answers to deliveries
//	PREFIX.c.all    beats of all nodes
//	PREFIX.k.ID     replies to one process
//	PREFIX.o.NODE   claims of a name
//
// Redis sends a node also what it has published itself, which it drops. The number of
// nodes that a delivery was handed to is that of the subscribers that Redis returns,
// less the node itself: a delivery ends at once when no other node wants the topic. That
// number is of one server: a Redis Cluster is refused.
//
// # Names
//
// Run ends with a [*NameError] if a node of the same name replies. One that does not,
// since its process stands still, is fenced: its Run ends with that error as soon as it
// hears of its successor.
//
// # Trust
//
// Any program that may publish in the channels can send messages to the nodes, and take
// a name from one. Messages that cannot be read are counted and dropped. A node needs the
// right to PING, and to PUBLISH, SUBSCRIBE and UNSUBSCRIBE in the channels PREFIX.*.
//
// # Loss
//
// Delivery is at most once, and a message whose fate is not known when the connection fails
// is not sent again. Each node sends a numbered beat to all others, every Config.Beat. A
// node reports a loss to its hub when its connection was lost, also because it was too
// slow for Redis; when it was too slow for what came in; when a beat of another node is
// missing; and when another node reports that its own messages were lost on the way out.
// Messages have the number of their sender, so that one that Redis reads late, from a
// connection that was given up, is dropped. Without a connection Publish returns
// [ErrNotConnected] at once.
//
// # Cost
//
// A node has two connections, one that subscribes and one that publishes, and three
// goroutines besides that of Run, whatever the number of topics. What waits is bounded by
// Config.OutboxBytes and InboxBytes. A topic that a node wants takes about 170 bytes
// there (PENSTOCK_REDIS=host:port go test ./pubsub/redis -run none -bench Join
// -benchtime 100000x). Redis ends the connection of a subscriber for which
// more waits than client-output-buffer-limit pubsub allows.
package redis
