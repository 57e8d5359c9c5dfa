//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/penstock-go/penstock/internal/ports"
)

// drain is what the program is given for its orderly end.
const drain = 10 * time.Second

// retention is how many MiB the embedded broker keeps: little, so that a soak
// measures what grows after it is full.
const retention = "16"

// process is the program under attack.
type process struct {
	cmd         *exec.Cmd
	address     string
	out, log    bytes.Buffer // complete once it has exited
	exited      chan struct{}
	most        atomic.Int64 // bytes resident at most
	killedAbove int64        // bytes
}

func build(ctx context.Context) (file string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "attack-")
	if err != nil {
		return "", nil, err
	}
	file = filepath.Join(dir, "pushpipeline")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", file, "./examples/pushpipeline")
	cmd.Stderr = os.Stderr
	return file, func() { _ = os.RemoveAll(dir) }, cmd.Run()
}

// launch is how the program is started.
type launch struct {
	file, source string
	debug        string // address of its debug pages, or off
}

// start runs the program and waits until it is ready. One that takes more memory
// than the limit is killed: it would take the machine's.
func start(ctx context.Context, how launch, limit int64) (*process, error) {
	key, err := secretFile()
	if err != nil {
		return nil, err
	}
	defer os.Remove(key) // read by then
	port, err := ports.Take(1)
	if err != nil {
		return nil, err
	}
	p := &process{address: port.Addr(0), exited: make(chan struct{}), killedAbove: limit}
	p.cmd = exec.Command(how.file, "-source", how.source, "-addr", p.address, "-debug-addr", how.debug, "-rate", "0", "-clients", "0", "-push-jwt-file", key, "-retention-mib", retention, "-token-age", "24h",
		"-json", "-drain", drain.String(), "-log-level", "warn")
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.log
	if err := p.cmd.Start(); err != nil {
		port.Close()
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // the state has the exit code
		port.Close()
		close(p.exited)
	}()
	go p.watch()
	for {
		select {
		case <-ctx.Done():
			p.kill()
			return nil, ctx.Err()
		case <-p.exited:
			return nil, fmt.Errorf("the program ended: %s", p.log.String())
		case <-time.After(50 * time.Millisecond):
		}
		if r, err := http.Get("http://" + p.address + "/readyz"); err == nil {
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return p, nil
			}
		}
	}
}

func (p *process) target() string { return p.address }

// watch notes the highest resident memory, which the kernel keeps.
func (p *process) watch() {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.exited:
			return
		case <-tick.C:
		}
		n, err := resident(p.cmd.Process.Pid)
		if err != nil {
			continue // it is about to be gone
		}
		p.most.Store(max(p.most.Load(), n))
		if n > p.killedAbove {
			p.kill()
		}
	}
}

// resident returns the most memory that a process has had, in bytes.
func resident(pid int) (int64, error) { return status(pid, "VmHWM:") }

// current returns the memory that a process has, in bytes.
func current(pid int) (int64, error) { return status(pid, "VmRSS:") }

// status reads a size from what the kernel says of a process.
func status(pid int, name string) (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("no " + name)
}

func (p *process) peak() int64 { return p.most.Load() }

func (p *process) kill() { _ = p.cmd.Process.Kill(); <-p.exited }

// end tells the program to end and waits, three times as long as it may take.
func (p *process) end() (took time.Duration, code int) {
	begun := time.Now()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may be gone
	select {
	case <-p.exited:
	case <-time.After(3 * drain):
		p.kill()
	}
	return time.Since(begun), p.cmd.ProcessState.ExitCode()
}

// account reports what is wrong with the program's own account of its pushes, or
// "".
func (p *process) account() string {
	var s struct {
		Enqueued, Delivered, Queued int64
		Discarded                   map[string]int64
	}
	if err := json.Unmarshal(p.out.Bytes(), &s); err != nil {
		return "no summary: " + lastLine(p.log.String())
	}
	sum := s.Delivered + s.Queued
	for _, n := range s.Discarded {
		sum += n
	}
	if sum != s.Enqueued {
		return fmt.Sprintf("%d enqueued, accounted for %d", s.Enqueued, sum)
	}
	return ""
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
