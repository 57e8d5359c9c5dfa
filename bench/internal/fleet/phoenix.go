//go:build linux

package fleet

import (
	"bytes"
	"fmt"
)

var (
	broadcastHead = []byte(`[null,null,"`)
	stampKey      = []byte(`"ts":`)
	numberKey     = []byte(`"seq":`)
	replyEvent    = []byte(`"phx_reply"`)
	statusOK      = []byte(`"status":"ok"`)
)

// JoinPhoenix returns the frame that joins the client's topic.
func JoinPhoenix(c *Client) []byte { return Masked(`["1","1","` + c.Topic + `","phx_join",{}]`) }

// PhoenixHeartbeat is the frame of a heartbeat.
var PhoenixHeartbeat = Masked(`[null,"h","phoenix","heartbeat",{}]`)

// AppendPhoenixEcho appends a message of the event "echo" to the client's topic.
func AppendPhoenixEcho(dst []byte, c *Client, payload func(dst []byte) []byte) []byte {
	dst = append(dst, `["1","2","`...)
	dst = append(append(dst, c.Topic...), `","echo",`...)
	return append(payload(dst), ']')
}

// Phoenix is Phoenix's channels, version 2. A broadcast has the numbers "ts" and "seq" anywhere in
// its payload; an echo has a filler of so many bytes.
func Phoenix(filler int) Protocol {
	pad := bytes.Repeat([]byte("x"), filler)
	return Protocol{
		Join:      JoinPhoenix,
		Message:   phoenixMessage,
		Heartbeat: PhoenixHeartbeat,
		Echo: func(dst []byte, c *Client, ts, seq int64) []byte {
			return AppendPhoenixEcho(dst, c, func(dst []byte) []byte { return AppendPayload(dst, ts, seq, pad) })
		},
	}
}

func phoenixMessage(c *Client, m []byte, now int64, t *Tally) error {
	if c.Joined() {
		if ts, seq, ok := delivery(m, c.Topic); ok {
			t.Count(c, ts, seq, now)
			return nil
		}
	}
	if !bytes.Contains(m, replyEvent) {
		t.Stray()
		return nil
	}
	if c.Joined() {
		if ts, seq, ok := numbers(m); ok { // an echo, and not the reply to a heartbeat
			t.Count(c, ts, seq, now)
			return nil
		}
	}
	if !bytes.Contains(m, statusOK) {
		return fmt.Errorf("refused: %.100q", m)
	}
	c.SetJoined() // or the reply to a heartbeat
	return nil
}

// delivery reads the two numbers out of a broadcast on topic. ok is false for every other
// message.
func delivery(m []byte, topic string) (ts, seq int64, ok bool) {
	start := len(broadcastHead)
	end := start + len(topic)
	if len(m) <= end || !bytes.Equal(m[:start], broadcastHead) || string(m[start:end]) != topic || m[end] != '"' {
		return 0, 0, false
	}
	return numbers(m[end:])
}

// numbers reads the time and the number out of a message. They may stand in any order: Phoenix
// sorts the fields.
func numbers(m []byte) (ts, seq int64, ok bool) {
	rest, found := After(m, stampKey)
	if !found {
		return 0, 0, false
	}
	if ts, rest, ok = Number(rest); !ok {
		return 0, 0, false
	}
	if len(rest) == 0 || rest[0] != ',' || !bytes.HasPrefix(rest[1:], numberKey) { // the order in which our server writes them
		rest = m
	}
	if rest, found = After(rest, numberKey); !found {
		return ts, 0, false
	}
	seq, _, ok = Number(rest)
	return ts, seq, ok
}
