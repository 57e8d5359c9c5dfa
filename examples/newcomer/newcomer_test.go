// Package newcomer_test runs the programs that a newcomer would write first.
package newcomer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/ports"
	"github.com/penstock-go/penstock/producer/kafka"
	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
)

var binaries string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "newcomer")
	if err != nil {
		panic(err)
	}
	binaries = dir + string(filepath.Separator)
	if out, err := exec.Command("go", "build", "-o", binaries, "./api", "./counts", "./fanout", "./push").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v\n%s", err, out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// program is a run of one of the programs.
func program(t *testing.T, stdin, name string, args ...string) (cmd *exec.Cmd, out, log *bytes.Buffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	out, log = new(bytes.Buffer), new(bytes.Buffer)
	cmd = exec.CommandContext(ctx, binaries+name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), out, log
	return cmd, out, log
}

// run returns what a program has printed on its standard output.
func run(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	cmd, out, log := program(t, stdin, name, args...)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, out, log)
	}
	return out.String()
}

// TestLength: a whole file has at most 40 lines. The two with most imports, of a database and
// of Kafka with sockets, have more.
func TestLength(t *testing.T) {
	for name, most := range map[string]int{"api": 40, "counts": 40, "fanout": 40, "push": 50, "csvimport": 52} {
		text, err := os.ReadFile(filepath.Join(name, "main.go"))
		if err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(text, []byte("\n")); lines > most {
			t.Errorf("%s has %d lines, not %d", name, lines, most)
		}
	}
	if files, err := filepath.Glob("*/main.go"); err != nil || len(files) != 5 {
		t.Error(files, err)
	}
}

// The counts of the words are printed at the end, after a log of them each second.
func TestCounts(t *testing.T) {
	got := run(t, strings.Repeat("the quick brown fox\n", 1000)+strings.Repeat("jumps over the lazy dog\n", 500), "counts")
	const want = "map[brown:1000 dog:500 fox:1000 jumps:500 lazy:500 over:500 quick:1000 the:1500]\n"
	if got != want {
		t.Errorf("printed\n%s\nnot\n%s", got, want)
	}
}

// The store and the index get every line; the display, which would take ten seconds for
// all of them, delays neither and gets some.
func TestFanout(t *testing.T) {
	begin := time.Now()
	got := run(t, strings.Repeat("line\n", 1000), "fanout")
	var stored, indexed, shown int
	if _, err := fmt.Sscanf(got, "store %d index %d display %d\n", &stored, &indexed, &shown); err != nil {
		t.Fatalf("printed %q", got)
	}
	if stored != 1000 || indexed != 1000 || shown < 10 || shown > 500 || time.Since(begin) > 8*time.Second {
		t.Errorf("printed %q after %v", got, time.Since(begin))
	}
}

// api is a server with trouble: every tenth call fails, and one is told to wait.
type api struct {
	mu     sync.Mutex
	calls  int
	served []string
	first  time.Time
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.calls++; a.calls == 1 {
		a.first = time.Now()
	}
	switch {
	case a.calls == 25:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case a.calls%10 == 0:
		w.WriteHeader(http.StatusInternalServerError)
	default:
		a.served = append(a.served, string(body))
	}
}

// Each call is made until it succeeds, at the rate, and while both tenants have calls the
// one with the weight of 4 gets about four times as many.
func TestAPI(t *testing.T) {
	var lines []string
	for i := range 80 {
		lines = append(lines, fmt.Sprint("bronze ", i), fmt.Sprint("gold ", i))
	}
	a := &api{}
	server := httptest.NewServer(a)
	defer server.Close()
	run(t, strings.Join(lines, "\n"), "api", server.URL)
	gold := 0
	for _, line := range a.served[:75] {
		if strings.HasPrefix(line, "gold ") {
			gold++
		}
	}
	// 160 calls, 17 or so of them twice.
	if took := time.Since(a.first); took < 1500*time.Millisecond {
		t.Errorf("%d calls took %v", a.calls, took)
	}
	if gold < 45 || gold > 70 {
		t.Errorf("%d of the first 75 calls were of the heavy tenant", gold)
	}
	slices.Sort(lines)
	slices.Sort(a.served)
	if !slices.Equal(lines, a.served) {
		t.Errorf("served %q", a.served)
	}
}

// A push of Kafka reaches the channel of its user, and an interrupt ends the program when
// all are committed.
func TestPush(t *testing.T) {
	broker, err := embeddedkafka.Start(embeddedkafka.Config{Topics: map[string]int32{"pushes": 2}})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	addr := ports.For(t, 1).Addr(0)
	cmd, out, log := program(t, "", "push", broker.Addrs()[0], addr)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	conn := join(ctx, t, addr, "ann")
	writer, err := kafka.NewWriter(kafka.WriterConfig{Brokers: broker.Addrs(), Topic: "pushes"})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "two"} {
		if err := writer.Write(ctx, &kgo.Record{Key: []byte("ann"), Value: fmt.Appendf(nil, `{"text":%q}`, text)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(ctx); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`["1","1","user:ann","phx_reply",{"response":{},"status":"ok"}]`,
		`[null,null,"user:ann","push",{"text":"one"}]`,
		`[null,null,"user:ann","push",{"text":"two"}]`,
	} {
		if _, frame, err := conn.Read(ctx); err != nil || string(frame) != want {
			t.Fatalf("got %s, %v; want %s\n%s", frame, err, want, log)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s%s", err, out, log)
	}
	committed := int64(0)
	for _, c := range broker.Cluster.GroupInfo("push").Commits["pushes"] {
		committed += c.Offset
	}
	if committed != 2 {
		t.Errorf("%d records are committed\n%s", committed, log)
	}
}

// join connects a user's client as soon as the program listens, and joins its channel.
func join(ctx context.Context, t *testing.T, addr, user string) *websocket.Conn {
	t.Helper()
	url := "ws://" + addr + "/socket/websocket?vsn=2.0.0&user=" + user
	conn, _, err := websocket.Dial(ctx, url, nil)
	for ; err != nil && ctx.Err() == nil; conn, _, err = websocket.Dial(ctx, url, nil) {
		<-time.After(10 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	if err := conn.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `["1","1","user:%s","phx_join",{}]`, user)); err != nil {
		t.Fatal(err)
	}
	return conn
}
