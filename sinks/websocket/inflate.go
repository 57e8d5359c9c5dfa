package websocket

import (
	"compress/flate"
	"errors"
	"io"
	"math"
	"sync"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// errInflate: a compressed message is not in the format of RFC 1951.
var errInflate = &protocolError{ws.StatusInvalidFramePayloadData, "compressed message is malformed"}

// freeGrowth is how large a compressed message may become whatever its ratio: small
// messages can be very regular.
const freeGrowth = 4 << 10

// inflater decompresses one message at a time. It holds about 40 KiB.
type inflater struct {
	r  io.ReadCloser // a flate.Resetter
	in compressed
}

var inflaters = sync.Pool{New: func() any {
	f := &inflater{}
	f.r = flate.NewReader(&f.in)
	return f
}}

// compressed reads a compressed message, then what its sender has left out (RFC 7692,
// 7.2.2), and then an empty final block, so that the decompressor ends.
type compressed struct {
	data []byte
	read int // of data and tail together
}

const tail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

// ReadByte implements io.ByteReader. flate reads no byte too many then.
func (e *compressed) ReadByte() (byte, error) {
	e.read++
	switch at := e.read - 1 - len(e.data); {
	case at < 0:
		return e.data[e.read-1], nil
	case at < len(tail):
		return tail[at], nil
	}
	e.read--
	return 0, io.EOF
}

// Read implements io.Reader.
func (e *compressed) Read(p []byte) (int, error) {
	for n := range p {
		b, err := e.ReadByte()
		if err != nil {
			return n, err
		}
		p[n] = b
	}
	return len(p), nil
}

// inflate decompresses data into out, which must be empty. It returns errTooBig
// before out holds more than limit bytes and one more, and takes memory only for what
// has come out.
func inflate(out *[]byte, data []byte, limit int) error {
	f := inflaters.Get().(*inflater)
	defer inflaters.Put(f)
	f.in = compressed{data: data}
	defer func() { f.in = compressed{} }() // keeps no message alive
	if err := f.r.(flate.Resetter).Reset(&f.in, nil); err != nil {
		return errInflate
	}
	b := *out
	defer func() { *out = b }()
	for {
		if len(b) == cap(b) {
			b = append(b, make([]byte, min(max(cap(b), 1<<10), limit+1-len(b)))...)[:len(b)]
		}
		n, err := f.r.Read(b[len(b):min(cap(b), limit+1)])
		b = b[:len(b)+n]
		switch {
		case len(b) > limit:
			return errTooBig
		case errors.Is(err, io.EOF):
			// A final block of the sender's own may end the message, with an empty one
			// after it (RFC 7692, 7.2.3.4), and nothing else.
			if rest := len(data) - f.in.read; rest > 1 || rest == 1 && data[len(data)-1] != 0 {
				return errInflate
			}
			return nil
		case err != nil:
			return errInflate
		}
	}
}

// inflate replaces a message that came compressed. The caller recycles the buffer
// that it returns.
func (c *conn) inflate(in *[]byte, op ws.OpCode) (*[]byte, error) {
	limits := &c.mount.cfg.Limits
	// Division, since the product could overflow.
	limit := min(limits.MessageBytes, math.MaxInt-1)
	if ratio := c.format.deflate.cfg.MaxRatio; len(*in) < limit/ratio {
		limit = min(limit, max(freeGrowth, len(*in)*ratio))
	}
	out := buffer(min(4*len(*in), limit))
	err := inflate(out, *in, limit)
	recycle(in)
	// What came out is handled as what comes in, and is paid for as such.
	c.spend(limits.ByteRate, len(*out))
	if err == nil && op == ws.OpText && !utf8.Valid(*out) {
		err = errText
	}
	return out, err
}
