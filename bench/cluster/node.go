//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// drain is what a node is given for its orderly end.
const drain = 10 * time.Second

// node is one place of the cluster, at which one process runs after the other. The
// goroutine of the run owns it.
type node struct {
	name    string
	addr    string // for clients
	args    []string
	program string
	log     *os.File

	running *process
	out     *bytes.Buffer // standard output of the process, complete once it has exited
	starts  int
	died    int // by itself
	peak    int64
}

// nodeConfig is what the nodes have in common.
type nodeConfig struct {
	program, dir   string
	brokers, topic string
	partitions     int
	secretFile     string
	grace          time.Duration
	session        time.Duration
	bufferMiB      int
	plane          *backplane
}

func newNode(i int, cfg nodeConfig) (*node, error) {
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	n := &node{name: "n" + strconv.Itoa(i+1), addr: addr, program: cfg.program}
	if n.log, err = os.Create(filepath.Join(cfg.dir, n.name+".log")); err != nil {
		return nil, err
	}
	n.args = append([]string{
		"-brokers", cfg.brokers, "-topic", cfg.topic, "-group", cfg.topic, "-partitions", strconv.Itoa(cfg.partitions), "-member", n.name,
		"-addr", addr, "-debug-addr", "off", "-push-addr", "off", "-secret-file", cfg.secretFile, "-token-age", "24h",
		"-max-per-address", "1000000", "-connect-rate", "1000000", "-rate", "0", "-clients", "0",
		"-grace", cfg.grace.String(), "-full-grace", "-session-timeout", cfg.session.String(), "-buffer-mib", strconv.Itoa(cfg.bufferMiB), "-drain", drain.String(), "-json", "-log-level", "warn",
	}, cfg.plane.flags(i)...)
	return n, nil
}

// start starts a process and waits until it is ready.
func (n *node) start(ctx context.Context) error {
	n.starts++
	n.out = new(bytes.Buffer)
	// Its name in the cluster is new each time: that of a dead process is taken for a while.
	cmd := exec.Command(n.program, append([]string{"-node", n.name + "-" + strconv.Itoa(n.starts)}, n.args...)...)
	cmd.Stdout, cmd.Stderr = n.out, n.log
	fmt.Fprintf(n.log, "== start %d\n", n.starts)
	var err error
	if n.running, err = launch(cmd); err != nil {
		return err
	}
	for begin := time.Now(); time.Since(begin) < 30*time.Second; {
		if n.ready() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-n.running.exited:
			return fmt.Errorf("%s ended with %v, see its log", n.name, n.running.cmd.ProcessState)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s is not ready within 30 s", n.name)
}

var asking = &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func (n *node) ready() bool {
	r, err := asking.Get("http://" + n.addr + "/readyz")
	if err != nil {
		return false
	}
	_ = r.Body.Close()
	return r.StatusCode == http.StatusOK
}

// stats returns what the process says of itself.
func (n *node) stats() string {
	r, err := asking.Get("http://" + n.addr + "/api/stats")
	if err != nil {
		return err.Error()
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// gone counts a process that has ended by itself, and reports whether it has.
func (n *node) gone() bool {
	select {
	case <-n.running.exited:
		n.died++
		return true
	default:
		return false
	}
}

func (n *node) kill() {
	n.running.kill()
	n.peak = max(n.peak, n.running.peak.Load())
}

func (n *node) signal(s syscall.Signal) { n.running.signal(s) }

// finish ends the process in order and reads its account.
func (n *node) finish() end {
	begun := time.Now()
	n.running.look()
	n.running.end(3 * drain)
	n.peak = max(n.peak, n.running.peak.Load())
	e := end{Node: n.name, Starts: n.starts, Died: n.died, Exit: n.running.cmd.ProcessState.ExitCode(), Peak: n.peak, Took: time.Since(begun).Seconds()}
	e.Discards, e.Problem = accountOf(n.out.Bytes())
	return e
}

// close frees what is left of it.
func (n *node) close() {
	if n.running != nil {
		n.running.kill()
	}
	_ = n.log.Close()
}

// accountOf reads a node's summary: what it has discarded, and what is wrong with its
// account of its pushes, or "".
func accountOf(summary []byte) (discarded int64, problem string) {
	var s struct {
		Enqueued, Delivered, Queued int64
		Discarded                   map[string]int64
	}
	if err := json.Unmarshal(summary, &s); err != nil {
		return 0, "no summary"
	}
	for _, n := range s.Discarded {
		discarded += n
	}
	if sum := s.Delivered + s.Queued + discarded; sum != s.Enqueued {
		problem = fmt.Sprintf("%d enqueued, accounted for %d", s.Enqueued, sum)
	}
	return discarded, problem
}
