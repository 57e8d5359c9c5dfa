package websocket

import (
	"bytes"
	"compress/flate"

	"github.com/gobwas/ws"

	"github.com/penstock-go/penstock/metrics"
)

// deflater compresses messages to the clients of one mount.
type deflater struct {
	cfg  CompressionConfig
	slot chan *flate.Writer // as many as there may be compressors; nil for one that was never used
	busy metrics.Counter    // messages that found no compressor
}

// newDeflater returns a deflater without compressors: each is made at its first use.
func newDeflater(cfg CompressionConfig, busy metrics.Counter) *deflater {
	d := &deflater{cfg: cfg, slot: make(chan *flate.Writer, cfg.Compressors), busy: busy}
	for range cfg.Compressors {
		d.slot <- nil
	}
	return d
}

// flushed ends what Flush has written, and is left out (RFC 7692, 7.2.1).
var flushed = []byte{0, 0, 0xff, 0xff}

// rsv1 marks a compressed message, in the first byte of its frame.
const rsv1 = 0x40

// seal returns the frame of a message that follows the headroom in b, compressed if
// that makes it shorter. It waits for nothing.
func (d *deflater) seal(b []byte, op ws.OpCode) wire {
	message := b[headroom:]
	if len(message) < d.cfg.MinBytes {
		return seal(b, op)
	}
	var w *flate.Writer
	select {
	case w = <-d.slot:
	default:
		d.busy.Add(1)
		return seal(b, op)
	}
	out := appender{newWire(len(message)/2 + len(flushed))}
	if w == nil {
		w, _ = flate.NewWriter(&out, d.cfg.Level) // the level was checked
	} else {
		w.Reset(&out)
	}
	// Neither fails, since writing to out does not.
	_, _ = w.Write(message)
	_ = w.Flush()
	w.Reset(nil) // so that it keeps no message alive
	d.slot <- w
	short := bytes.TrimSuffix(out.b, flushed)
	if len(short) >= headroom+len(message) {
		return seal(b, op)
	}
	frame := seal(short, op)
	frame[0] |= rsv1
	return frame
}

// appender is a slice as a writer.
type appender struct{ b []byte }

// Write implements io.Writer.
func (s *appender) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}
