// Sockets compares WebSocket servers on the same work, with the same clients, on one
// machine:
//
//	go run ./sockets                                  every server and work, medians of three
//	go run ./sockets -peers bare,penstock -works room  two servers, one work
//	go run ./sockets -conns 500 -rounds 1             short form, half a minute
//
// The command starts each server as a process of its own, which is this program with a
// variable in its environment, connects the clients, measures one work, and ends the server.
// The servers take turns within a round.
//
// # Works
//
//	room    600 messages to a room that all clients have joined, flat out
//	users   60 messages to each client's own topic, flat out
//	paced   messages to each client's own topic, 20,000 a second
//	echo    each client in turn sends a message and gets it back, 10,000 a second
//	idle    what a connection that has joined and does nothing costs in memory
//
// # What is checked
//
// The messages of a topic are numbered. Every client must get every number of its topic
// once and in order, and nothing else; otherwise the measurement has failed and the
// reason is printed in place of figures.
//
// The time of a paced message is when it was due, so that a server that publishes slowly
// shows it, but not before the goroutine woke that publishes it. A row of which less than
// 99.9 % of the rate was made is marked as void: its latencies are those of a smaller load.
//
// # What is the same for all
//
// The messages are JSON of the same 200 bytes and two numbers, encoded once by the code
// that all servers share. The client has one epoll loop for each processor and no
// goroutine and no buffer for a connection. It knows two protocols, which differ in what
// is written to join and in what surrounds a message: Phoenix's frames for Penstock, gws,
// nbio and the bare loop, and Centrifuge's own JSON protocol.
//
// The first row, the bare loop, is the limit: epoll loops of our own that write frames
// made beforehand and do nothing else. They know no deadlines, bounds or failures.
package main
