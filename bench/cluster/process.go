//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/penstock-go/penstock/internal/ports"
)

// process is a child that ends with this program, whatever becomes of it.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	peak   atomic.Int64 // bytes resident at most
}

// launch starts a child. The goroutines that it needs end with it.
func launch(cmd *exec.Cmd) (*process, error) {
	// A group of its own: an interrupt at the terminal is not for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the state has the exit code
		close(p.exited)
	}()
	go p.watch()
	return p, nil
}

// watch notes the highest resident memory, which the kernel keeps.
func (p *process) watch() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		p.look()
		select {
		case <-p.exited:
			return
		case <-tick.C:
		}
	}
}

// look reads the highest resident memory now.
func (p *process) look() {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return // it is gone
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			if kib, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				p.peak.Store(max(p.peak.Load(), kib<<10))
			}
		}
	}
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) } // it may be gone

// kill ends it as a crash does.
func (p *process) kill() {
	p.look()
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// end tells it to end in order, and kills it if it has not after the limit.
func (p *process) end(limit time.Duration) {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(limit):
		p.kill()
	}
}

// kept are the ports of freePort, which has one caller at a time.
var kept []*ports.Range

// freePort returns a loopback address that this program has until it ends.
func freePort() (string, error) {
	r, err := ports.Take(1)
	if err != nil {
		return "", err
	}
	kept = append(kept, r)
	return r.Addr(0), nil
}

// awaitPort waits until a program listens at an address.
func awaitPort(p *process, address string, limit time.Duration) error {
	for begin := time.Now(); time.Since(begin) < limit; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			return c.Close()
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%s ended: %v", p.cmd.Path, p.cmd.ProcessState)
		default:
		}
	}
	return fmt.Errorf("nothing listens at %s", address)
}
