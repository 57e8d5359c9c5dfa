// Load measures a channelserver, or the Phoenix application it is the twin of,
// with many WebSocket clients on the same machine.
//
//	go run ./bench/channelserver/load -suite
//	go run ./bench/channelserver/load -mode room -server 127.0.0.1:4100 -conns 5000 -rounds 600
//
// The suite starts servers of its own, makes every measurement and prints one
// table with the targets. A single mode measures a server that runs already:
//
//	idle       what an idle connection that has joined a topic costs
//	memory     where that memory is; the server must have been started with -heap-sites
//	room       broadcasts to all clients, who have joined one room
//	users      pushes to each client's own topic
//	echo       each client sends in turn, and the server's handler replies
//	pipeline   the same pushes, through producer, fair dispatcher and workers
//	stalled    a room in which a tenth of the clients stop reading
//	reconnect  all clients lose their connections and come back at once
//
// # What is checked
//
// The server numbers the messages of each topic. Every client must get every
// number of its topic once and in order, and nothing of other topics; whatever
// else comes is counted, printed, and makes the run fail.
//
// # What is measured
//
// The latency of a delivery is the time from the payload's "ts", which the
// server takes just before it encodes the message, to the return of the read
// that brought its last byte: both on the one machine's clock. The time of an echo
// is taken by the client, just before it sends. The rate counts
// from before the request that starts the pushes to the last arrival. CPU time
// and resident memory are the server process's, as /proc has them; the work of
// the loopback interface counts for the process to which the kernel attributes
// it, mostly the writer.
//
// # How the client keeps out of the way
//
// It shares the machine with the server. So it has no goroutine and no buffer
// for each connection: one epoll loop for each processor reads what has come,
// with one large buffer for all its connections, and looks at the messages
// where they lie. It works on Linux only.
package main
