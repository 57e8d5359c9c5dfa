//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// server is the server under load, seen from outside.
type server struct {
	addr    string
	process *exec.Cmd // nil if it was there before
}

// stats is the response of /stats, as far as it matters here.
type stats struct {
	PID          int   `json:"pid"`
	Goroutines   int   `json:"goroutines"`
	Connections  int   `json:"connections"`
	Channels     int   `json:"channels"`
	QueuedFrames int64 `json:"queued_frames"`
	QueuedBytes  int64 `json:"queued_bytes"`
}

// posted is the response to the requests that make load.
type posted struct {
	Count     int64 `json:"count"`
	Receivers int64 `json:"receivers"`
	Micros    int64 `json:"us"`
}

func (s *server) call(ctx context.Context, method, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.addr+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %.100q", method, path, resp.Status, body)
	}
	return body, err
}

func (s *server) tokens(ctx context.Context, n int) ([]string, error) {
	body, err := s.call(ctx, http.MethodGet, fmt.Sprintf("/tokens?from=0&count=%d", n))
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	list := strings.Fields(string(body))
	if len(list) != n {
		return nil, fmt.Errorf("got %d tokens, want %d", len(list), n)
	}
	return list, nil
}

// stats asks for the server's own figures; with gc it gives the memory it does
// not use back to the system before.
func (s *server) stats(ctx context.Context, gc bool) (st stats, err error) {
	path := "/stats"
	if gc {
		path += "?gc=1"
	}
	body, err := s.call(ctx, http.MethodGet, path)
	if err == nil {
		err = json.Unmarshal(body, &st)
	}
	if err != nil {
		return st, fmt.Errorf("stats: %w", err)
	}
	return st, nil
}

// post asks for load and waits until the server has made it.
func (s *server) post(ctx context.Context, path string) (p posted, err error) {
	body, err := s.call(ctx, http.MethodPost, path)
	if err == nil {
		err = json.Unmarshal(body, &p)
	}
	return p, err
}

// buildServer compiles a channelserver into dir.
func buildServer(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "channelserver")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/penstock-go/penstock/bench/channelserver")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the server, which must be done inside the module: %w\n%s", err, out)
	}
	return binary, nil
}

// startServer starts a channelserver and waits until it listens.
func startServer(ctx context.Context, binary, addr string, args ...string) (*server, error) {
	cmd := exec.CommandContext(ctx, binary, append([]string{"-listen", addr}, args...)...)
	cmd.Stderr = os.Stderr
	// If this program is killed, so is the server.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the server: %w", err)
	}
	s := &server{addr: addr, process: cmd}
	for range 100 {
		st, err := s.stats(ctx, false)
		if err == nil && st.PID == cmd.Process.Pid {
			return s, nil
		}
		if err == nil {
			s.stop()
			return nil, fmt.Errorf("another server listens on %s already", addr)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.stop()
	return nil, fmt.Errorf("the server does not answer on %s", addr)
}

// stop ends a server that startServer has started.
func (s *server) stop() {
	http.DefaultClient.CloseIdleConnections()
	if s.process != nil {
		_ = s.process.Process.Kill() // nothing of it is needed any more
		_ = s.process.Wait()         // says that it was killed
	}
}
