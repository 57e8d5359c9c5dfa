//go:build linux

package fleet

import (
	"encoding/binary"
	"errors"
)

// Opcodes of frames (RFC 6455, 5.2).
const (
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10
)

// maxFrame bounds what a frame may announce: more is a broken stream.
const maxFrame = 16 << 20

// ErrFrame ends a connection on which something else came than a frame of a server.
var ErrFrame = errors.New("not a frame of a server")

// cut takes the first frame off p. The payload is a part of p. If p ends before the frame does,
// whole is false.
func cut(p []byte) (op byte, payload, rest []byte, whole bool, err error) {
	if len(p) < 2 {
		return 0, nil, p, false, nil
	}
	if p[0]&0xf0 != 0x80 || p[1]&0x80 != 0 {
		return 0, nil, p, false, ErrFrame // a fragment, reserved bits, or masked
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
		return 0, nil, p, false, ErrFrame
	}
	end := head + int(size)
	if len(p) < end {
		return 0, nil, p, false, nil
	}
	return p[0] & 0x0f, p[head:end], p[end:], true, nil
}

// Masked returns a text frame of a client; the mask is zero, which changes nothing.
func Masked(message string) []byte { return appendMasked(nil, opText, []byte(message)) }

// appendMasked appends a frame of a client. No message of ours is longer than 64 KiB.
func appendMasked(b []byte, op byte, message []byte) []byte {
	b = append(b, 0x80|op)
	if n := len(message); n < 126 {
		b = append(b, 0x80|byte(n))
	} else {
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	}
	b = append(b, 0, 0, 0, 0)
	return append(b, message...)
}
