// Command peers runs libraries that do something like Penstock's stages on the
// same work in one run, and prints one table:
//
//	go run . -time 1s
//
// Every run's result is checked: the number of events that arrived at each
// taker and their sum. A contestant that cannot do a work, or does not arrive at
// the right result, gets a dash and the reason below the table.
//
// All contestants of a work take turns, three rounds of them, and the median
// counts; each gets the number of events that its own speed allows. Ratios are
// to the recycled slices of the same run: two bare channels between which the
// same slices of 500 go round, which is as little as handing over can cost.
//
// It is a module of its own, so that users of Penstock do not get the peers.
//
// With -handover it compares the hand-over alone, in batches and from outside, also with
// Rust (tokio, crossbeam) and Java (Disruptor), whose programs it builds with cargo and mvn;
// a language that cannot be built is left out, with a line that says why. The command in sockets compares WebSocket servers.
package main
