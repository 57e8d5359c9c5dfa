//go:build autobahn

package websocket

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// autobahnExceptions are the cases that end otherwise than the suite wishes, on
// purpose.
var autobahnExceptions = map[string]string{
	"6.1.2": "empty fragments that are not the last close the connection (row S10 of docs/security.md)",
	"6.1.3": "the same",
}

// TestAutobahn runs the fuzzing client of Autobahn's test suite against the
// frames of this package, behind an echo in place of channels. WSTEST is the
// path of its program wstest, which needs Python 2.7.
func TestAutobahn(t *testing.T) {
	wstest := cmp.Or(os.Getenv("WSTEST"), "wstest")
	const most = 1 << 40
	e, err := NewEndpoint(EndpointConfig{Limits: EndpointLimits{QueuedBytes: 1 << 30}})
	if err != nil {
		t.Fatal(err)
	}
	err = e.Mount("/echo", NewSocket(SocketConfig[struct{}]{}), MountConfig{
		Limits: Limits{MessageBytes: 64 << 20, Fragments: 1 << 20, FrameRate: most, ByteRate: most},
		Queue:  QueueConfig{Events: 1 << 20, Bytes: 256 << 20},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { echo(t, e.mounts[0], w, r) }))
	defer server.Close()
	dir := t.TempDir()
	spec, err := json.Marshal(map[string]any{
		"outdir":        dir,
		"servers":       []any{map[string]any{"agent": "penstock", "url": "ws" + server.URL[len("http"):]}},
		"cases":         []string{"*"},
		"exclude-cases": []string{"12.*", "13.*"}, // compression
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "spec.json")
	if err := os.WriteFile(file, spec, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), wstest, "-m", "fuzzingclient", "-s", file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Penstock map[string]struct{ Behavior, BehaviorClose string }
	}
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	tally := map[string]int{}
	for id, c := range report.Penstock {
		tally[c.Behavior]++
		good := c.Behavior == "OK" || c.Behavior == "INFORMATIONAL"
		if _, exception := autobahnExceptions[id]; (good && c.BehaviorClose != "FAILED") == exception {
			t.Errorf("case %s: %s, close %s", id, c.Behavior, c.BehaviorClose)
		}
	}
	t.Log(fmt.Sprint(len(report.Penstock), " cases: ", tally))
	if len(report.Penstock) < 300 {
		t.Errorf("%d cases", len(report.Penstock))
	}
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// echo takes a connection over as upgrade does, and sends back what comes.
func echo(t *testing.T, m *mount, w http.ResponseWriter, r *http.Request) {
	if bad := badHeader(r); bad != "" {
		refuse(w, http.StatusBadRequest, bad)
		return
	}
	nc, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	c := newConn(m, admission{format: m.endpoint.formats.of(codec.V2)})
	c.nc, c.raw = nc, rawConn(nc)
	c.out.writer = writerIdle
	c.alive()
	m.endpoint.work.add()
	_, _ = m.endpoint.registry.add(&c.session, peerAddress(r))
	go func() {
		defer c.leave()
		if err := writeUpgrade(nc, r.Header.Get("Sec-Websocket-Key"), "", "", time.Second); err != nil {
			return
		}
		for {
			buf, op, err := c.nextMessage()
			if err != nil {
				c.endRead(err)
				return
			}
			if buf == nil {
				continue
			}
			if !c.isClosing() {
				_ = c.enqueue(&item{wire: seal(append(newWire(len(*buf)), *buf...), op), control: true}) // refused if it closes
			}
			recycle(buf)
		}
	}()
}
