//go:build linux

package main

import (
	"encoding/binary"
	"errors"
)

// Opcodes of frames (RFC 6455, 5.2).
const (
	opText  = 1
	opClose = 8
	opPing  = 9
)

// maxFrame bounds what a frame may announce: more is a broken stream.
const maxFrame = 16 << 20

var errFrame = errors.New("not a frame of a server")

// cut takes the first frame off p. The payload is a part of p. If p ends before the
// frame does, whole is false.
func cut(p []byte) (op byte, payload, rest []byte, whole bool, err error) {
	if len(p) < 2 {
		return 0, nil, p, false, nil
	}
	if p[0]&0xf0 != 0x80 || p[1]&0x80 != 0 {
		return 0, nil, p, false, errFrame // a fragment, reserved bits, or masked
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
	if size > maxFrame {
		return 0, nil, p, false, errFrame
	}
	end := head + int(size)
	if len(p) < end {
		return 0, nil, p, false, nil
	}
	return p[0] & 0x0f, p[head:end], p[end:], true, nil
}

// appendHead begins a text frame of n bytes. mask is 0x80 for a client, else 0.
func appendHead(dst []byte, n int, mask byte) []byte {
	dst = append(dst, 0x80|opText)
	switch {
	case n < 126:
		dst = append(dst, mask|byte(n))
	default: // no message of ours is longer than 64 KiB
		dst = append(dst, mask|126, byte(n>>8), byte(n))
	}
	if mask != 0 {
		dst = append(dst, 0, 0, 0, 0) // a mask of zero changes nothing
	}
	return dst
}

// masked is a text frame of a client.
func masked(message string) []byte {
	return append(appendHead(nil, len(message), 0x80), message...)
}
