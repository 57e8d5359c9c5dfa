// Package fleet is many WebSocket clients in one process, for commands that measure servers on
// the same machine. It works on Linux only.
//
// The clients share the machine with the server. So there is no goroutine and no buffer for a
// connection: one epoll loop for each processor reads what has come, with one large buffer for
// all its connections, and looks at the messages where they lie.
//
// Messages are numbered by topic: every client must get every number of its topic once and in
// order, and nothing else. What differs between servers is a Protocol.
package fleet
