//go:build linux

package main

import (
	"bytes"
	"strconv"
)

// protocol is what differs between the servers for a client.
type protocol struct {
	path      string
	connect   func(topic string) []byte            // the first message
	accepted  func(c *client, message []byte) bool // handles what comes before the topic is joined; reports success
	heartbeat []byte                               // sent now and then; nil for none
	pong      []byte                               // the response to a message that is just "{}"
	echo      func(dst []byte, topic string, payload []byte) []byte
	lines     bool // a frame may hold several messages, one a line
}

// phoenix are the frames of Phoenix's channels, version 2.
var phoenix = protocol{
	path:    "/socket/websocket?vsn=2.0.0",
	connect: func(topic string) []byte { return masked(`["1","1","` + topic + `","phx_join",{}]`) },
	accepted: func(c *client, m []byte) bool {
		ok := bytes.Contains(m, []byte(`"status":"ok"`))
		if ok {
			c.state = joined
		}
		return ok
	},
	heartbeat: masked(`[null,"h","phoenix","heartbeat",{}]`),
	echo: func(dst []byte, topic string, payload []byte) []byte {
		dst = append(dst, `["1","2","`...)
		dst = append(dst, topic...)
		dst = append(dst, `","echo",`...)
		return append(append(dst, payload...), ']')
	},
}

// plain are the same frames for servers that close no silent connection.
var plain = func() protocol {
	p := phoenix
	p.heartbeat = nil
	return p
}()

// centrifugeJSON is the JSON protocol of Centrifuge.
var centrifugeJSON = protocol{
	path:    "/connection/websocket",
	connect: func(string) []byte { return masked(`{"id":1,"connect":{}}`) },
	accepted: func(c *client, m []byte) bool {
		switch {
		case bytes.HasPrefix(m, []byte(`{"id":1,"connect":`)):
			return c.send(masked(`{"id":2,"subscribe":{"channel":"`+c.topic+`"}}`)) == nil
		case bytes.HasPrefix(m, []byte(`{"id":2,"subscribe":`)):
			c.state = joined
			return true
		}
		return false
	},
	pong: masked(`{}`),
	echo: func(dst []byte, _ string, payload []byte) []byte {
		dst = append(dst, `{"id":3,"rpc":{"method":"echo","data":`...)
		return append(append(dst, payload...), '}', '}')
	},
	lines: true,
}

// appendPayload is the payload of every message.
func appendPayload(dst []byte, ts, seq int64) []byte {
	dst = strconv.AppendInt(append(dst, `{"ts":`...), ts, 10)
	dst = strconv.AppendInt(append(dst, `,"seq":`...), seq, 10)
	return append(append(append(dst, `,"pad":"`...), pad...), `"}`...)
}

// pad makes a payload as long as those of make channels-bench.
var pad = bytes.Repeat([]byte("x"), 200)

var (
	stampKey  = []byte(`"ts":`)
	numberKey = []byte(`,"seq":`)
	padKey    = []byte(`,"pad":"`)
)

// numbers reads the two numbers of a payload out of a message that has the name of the
// topic, in quotes, near its start; an echo need not have it.
func numbers(m, quoted []byte, echo bool) (ts, seq int64, ok bool) {
	at := bytes.Index(m, stampKey)
	if at < 0 || !echo && !bytes.Contains(m[:at], quoted) {
		return 0, 0, false
	}
	m = m[at+len(stampKey):]
	ts, m = number(m)
	if !bytes.HasPrefix(m, numberKey) {
		return 0, 0, false
	}
	seq, m = number(m[len(numberKey):])
	// The whole payload must be there.
	if !bytes.HasPrefix(m, padKey) || len(m) < len(padKey)+len(pad)+2 || m[len(padKey)+len(pad)] != '"' {
		return 0, 0, false
	}
	return ts, seq, true
}

// number cuts a decimal number off m.
func number(m []byte) (n int64, rest []byte) {
	i := 0
	for ; i < len(m) && m[i]-'0' <= 9; i++ {
		n = n*10 + int64(m[i]-'0')
	}
	return n, m[i:]
}
