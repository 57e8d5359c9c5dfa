//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/penstock-go/penstock/bench/internal/proc"
)

// child is the process of a server.
type child struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	addr string
}

// serveVariable makes this program, or its test, the server of that name.
const serveVariable = "PENSTOCK_SOCKETS_SERVE"

// startChild starts the server of a peer.
func startChild(ctx context.Context, p peer) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), serveVariable+"="+p.name)
	cmd.Stderr = os.Stderr
	// If this program is killed, so is the server.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	c := &child{cmd: cmd, in: in, out: bufio.NewReader(out)}
	line, err := c.out.ReadString('\n')
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("%s has not begun: %w", p.name, err)
	}
	c.addr = strings.TrimSpace(line)
	return c, nil
}

// call sends a command and waits for the reply.
func (c *child) call(command string) (r reply, err error) {
	if _, err = io.WriteString(c.in, command+"\n"); err != nil {
		return r, err
	}
	line, err := c.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err == nil && r.Error != "" {
		err = errors.New(r.Error)
	}
	if err != nil {
		err = fmt.Errorf("command %q: %w", command, err)
	}
	return r, err
}

// stop ends the process.
func (c *child) stop() {
	_ = c.in.Close()
	_ = c.cmd.Process.Kill() // nothing of it is needed any more
	_ = c.cmd.Wait()         // says that it was killed
}

// resident is the memory of the process, in bytes.
func (c *child) resident() (int64, error) {
	_, bytes, err := proc.Usage(c.cmd.Process.Pid)
	return bytes, err
}
