package websocket_test

import (
	"net/http"
	"testing"
)

// TestDrainRefusesNewConnections: the others go on until Close.
func TestDrainRefusesNewConnections(t *testing.T) {
	bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
		f := begin(setup{channels: one("room:*", &app{})})
		p := f.connect("1")
		for range 2 { // it may be called again
			f.endpoint.Drain()
		}
		if _, resp, err := f.dial("vsn=2.0.0", nil); err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("a new connection: %v %v, want 503", resp, err)
		}
		p.join(1, "room:a")
		f.broadcast("room:a", 0, 1)
		p.expect(`[null,null,"room:a","e",{"n":0}]`)
	})
}
