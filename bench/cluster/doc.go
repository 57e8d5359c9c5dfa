// Cluster is a trust test with real processes: it starts several push pipelines that
// form a cluster, pours numbered records for many users into Apache Kafka, and makes one
// fault after another. Each user has one client, which notes what it gets and
// reconnects at another node when it is cut off. At the end every record must have
// reached its user.
//
//	go run ./bench/cluster                                  # 50 cycles, ten minutes
//	go run ./bench/cluster -cycles 5 -for 3s                # one of each fault
//	go run ./bench/cluster -backplane redis -faults kill,cut
//	go run ./bench/cluster -phoenix -faults restart -cycles 6    # a rolling restart, with clients of npm
//
// The faults:
//
//	kill       a node ends by SIGKILL and is started again a second later
//	restart    a node ends by SIGTERM and is started again
//	stop       a node stands still for ten seconds, by SIGSTOP
//	backplane  the server between the nodes is killed, and started five seconds later
//	cut        one node is cut off from that server for five seconds, by a proxy
//
// The embedded backplane is in the nodes themselves, so that it has the first three.
//
// A run passes if no record is lost, the first deliveries of each user are in order,
// what comes twice is within the documented bound, nothing waits for longer than a
// second once -recovery has passed since the end of a fault (since its beginning for
// kill and restart), no node takes more memory than -memory, and at the end each node
// ends in order with an account that adds up and without a discarded push. The exit code
// is 1 if one of these does not hold.
//
// A client whose node is silent gives its connection up: three of five after three
// seconds, the others never. What arrives on a connection that was given up counts as
// delivered, since the operating system has taken it, which is what a receipt says; the
// table has it as stranded unless it came again.
//
// Everything is on loopback. It needs Linux, and either Kafka's address in PENSTOCK_KAFKA
// or what kafka/cluster needs, Java and Maven; redis-server for -backplane redis. All
// processes share the machine: on a busy one, recovery takes longer.
package main
