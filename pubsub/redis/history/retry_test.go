package history_test

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/penstock-go/penstock/pubsub"
)

// lossy is a connection that loses one reply of the server and ends, when it is told to.
type lossy struct {
	net.Conn
	lose *atomic.Bool
}

func (c lossy) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.lose.CompareAndSwap(true, false) {
		_ = c.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}

// TestAMessageWhoseReplyIsLostIsStoredOnce, and more than one batch of them is read.
func TestAMessageWhoseReplyIsLostIsStoredOnce(t *testing.T) {
	cfg := config(t)
	var lose atomic.Bool
	cfg.Options.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return lossy{c, &lose}, err
	}
	h := open(t, cfg)
	first := kept(t, h) // the server has the script
	const count = 200
	for i := range count {
		lose.Store(i%50 == 0)
		if at := kept(t, h); at != (pubsub.Position{Epoch: first.Epoch, Offset: first.Offset + uint64(i) + 1}) {
			t.Errorf("message %d at %+v", i, at)
		}
	}
	records, _, err := h.Since(t.Context(), "kept:a", first)
	if err != nil || len(records) != count || records[count-1].Offset != count+1 {
		t.Errorf("%d records, %v", len(records), err)
	}
	if s := h.Snapshot(); s.Retried != count/50 || s.Appended != count+1 || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}
