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
	"sync"
	"syscall"
	"time"
)

// process is a child of this program, seen from here.
type process struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

// startProcess starts this program in a role.
func startProcess(name, role string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{name: name, cmd: exec.Command(self, "-child", role)}
	p.cmd.Stderr = os.Stderr
	// Children end with this program, also when it is killed.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	return p, p.cmd.Start()
}

// close ends the process, and kills it if it does not end.
func (p *process) close() error {
	_ = p.in.Close() // the process may be gone
	kill := time.AfterFunc(15*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// call asks a process for something and waits for the reply, until ctx is done: then
// the process is killed.
func call[R any](ctx context.Context, p *process, do string, args any) (r R, err error) {
	stop := context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })
	defer stop()
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %s: %w", p.name, do, errors.Join(ctx.Err(), err))
		}
	}()
	q := request{Do: do}
	if q.Args, err = json.Marshal(args); err != nil {
		return r, err
	}
	if err := json.NewEncoder(p.in).Encode(q); err != nil {
		return r, err
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return r, err
	}
	var a reply
	if err := json.Unmarshal(line, &a); err != nil {
		return r, err
	}
	if a.Error != "" {
		return r, errors.New(a.Error)
	}
	return r, json.Unmarshal(a.Result, &r)
}

// callEach asks several processes for something at the same time. args is called with
// the number of each process.
func callEach[R any](ctx context.Context, all []*process, do string, args func(k int) any) ([]R, error) {
	results, errs := make([]R, len(all)), make([]error, len(all))
	var group sync.WaitGroup
	for k, p := range all {
		group.Go(func() { results[k], errs[k] = call[R](ctx, p, do, args(k)) })
	}
	group.Wait()
	return results, errors.Join(errs...)
}

// same gives all processes the same arguments.
func same(args any) func(int) any { return func(int) any { return args } }
