// Clusterspeed measures what several nodes cost: three processes on this machine, on
// loopback, joined by NATS (a server in each process) and then by Redis.
//
//	make cluster-bench                                    # go run ./bench/clusterspeed
//	go run ./bench/clusterspeed -backplane nats -json     # half of it, for a program
//	go run ./bench/clusterspeed -part pushes -profile /tmp/profiles
//
// It prints one table and ends by itself, in about three minutes. Redis is started by it
// (redis-server in PATH) unless -redis names one.
//
// # What is measured
//
// Pushes are made at node a, of 200 bytes, each with a receipt: a [producer.Queue], the
// fair dispatcher with one push in flight for each user, [delivery], the backplane, and
// back. Their users are at b and c: in one row functions that take the push at once, which
// shows what the cluster costs, in another one WebSocket clients, in a process of their
// own, which shares the machine. Each is measured three times, of which the median
// counts. Latencies at a rate are from the moment at which a push was due until its
// receipt is at a. Messages out and back are counted by the hub of a.
//
// For 1, 2 and 3 nodes the users are spread over the nodes, and each node pushes to all
// of them. All processes share the processors of one machine, so that the sum does not
// grow with the nodes; the processor time for each push is what a machine of its own
// would need.
//
// A broadcast goes from a to a room of 2,000 at each node. The reference publishes as
// many bytes with the bare client library, over the same servers, to one subscriber at
// each node, which calls 2,000 functions too. go-redis publishes in pipelines of 100. Both
// runs alternate, and the median of three counts.
//
// Presences and topics are over the same three nodes. Memory is the heap after a garbage
// collection; with NATS that includes the server in the process.
package main
