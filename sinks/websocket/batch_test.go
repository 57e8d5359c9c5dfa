package websocket

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

// The pieces of a batch are what is left of it, in order, and small unless a frame is large.
func TestPiecesOfABatch(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		b := &batch{n: 1 + rnd.IntN(40)}
		for i := range b.n {
			size := 1 + rnd.IntN(3000)
			if rnd.IntN(20) == 0 {
				size = writeStep - 1 + rnd.IntN(3)
			}
			w := make([]byte, size)
			for k := range w {
				w[k] = byte(rnd.Uint32())
			}
			b.items[i] = &item{wire: w}
		}
		all := bytes.Clone(b.joined())
		sent := rnd.IntN(len(all))
		var got []byte
		for piece := range b.pieces(sent) {
			if len(piece) == 0 || len(piece) > writeStep+1 {
				t.Fatalf("a piece of %d bytes", len(piece))
			}
			got = append(got, piece...)
		}
		if !bytes.Equal(got, all[sent:]) {
			t.Fatalf("%d frames, %d bytes sent of %d: the pieces are %d other bytes", b.n, sent, len(all), len(got))
		}
		// What a client that waits is being sent holds the frame that has begun, and little else.
		until, left := b.until(sent), 0
		for _, it := range b.items[until:b.n] {
			left += len(it.wire)
		}
		if waits := len(all) - sent - left; waits <= 0 || until > 1 && waits > slowBatch.bytes && waits > len(b.items[until-1].wire) {
			t.Fatalf("%d bytes wait to be written", waits)
		}
		for range b.pieces(len(all)) {
			t.Fatal("a batch that is sent has pieces")
		}
	}
}
