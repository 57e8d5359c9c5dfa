// Package channeltest tests sockets, channels and handlers without a network.
//
// [Connect] opens a connection to an endpoint through a pipe in memory. It passes
// through everything that a real one passes through, handshake included. Its
// client joins topics, pushes events, and asserts what must come back:
//
//	c := channeltest.Connect(t, endpoint, "/socket/websocket?token=T")
//	room := c.Join("room:a", nil)
//	room.Push("say", map[string]string{"text": "hi"}).AssertReply("ok", nil)
//	room.AssertBroadcast("said", map[string]string{"text": "hi"})
//
// # Waiting
//
// An assertion takes the first message that matches and leaves the others, in
// whatever order they came. It waits up to [Timeout], and fails the test if no
// message matches. Refute waits for the given duration. In a bubble of
// testing/synctest this is the time of the bubble, so that waiting takes no real
// time.
//
// # Slow clients
//
// [Client.Pause] stops reading, so that what the server sends stays in its queue,
// and [Client.Resume] goes on. [Channel.Received] takes everything of an event
// that has come, in order.
//
// # Comparison
//
// Payloads are compared as JSON: a struct, a map and a json.RawMessage with the
// same encoding are equal. nil stands for {}.
//
// # Concurrency
//
// A client may be used by one goroutine at a time. It is closed at the end of
// its test.
package channeltest
