package codec

// Serializer turns messages into the bytes of WebSocket messages, and back. [V1] and
// [V2] are two. Its methods are called by many goroutines at once, must not block
// and must neither keep nor change their arguments. Those that append return dst
// with the message after it, or an error.
type Serializer interface {
	// Decode parses one message of a client; binary means a binary one instead of a
	// text. The result does not refer to data. maxDepth bounds the nesting of arrays
	// and objects, those of the envelope included. The error should be a
	// [*DecodeError]. If its WellFormed is set, the message is returned with the error,
	// without its payload, and its sender gets an error reply; any other error closes
	// the connection. Payload must be valid JSON in UTF-8 unless Binary is set, and
	// the names must be valid UTF-8.
	Decode(data []byte, binary bool, maxDepth int) (Message, error)
	// Binary reports whether a message with payload p is a binary one instead of a
	// text, which must be valid UTF-8.
	Binary(p Payload) bool
	// AppendMessage appends a push or a control message. A null joinRef or ref was not
	// sent by the client, or is not needed.
	AppendMessage(dst []byte, joinRef, ref Ref, topic, event string, p Payload) ([]byte, error)
	// AppendReply appends the reply to the message with ref. status is "ok" or
	// "error"; the response may be any JSON.
	AppendReply(dst []byte, joinRef, ref Ref, topic, status string, response Payload) ([]byte, error)
	// AppendBroadcast appends a message without refs, whose bytes are shared by all
	// clients with this serializer.
	AppendBroadcast(dst []byte, topic, event string, p Payload) ([]byte, error)
}

var _ Serializer = V2
