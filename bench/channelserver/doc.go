// Channelserver is a server for conformance and load tests of the channels: the
// twin of a small Phoenix application, so that the same clients and the same
// load can be pointed at either.
//
//	go run ./bench/channelserver -listen 127.0.0.1:4100 -secret S
//
// Sockets are /socket (idle timeout 60 s, token by subprotocol or parameter),
// /short (idle timeout 2 s) and /limited, whose queues have the library's default
// bounds where /socket takes any burst. The user id comes from the token.
//
//	user:ID     only for the socket's own user; echo, crash
//	room:*      echo, new_msg, new_msg_from, intercepted, bin, bin_bcast, stop,
//	            stop_reply, crash, fail (error reply), bin_push (pushes the
//	            data back); room:forbidden refuses, room:crash crashes in
//	            the join, room:term pushes you_left when it ends
//	presence:*  tracks the user with online_at and the join params, then pushes
//	            presence_state; update replaces the meta
//	realtime:*  broadcast and presence as clients of Supabase send them
//	kept:*      with -resume: a room without intercepted, that can be resumed
//
// Over HTTP: GET /token, GET /tokens, POST /broadcast, POST /push,
// POST /pipeline (the pushes through producer, fair dispatcher and workers),
// POST /disconnect, GET /stats.
//
// With -cluster and -join several of them share broadcasts and presences.
//
// It is for tests: it gives a token to every client that asks, but not to pages of
// other sites. Requests must name one of the -hosts; numbers are bounded.
package main
