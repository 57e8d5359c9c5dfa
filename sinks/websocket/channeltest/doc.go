// Package channeltest tests sockets, channels and handlers without a network.
//
// [Connect] opens a connection to an endpoint through a pipe in memory; it goes
// through all that a real one goes through, handshake included. Its client
// joins topics, pushes events, and asserts what must come back:
//
//	c := channeltest.Connect(t, endpoint, "/socket/websocket?token=T")
//	room := c.Join("room:a", nil)
//	room.Push("say", map[string]string{"text": "hi"}).AssertReply("ok", nil)
//	room.AssertBroadcast("said", map[string]string{"text": "hi"})
//
// # Waiting
//
// An assertion takes the first message that matches and leaves the others, in
// whatever order they came; it waits for it up to [Timeout], and fails the test
// if it does not come. Refute waits for as long as it is told. In a bubble of
// testing/synctest that time is the bubble's, so that neither takes any.
//
// # Comparison
//
// What is wanted is compared as JSON: a struct, a map and a json.RawMessage
// that encode alike are alike. nil stands for {}.
//
// # Concurrency
//
// A client may be used by one goroutine at a time. It is closed at the end of
// its test.
package channeltest
