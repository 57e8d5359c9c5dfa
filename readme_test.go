// Package penstock_test checks what the front page says.
package penstock_test

import (
	"bytes"
	"context"
	"go/format"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/penstock-go/penstock/internal/ports"
)

// TestReadmeProgramRuns compiles and runs the program of the front page, joins
// the channel of its user, gets a push and ends it with an interrupt.
func TestReadmeProgramRuns(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "<!-- program -->\n```go\n")
	program, _, end := strings.Cut(rest, "```")
	if !ok || !end {
		t.Fatal("README.md has no program")
	}
	if pretty, err := format.Source([]byte(program)); err != nil || string(pretty) != program {
		t.Errorf("the program is not formatted as gofmt does (%v)", err)
	}
	addr := ports.For(t, 1).Addr(0)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, build(t, map[string]string{"readme": program}), "readme")
	cmd.Env = append(os.Environ(), "ADDR="+addr)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	frames := joinUser(ctx, t, "ws://"+addr+"/socket/websocket?vsn=2.0.0&user=42", 2)
	want := []string{`["1","1","user:42","phx_reply",{"response":{},"status":"ok"}]`, `[null,null,"user:42","push",{"text":"hello"}]`}
	if !slices.Equal(frames, want) {
		t.Errorf("got %q, want %q", frames, want)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	// By default the program says that it drains, and nothing else: nothing was lost.
	if err := cmd.Wait(); err != nil || strings.Count(out.String(), "\n") != 1 || !strings.HasSuffix(out.String(), "INFO draining timeout=30s\n") {
		t.Errorf("ended with %v and printed %q", err, &out)
	}
}

// TestReadmePipelineRuns compiles and runs the first program of the front page.
func TestReadmePipelineRuns(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "<!-- pipeline -->\n```go\n")
	program, _, end := strings.Cut(rest, "```")
	if !ok || !end {
		t.Fatal("README.md has no pipeline")
	}
	if pretty, err := format.Source([]byte(program)); err != nil || string(pretty) != program {
		t.Errorf("the program is not formatted as gofmt does (%v)", err)
	}
	if got := output(t, build(t, map[string]string{"first": program}), "first"); got != "store 1\nstore 2\nstore 4\nend <nil>\n" {
		t.Errorf("printed %q", got)
	}
}

// joinUser connects as soon as the server listens, joins user:42 and returns the
// first n frames.
func joinUser(ctx context.Context, t *testing.T, url string, n int) (frames []string) {
	t.Helper()
	conn, _, err := websocket.Dial(ctx, url, nil)
	for ; err != nil && ctx.Err() == nil; conn, _, err = websocket.Dial(ctx, url, nil) {
		<-time.After(10 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	if err := conn.Write(ctx, websocket.MessageText, []byte(`["1","1","user:42","phx_join",{}]`)); err != nil {
		t.Fatal(err)
	}
	for range n {
		_, frame, err := conn.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, string(frame))
	}
	return frames
}

// TestReadmeLinksAndSize looks for what the front page points at.
func TestReadmeLinksAndSize(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines > 260 {
		t.Errorf("README.md has %d lines: it is a front page", lines)
	}
	prose := regexp.MustCompile("(?s)```.*?```").ReplaceAll(text, nil)
	for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(string(prose), -1) {
		if strings.Contains(link[1], "://") {
			continue
		}
		if _, err := os.Stat(link[1]); err != nil {
			t.Errorf("README.md points at %s: %v", link[1], err)
		}
	}
}
