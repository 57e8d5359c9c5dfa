package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/penstock-go/penstock/internal/ports"
	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/token"
)

// brokerProcess is a broker in a process of its own: it prints its address and
// ends when its standard input does. Its argument is a port.
func brokerProcess() int {
	cfg := embeddedkafka.Config{Options: []kfake.Opt{brokerConfigs}}
	if len(os.Args) > 1 {
		port, err := strconv.Atoi(os.Args[1])
		if err != nil {
			return 2
		}
		cfg.Options = append(cfg.Options, kfake.Ports(port))
	}
	broker, err := embeddedkafka.Start(cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer broker.Close()
	fmt.Println(broker.Addrs()[0])
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// child starts this test binary as what childVariable says. It ends with the
// test at the latest.
func child(t *testing.T, what string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), childVariable+"="+what)
	return cmd
}

func spawn(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// fileWith returns the path of a file with this content.
func fileWith(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// startBroker starts a broker in a process of its own, at a port if one is given.
func startBroker(t *testing.T, port ...string) (cmd *exec.Cmd, addr string) {
	t.Helper()
	cmd = child(t, "broker", port...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close() })
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	spawn(t, cmd)
	if addr, err = bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(addr)
}

// freePort returns a loopback address that the test has for a program.
func freePort(t *testing.T) string {
	t.Helper()
	return ports.For(t, 1).Addr(0)
}

// program is the pipeline in a process that can be killed.
type program struct {
	t    *testing.T
	args []string
	addr string
	cmd  *exec.Cmd
}

// start starts the process and returns when it is ready.
func (p *program) start() {
	p.t.Helper()
	p.cmd = child(p.t, "program", p.args...)
	p.cmd.Stderr = testLog{p.t}
	spawn(p.t, p.cmd)
	ctx := within(p.t, patience)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		resp, err := http.Get("http://" + p.addr + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			p.t.Fatalf("not ready: %v", err)
		}
	}
}

// kill ends the process as a crash does.
func (p *program) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	_ = p.cmd.Wait()
}

// follower is a client that comes back whenever it loses its connection, and
// notes what it gets.
type follower struct {
	user   string
	joined func() // called at each join; may be nil

	mu    sync.Mutex
	first []int // n of each push in the order of its first delivery
	seen  map[int]int
	all   chan struct{} // closed when as many are seen as are wanted
	want  int
}

func (f *follower) run(ctx context.Context, t *testing.T, addr, tok string) {
	for ctx.Err() == nil {
		s, err := join(ctx, t, addr, tok, f.user)
		if err != nil {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		if f.joined != nil {
			f.joined()
		}
		for {
			got, err := s.next(ctx)
			if err != nil {
				s.conn.CloseNow()
				break
			}
			f.note(got.Data.N)
		}
	}
}

func (f *follower) note(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen[n]++; f.seen[n] == 1 {
		f.first = append(f.first, n)
		if len(f.first) == f.want {
			close(f.all)
		}
	}
}

// distinct returns how many different pushes have come.
func (f *follower) distinct() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.first)
}

// TestKilledPipelineLosesNothing kills the process again and again while pushes
// come in. What got 202 must reach its user, who comes back after
// each restart, in order.
func TestKilledPipelineLosesNothing(t *testing.T) {
	t.Parallel() // it waits for other processes
	const (
		users  = 10
		pushes = 300 // for each
		kills  = 3
		secret = "a secret of more than twenty bytes"
	)
	_, brokerAddr := startBroker(t)
	p := &program{t: t, addr: freePort(t)}
	p.args = []string{
		"-brokers", brokerAddr, "-addr", p.addr, "-debug-addr", "off", "-secret-file", fileWith(t, secret),
		"-rate", "0", "-clients", "0", "-grace", "60s", "-member", "one",
		// Commits come often, so that a receipt which was given too early is
		// committed before the next kill.
		"-commit-interval", "10ms", "-log-level", "warn",
	}
	p.start()

	tokens, err := token.NewPhoenix(token.PhoenixConfig{SecretKeyBase: secret})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	followers := make([]*follower, users)
	var comeBack func()
	progress := make(chan int, users*pushes)
	for i := range followers {
		user := strconv.Itoa(i + 1)
		tok, err := tokens.Sign(tokenSalt, map[string]any{fieldUser: user, fieldEnds: time.Now().Add(time.Hour).UnixMilli()}, token.SignConfig{})
		if err != nil {
			t.Fatal(err)
		}
		f := &follower{user: user, seen: map[int]int{}, all: make(chan struct{}), want: pushes}
		followers[i] = f
		follow := func() { wg.Go(func() { f.run(ctx, t, p.addr, tok) }) }
		if i == 0 {
			// This one is away until the last restart, so that at every kill a
			// push of his is in a worker's hands and not at a client.
			comeBack = follow
		} else {
			follow()
		}
		wg.Go(func() {
			for n := 1; n <= pushes && ctx.Err() == nil; {
				if accepted(ctx, p.addr, user, n) {
					progress <- n
					n++
				}
			}
		})
	}
	taken := 0
	for k := range kills {
		for taken < (k+1)*users*pushes/(kills+1) {
			select {
			case <-progress:
				taken++
			case <-ctx.Done():
				t.Fatalf("only %d pushes were accepted", taken)
			}
		}
		p.kill()
		p.start()
	}
	comeBack()
	repeated := 0
	for _, f := range followers {
		select {
		case <-f.all:
		case <-ctx.Done():
		}
		f.mu.Lock()
		if len(f.first) != pushes {
			t.Errorf("user %s got %d of %d pushes", f.user, len(f.first), pushes)
		}
		for i := 1; i < len(f.first); i++ {
			if f.first[i] < f.first[i-1] {
				t.Errorf("user %s got push %d first after %d", f.user, f.first[i], f.first[i-1])
				break
			}
		}
		for _, times := range f.seen {
			repeated += times - 1
		}
		f.mu.Unlock()
	}
	t.Logf("%d pushes, %d kills: none lost, %d delivered more than once", users*pushes, kills, repeated)
}

// accepted posts push n and reports whether it got 202. A request that
// got no answer may have been taken in all the same: it is posted again then.
func accepted(ctx context.Context, addr, user string, n int) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	body := fmt.Sprintf(`{"user_id":%q,"data":{"n":%d}}`, user, n)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/push", strings.NewReader(body))
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		select {
		case <-time.After(20 * time.Millisecond): // the process is down
		case <-ctx.Done():
		}
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusAccepted
}

// TestSignalEndsInOrder sends SIGTERM under load.
func TestSignalEndsInOrder(t *testing.T) {
	p := &program{t: t, addr: freePort(t)}
	p.args = []string{"-source", "memory", "-addr", p.addr, "-debug-addr", "off", "-users", "20", "-rate", "2000", "-json", "-log-level", "warn"}
	p.cmd = child(t, "program", p.args...)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	ctx := within(t, patience)
	for status := 0; status != http.StatusOK; {
		if resp, err := http.Get("http://" + p.addr + "/readyz"); err == nil {
			status = resp.StatusCode
			resp.Body.Close()
		}
		if ctx.Err() != nil {
			t.Fatal("not ready")
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var sum summary
	if err := json.NewDecoder(out).Decode(&sum); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Errorf("it ended with %v", err)
	}
	if !sum.balanced() || sum.Queued != 0 || sum.Duplicates+sum.OutOfOrder+sum.WrongUser != 0 {
		t.Errorf("%+v", sum)
	}
	http.DefaultClient.CloseIdleConnections()
}
