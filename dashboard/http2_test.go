package dashboard

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// TestStreamOverHTTP2: the stream outlives the WriteTimeout of a server that speaks HTTP/2, and
// the time for one write: HTTP/2 ends a stream when a deadline passes even if nothing is written.
func TestStreamOverHTTP2(t *testing.T) {
	t.Parallel()
	d := stage.Must(New(Config{Interval: 3500 * time.Millisecond, Logger: quiet}, Part{Kind: "count", Snapshot: func(ctx) any { return 1 }}))
	d.patience = 3 * time.Second // of a machine that is busy with other work, too
	server := httptest.NewUnstartedServer(d)
	server.EnableHTTP2 = true
	server.Config.WriteTimeout = 3 * time.Second
	server.StartTLS()
	defer server.Close()
	defer func() {
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	begun := time.Now()
	r, err := server.Client().Get(server.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.ProtoMajor != 2 || r.StatusCode != http.StatusOK {
		t.Fatal(r.Proto, r.Status)
	}
	lines := bufio.NewScanner(r.Body)
	for patches := 0; patches < 1; {
		if !lines.Scan() {
			t.Fatalf("the stream has ended after %v and %d patches: %v", time.Since(begun), patches, lines.Err())
		}
		if strings.HasPrefix(lines.Text(), "event: patch") {
			patches++
		}
	}
	if took := time.Since(begun); took < server.Config.WriteTimeout {
		t.Errorf("the stream was open for %v only", took)
	}
}
