package websocket

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gobwas/ws"
)

// tally counts.
type tally struct{ n atomic.Int64 }

func (c *tally) Add(n int64) { c.n.Add(n) }

// TestBusyCompressorsDelayNothing: without a free compressor a message is sent as it
// is, and that is counted.
func TestBusyCompressorsDelayNothing(t *testing.T) {
	busy := &tally{}
	d := newDeflater(CompressionConfig{Compressors: 1}.withDefaults(), busy)
	frame := func() wire { return d.seal(append(newWire(1000), strings.Repeat("x", 1000)...), ws.OpText) }
	if w := frame(); w[0] != 0x80|rsv1|byte(ws.OpText) || len(w) > 100 || busy.n.Load() != 0 {
		t.Errorf("%x, %d bytes, %d busy", w[0], len(w), busy.n.Load())
	}
	used := <-d.slot // as another goroutine does
	if used == nil {
		t.Error("the compressor was not kept")
	}
	if w := frame(); w[0] != 0x80|byte(ws.OpText) || len(w) < 1000 || busy.n.Load() != 1 {
		t.Errorf("%x, %d bytes, %d busy", w[0], len(w), busy.n.Load())
	}
	d.slot <- used
	if w := frame(); w[0]&rsv1 == 0 {
		t.Error("not compressed again")
	}
}

// FuzzInflate: whatever comes, no more than the limit comes out, in memory that
// follows it; and what the deflater makes becomes the same again.
func FuzzInflate(f *testing.F) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		f.Fatal(err)
	}
	_, _ = w.Write(bytes.Repeat([]byte("A"), 100_000))
	_ = w.Flush()
	f.Add(b.Bytes())
	f.Add([]byte{0})
	f.Add([]byte("\x03\x00"))
	f.Add([]byte("\xff\xff\xff\xff"))
	d := newDeflater(CompressionConfig{MinBytes: 1}.withDefaults(), &tally{})
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 10_000
		var out []byte
		err := inflate(&out, in, limit)
		switch {
		case len(out) > limit+1, cap(out) > 2*limit:
			t.Fatalf("%d bytes in %d", len(out), cap(out))
		case err == nil && len(out) > limit, err != nil && !errors.Is(err, errTooBig) && !errors.Is(err, errInflate):
			t.Fatalf("%d bytes, %v", len(out), err)
		}
		// The library's own reader agrees on what can be read.
		plain, _ := io.ReadAll(io.LimitReader(flate.NewReader(io.MultiReader(bytes.NewReader(in), strings.NewReader(tail))), limit+1))
		if err == nil && !bytes.Equal(plain, out) {
			t.Fatalf("%q, want %q", out, plain)
		}
		frame := d.seal(append(newWire(len(in)), in...), ws.OpBinary)
		message, _ := body(frame)
		if frame[0]&rsv1 == 0 {
			return
		}
		var again []byte
		if err := inflate(&again, message, len(in)); err != nil || !bytes.Equal(again, in) {
			t.Fatalf("%q became %q, %v", in, again, err)
		}
	})
}

// FuzzExtensions: no header makes the parser fail, and what is accepted is one of two
// responses.
func FuzzExtensions(f *testing.F) {
	for _, s := range []string{"permessage-deflate", `permessage-deflate; client_max_window_bits="15", x; y=z`, `a;b="`, ";,=", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for _, e := range parseExtensions([]string{line}) {
			if got, ok := acceptDeflate(e); ok && got != deflateResponse && got != deflateResponse+"; server_max_window_bits=15" {
				t.Fatalf("%q: %q", line, got)
			}
		}
	})
}
