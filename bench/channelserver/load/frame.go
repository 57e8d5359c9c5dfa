//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// The opcodes a server of ours sends.
const (
	opText   = 1
	opBinary = 2
	opClose  = 8
)

// maxMessage bounds what a frame may announce: more is a broken stream.
const maxMessage = 16 << 20

var errFrame = errors.New("not a frame of a server")

// cut takes the first frame off p. The payload is a part of p. If p ends before
// the frame does, whole is false.
func cut(p []byte) (op byte, payload, rest []byte, whole bool, err error) {
	if len(p) < 2 {
		return 0, nil, p, false, nil
	}
	if p[0]&0x70 != 0 || p[1]&0x80 != 0 {
		return 0, nil, p, false, errFrame // reserved bits, or masked
	}
	head, size := 2, uint64(p[1])
	switch size {
	case 126:
		if head = 4; len(p) < head {
			return 0, nil, p, false, nil
		}
		size = uint64(binary.BigEndian.Uint16(p[2:]))
	case 127:
		if head = 10; len(p) < head {
			return 0, nil, p, false, nil
		}
		size = binary.BigEndian.Uint64(p[2:])
	}
	if size > maxMessage {
		return 0, nil, p, false, errFrame
	}
	end := head + int(size)
	if len(p) < end {
		return 0, nil, p, false, nil
	}
	return p[0] & 0x0f, p[head:end], p[end:], true, nil
}

var (
	broadcastHead = []byte(`[null,null,"`)
	stampKey      = []byte(`"ts":`)
	numberKey     = []byte(`"seq":`)
)

// delivery reads the two numbers out of a broadcast on topic. ok is false for
// every other message.
func delivery(m []byte, topic string) (ts, seq int64, ok bool) {
	start := len(broadcastHead)
	end := start + len(topic)
	if len(m) <= end || !bytes.Equal(m[:start], broadcastHead) || string(m[start:end]) != topic || m[end] != '"' {
		return 0, 0, false
	}
	m = m[end:]
	ts, after, ok := number(m, stampKey)
	if !ok {
		return 0, 0, false
	}
	if next := m[after:]; len(next) > 0 && next[0] == ',' && bytes.HasPrefix(next[1:], numberKey) {
		seq, _, ok = number(next, numberKey) // the order in which our server writes them
	} else {
		seq, _, ok = number(m, numberKey)
	}
	return ts, seq, ok
}

// number reads the decimal number that follows key, and where it ends.
func number(m, key []byte) (n int64, end int, ok bool) {
	at := bytes.Index(m, key)
	if at < 0 {
		return 0, 0, false
	}
	start := at + len(key)
	for end = start; end < len(m) && m[end]-'0' <= 9; end++ {
		n = n*10 + int64(m[end]-'0')
	}
	return n, end, end > start
}

// masked is a text frame of a client; the mask is zero, which changes nothing.
func masked(message string) []byte { return appendMasked(nil, []byte(message)) }

// appendMasked appends such a frame.
func appendMasked(b, message []byte) []byte {
	b = append(b, 0x80|opText)
	if n := len(message); n < 126 {
		b = append(b, 0x80|byte(n))
	} else {
		b = append(b, 0x80|126, byte(n>>8), byte(n)) // no message of ours is longer
	}
	b = append(b, 0, 0, 0, 0)
	return append(b, message...)
}
