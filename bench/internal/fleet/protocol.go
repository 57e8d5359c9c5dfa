//go:build linux

package fleet

import (
	"bytes"
	"strconv"
)

// Protocol is what differs between servers for a client. Its functions are called by the loop of
// the client; a message is theirs during the call.
type Protocol struct {
	// Join returns the frame that a client sends when its connection is a WebSocket.
	Join func(c *Client) []byte
	// Message handles a text or binary message. It calls c.SetJoined when the topic is joined,
	// and Count or Stray of the tally. An error ends the connection.
	Message func(c *Client, message []byte, now int64, t *Tally) error
	// Heartbeat is a frame that a client sends now and then. Default: none.
	Heartbeat []byte
	// Echo appends a message, unframed, which the server is to return. Needed for Fleet.Echo only.
	Echo func(dst []byte, c *Client, ts, seq int64) []byte
}

// Number reads the decimal number at the start of m, and returns what follows it. ok is false if
// there is none.
func Number(m []byte) (n int64, rest []byte, ok bool) {
	i := 0
	for ; i < len(m) && m[i]-'0' <= 9; i++ {
		n = n*10 + int64(m[i]-'0')
	}
	return n, m[i:], i > 0
}

// After returns what follows key in m. ok is false if m does not have it.
func After(m, key []byte) (rest []byte, ok bool) {
	at := bytes.Index(m, key)
	if at < 0 {
		return nil, false
	}
	return m[at+len(key):], true
}

// AppendPayload appends a payload with two numbers and a filler, as servers of ours write it.
func AppendPayload(dst []byte, ts, seq int64, filler []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"ts":`...), ts, 10)
	dst = strconv.AppendInt(append(dst, `,"seq":`...), seq, 10)
	return append(append(append(dst, `,"pad":"`...), filler...), `"}`...)
}
