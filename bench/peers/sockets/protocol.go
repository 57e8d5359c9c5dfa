//go:build linux

package main

import (
	"bytes"
	"fmt"

	"github.com/penstock-go/penstock/bench/internal/fleet"
)

// protocol is how the clients speak with a server.
type protocol struct {
	path string
	fleet.Protocol
}

// phoenix are the frames of Phoenix's channels, version 2.
var phoenix = protocol{"/socket/websocket?vsn=2.0.0", fleet.Protocol{
	Join: fleet.JoinPhoenix,
	Message: func(c *fleet.Client, m []byte, now int64, t *fleet.Tally) error {
		switch {
		case delivered(c, m, now, t):
		case !c.Joined():
			if !bytes.Contains(m, []byte(`"status":"ok"`)) {
				return refused(m)
			}
			c.SetJoined()
		case bytes.Contains(m, []byte(`"phoenix"`)): // the reply to a heartbeat
		default:
			t.Stray()
		}
		return nil
	},
	Heartbeat: fleet.PhoenixHeartbeat,
	Echo: func(dst []byte, c *fleet.Client, ts, seq int64) []byte {
		return fleet.AppendPhoenixEcho(dst, c, func(dst []byte) []byte { return appendPayload(dst, ts, seq) })
	},
}}

// plain are the same frames for servers that close no silent connection.
var plain = func() protocol {
	p := phoenix
	p.Heartbeat = nil
	return p
}()

// centrifugeJSON is the JSON protocol of Centrifuge, of which a frame may hold several messages,
// one a line.
var centrifugeJSON = protocol{"/connection/websocket", fleet.Protocol{
	Join: func(*fleet.Client) []byte { return fleet.Masked(`{"id":1,"connect":{}}`) },
	Message: func(c *fleet.Client, m []byte, now int64, t *fleet.Tally) error {
		for more := true; more; {
			var one []byte
			one, m, more = bytes.Cut(m, []byte("\n"))
			if err := centrifugeMessage(c, one, now, t); err != nil {
				return err
			}
		}
		return nil
	},
	Echo: func(dst []byte, _ *fleet.Client, ts, seq int64) []byte {
		dst = append(dst, `{"id":3,"rpc":{"method":"echo","data":`...)
		return append(appendPayload(dst, ts, seq), '}', '}')
	},
}}

func centrifugeMessage(c *fleet.Client, m []byte, now int64, t *fleet.Tally) error {
	switch {
	case delivered(c, m, now, t):
	case len(m) == 2 && m[0] == '{': // a ping
		return c.Send(fleet.Masked(`{}`))
	case c.Joined():
		if len(m) > 0 {
			t.Stray()
		}
	case bytes.HasPrefix(m, []byte(`{"id":1,"connect":`)):
		return c.Send(fleet.Masked(`{"id":2,"subscribe":{"channel":"` + c.Topic + `"}}`))
	case bytes.HasPrefix(m, []byte(`{"id":2,"subscribe":`)):
		c.SetJoined()
	default:
		return refused(m)
	}
	return nil
}

func refused(m []byte) error { return fmt.Errorf("refused: %.200q", m) }

// delivered counts a message of the topic that c has joined, and reports whether it is one.
func delivered(c *fleet.Client, m []byte, now int64, t *fleet.Tally) bool {
	if !c.Joined() {
		return false
	}
	ts, seq, ok := numbers(m, c.Quoted, c.Echoing())
	if ok {
		t.Count(c, ts, seq, now)
	}
	return ok
}

// appendPayload is the payload of every message.
func appendPayload(dst []byte, ts, seq int64) []byte { return fleet.AppendPayload(dst, ts, seq, pad) }

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
	ts, m, _ = fleet.Number(m[at+len(stampKey):])
	if !bytes.HasPrefix(m, numberKey) {
		return 0, 0, false
	}
	seq, m, _ = fleet.Number(m[len(numberKey):])
	// The whole payload must be there.
	if !bytes.HasPrefix(m, padKey) || len(m) < len(padKey)+len(pad)+2 || m[len(padKey)+len(pad)] != '"' {
		return 0, 0, false
	}
	return ts, seq, true
}
