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
// Run it without arguments and open the page that it names. With -fairness it
// measures instead what one user's flood does to the other users, under the
// fair dispatcher and under three others, and prints a table. Run it with -h for the
// options.
package main
