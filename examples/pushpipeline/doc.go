// Pushpipeline is the push pipeline of this module as one program:
//
//	POST /push ─▶ Kafka (or memory) ─▶ fair dispatcher ─▶ delivery
//	                                                          │
//	         browser ◀── WebSocket ◀── user:ID channel ◀──────┘
//
// Each push is stamped when it is enqueued, and the time until it was written
// to its user's socket is measured with StatsD. The receipt of a push is that
// write: it is what lets the next push of the same user go, and what lets the
// record be committed in Kafka.
//
// # Tokens
//
// A client connects to /socket with phoenix.js and authToken, a token of package token
// that the program which signs users in makes with the secret of -secret-file: the salt
// "user socket", and a map of user, the id of the user, and exp, the unix millisecond at
// which the socket ends. Example_socketToken makes one. The client then joins the topic
// "user:" and the id, and gets each push as the event "push_timed". Before the end of its token
// it pushes the event renew with a new token to the topic "phoenix".
//
// # Several processes
//
// With -cluster a push reaches its user's sockets at any process, whichever has read
// it, and its receipt comes back:
//
//	pushpipeline -cluster embedded
//	pushpipeline -cluster embedded -join 127.0.0.1:6222 -addr 127.0.0.1:4010 -debug-addr off
//
// Each of them has a NATS server, and the servers join each other; -cluster
// nats://host:port uses a server elsewhere, redis://host:port a Redis. All need the same
// -secret-file if a token is to be valid at each. A push whose user has no client at any
// process is discarded as no_subscriber after -grace. A URL with a password belongs in PUSHPIPELINE_CLUSTER: every
// program of a machine can read the command lines.
//
// Processes with the same -brokers, -topic and -group share the partitions. Without
// -cluster each pushes what it reads to its own sockets alone, so that a client must be
// connected to all of them. When a process is killed, another one has its partitions
// after -session-timeout, and repeats what was not committed.
//
// # Options
//
// Run it without arguments and open the page that it names. With -fairness it
// measures instead what one user's flood does to the other users, under the
// fair dispatcher and under three others, and prints a table. Run it with -h for the
// options.
package main
