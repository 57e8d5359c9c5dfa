package websocket

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// deadlines counts the deadlines that are set for reading.
type deadlines struct {
	http.ResponseWriter
	n int
}

func (d *deadlines) SetReadDeadline(time.Time) error { d.n++; return nil }

// TestBodyReadAfterItsHandler: the goroutine of a proxy may read on when the handler has
// returned. It must not set deadlines for the next request of the connection.
func TestBodyReadAfterItsHandler(t *testing.T) {
	w := &deadlines{ResponseWriter: httptest.NewRecorder()}
	g := &gate{cfg: ServerConfig{}.withDefaults()}
	from := strings.NewReader("abc")
	body := &gateBody{out: &gateWriter{g: g, w: w, rc: http.NewResponseController(w)}, from: from, under: io.NopCloser(from)}
	one := make([]byte, 1)
	for range 2 {
		if n, err := body.Read(one); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if w.n != 2 {
		t.Errorf("%d deadlines for 2 reads", w.n)
	}
	body.release()
	_, _ = io.ReadAll(body)
	if w.n != 2 {
		t.Errorf("%d deadlines after the handler has returned", w.n-2)
	}
}
