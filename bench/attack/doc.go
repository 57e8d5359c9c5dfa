// Attack starts the push pipeline and does to it what hostile and broken clients
// do, one attack at a time, while a few honest users push and receive. It prints
// a table: what the honest users noticed, how much memory the program took at
// most, and how it ended when it was told to in the middle of the attack.
//
//	go run ./bench/attack                # all, about five minutes
//	go run ./bench/attack -only slow-bodies -for 30s
//	go run ./bench/attack -list
//	go run ./bench/attack -soak 1h -source kafka
//
// An attack passes if the program's resident memory never exceeds -memory, the
// 99th percentile of the honest users' pushes, from the moment that each was due
// until it was received, stays under -p99, every honest push arrives, every new
// honest user gets in, and SIGTERM ends the program with exit code 0 within its
// drain. The exit code is 1 if one does not pass.
//
// With -soak no attack is made: users come, are pushed to, and go, for as long as
// is asked, and the memory of the last quarter is compared with that of the
// second.
//
// Everything is on loopback. Attackers have addresses from 127.1.0.1 on, the
// honest users have 127.0.0.1, so Linux is needed. All share the machine: the
// attackers are a process of their own with the lowest priority, since real ones
// use other machines, and on a busy machine the latencies are those of the machine.
package main
