package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is a program in a process of its own whose summary a test reads.
type process struct {
	*program
	out bytes.Buffer // its standard output
	log lines        // its standard error
}

// launch starts the program with a broker of the test's.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	p := &process{program: &program{t: t, addr: freePort(t)}}
	p.args = append([]string{"-addr", p.addr, "-debug-addr", "off", "-json", "-log-level", "warn"}, args...)
	p.cmd = child(t, "program", p.args...)
	p.cmd.Stdout = &p.out
	p.cmd.Stderr = io.MultiWriter(testLog{t}, &p.log)
	spawn(t, p.cmd)
	return p
}

// readyz returns the status of GET /readyz, 0 if there is no response, and the body.
func (p *process) readyz() (int, string) {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + p.addr + "/readyz")
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// eventually waits until ok, for a process outside of this one.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		if time.Since(begin) > limit {
			t.Fatalf("%s: not within %v", what, limit)
		}
		<-ticker.C
	}
	return time.Since(begin)
}

// soon is far less than the 25 seconds that an orderly end may take, and long enough for a machine
// that does other things.
const soon = 10 * time.Second

// wait waits until the program is ready.
func (p *process) wait() {
	p.t.Helper()
	eventually(p.t, patience, "ready", func() bool { status, _ := p.readyz(); return status == http.StatusOK })
}

// finish sends SIGTERM and returns the summary of an orderly end, and its duration.
func (p *process) finish() (summary, time.Duration) {
	p.t.Helper()
	begin := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("it ended with %v", err)
	}
	var sum summary
	if err := json.Unmarshal(p.out.Bytes(), &sum); err != nil {
		p.t.Fatalf("%v: %s", err, p.out.String())
	}
	if !sum.balanced() {
		p.t.Errorf("it does not add up: %+v", sum)
	}
	return sum, time.Since(begin)
}

// status returns what GET /api/stats reports.
func (p *process) status() (s status) {
	p.t.Helper()
	resp, err := http.Get("http://" + p.addr + "/api/stats")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// TestAccountAfterAStall stops the process for longer than its session lasts: its
// partitions are taken from it, and it gets them back.
func TestAccountAfterAStall(t *testing.T) {
	t.Parallel() // it waits for other processes
	_, broker := startBroker(t)
	p := launch(t, "-brokers", broker, "-session-timeout", "1s", "-users", "20", "-rate", "300")
	p.wait()
	before := p.status().Accepted
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	<-time.After(3 * time.Second)
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "pushes after the stall", func() bool { return p.status().Accepted > before+900 })
	sum, _ := p.finish()
	t.Logf("%+v", sum)
	if sum.Enqueued < sum.Accepted || sum.Queued != 0 || sum.Backlog != 0 || sum.Discarded["no_subscriber"] != 0 {
		t.Errorf("%+v", sum)
	}
}

// TestTwoProgramsInAGroup: what the other one reads is in neither account twice, nor
// left.
func TestTwoProgramsInAGroup(t *testing.T) {
	t.Parallel() // it waits for other processes
	_, broker := startBroker(t)
	args := []string{"-brokers", broker, "-session-timeout", "1500ms", "-users", "20", "-rate", "500", "-grace", "0"}
	one, two := launch(t, args...), launch(t, args...)
	one.wait()
	two.wait()
	<-time.After(2 * time.Second)
	a, _ := one.finish()
	// The other one takes over its partitions.
	eventually(t, patience, "what the first one has left is read", func() bool {
		s := two.status()
		return s.Enqueued+a.Enqueued >= s.Accepted+a.Accepted
	})
	b, _ := two.finish()
	t.Logf("%+v\n%+v", a, b)
	if a.Queued != 0 || b.Queued != 0 || b.Backlog != 0 {
		t.Error("something is left")
	}
	if accepted, taken := a.Accepted+b.Accepted, a.Enqueued+b.Enqueued; taken < accepted || taken > accepted+500 {
		t.Errorf("%d accepted, %d taken in", accepted, taken)
	}
}

// TestBrokerComesLater: the program is alive without a broker, says so, can be ended,
// and is ready when the broker comes.
func TestBrokerComesLater(t *testing.T) {
	t.Parallel() // it waits for other processes
	broker := freePort(t)
	_, port, _ := net.SplitHostPort(broker)
	p := launch(t, "-brokers", broker, "-rate", "0", "-clients", "1", "-users", "1")
	eventually(t, patience, "a reason", func() bool {
		status, body := p.readyz()
		return status == http.StatusServiceUnavailable && strings.Contains(body, "broker does not respond")
	})
	resp, err := http.Get("http://" + p.addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("it is not alive: %d", resp.StatusCode)
	}
	if status, body := post(t, "http://"+p.addr+"/push", `{"user_id":"1","data":{}}`); status != http.StatusServiceUnavailable {
		t.Errorf("push: %d %s", status, body)
	}
	ended := launch(t, "-brokers", broker)
	eventually(t, patience, "a response", func() bool { status, _ := ended.readyz(); return status != 0 })
	if _, took := ended.finish(); took > soon {
		t.Errorf("the end took %v", took)
	}
	startBroker(t, port)
	p.wait()
	if status, body := post(t, "http://"+p.addr+"/push", `{"user_id":"1","data":{}}`); status != http.StatusAccepted {
		t.Errorf("push: %d %s", status, body)
	}
	if sum, _ := p.finish(); sum.Delivered != 1 {
		t.Errorf("%+v", sum)
	}
}

// TestNoBrokerIsSaid: with an address at which nothing listens, the program starts, names the
// reason in its log, is not ready, and ends in order.
func TestNoBrokerIsSaid(t *testing.T) {
	t.Parallel() // it waits for other processes
	p := launch(t, "-brokers", "127.0.0.1:1")
	took := eventually(t, patience, "the reason in the log", func() bool { return p.log.count("connection refused") > 0 })
	t.Logf("in the log after %v", took)
	status := 0
	var body string
	eventually(t, patience, "a response", func() bool { status, body = p.readyz(); return status != 0 })
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "broker does not respond") {
		t.Errorf("%d %s", status, body)
	}
	if _, took := p.finish(); took > soon {
		t.Errorf("the end took %v", took)
	}
}

// TestFrozenBroker: a broker that no longer responds is noticed within seconds, and
// no caller waits long.
func TestFrozenBroker(t *testing.T) {
	t.Parallel() // it waits for other processes
	broker, addr := startBroker(t)
	p := launch(t, "-brokers", addr, "-rate", "0", "-clients", "1", "-users", "1")
	p.wait()
	if err := broker.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if status, body := post(t, "http://"+p.addr+"/push", `{"user_id":"1","data":{}}`); status != http.StatusServiceUnavailable || time.Since(begin) > 2*confirmTimeout {
		t.Errorf("push: %d %s after %v", status, body, time.Since(begin))
	}
	noticed := eventually(t, patience, "not ready", func() bool { status, _ := p.readyz(); return status == http.StatusServiceUnavailable })
	t.Logf("not ready %v after the first push", noticed)
	begin = time.Now()
	if status, body := post(t, "http://"+p.addr+"/push", `{"user_id":"1","data":{}}`); status != http.StatusServiceUnavailable || time.Since(begin) > confirmTimeout*4/5 {
		t.Errorf("second push: %d %s after %v", status, body, time.Since(begin))
	}
	if err := broker.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	p.wait()
	p.finish()
}

// TestOpenRequestsDoNotSpoilTheEnd: neither a body that is never finished, nor an idle
// connection, nor a client that takes nothing turns an orderly end into a failure.
func TestOpenRequestsDoNotSpoilTheEnd(t *testing.T) {
	t.Parallel()
	p := launch(t, "-source", "memory", "-rate", "100", "-users", "2")
	p.wait()
	for _, request := range []string{
		"",
		"POST /push HTTP/1.1\r\nHost: " + p.addr + "\r\nContent-Length: 100\r\n\r\n{",
		"GET /api/nap?ms=1000 HTTP/1.1\r\nHost: " + p.addr + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + p.addr + "\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
	}
	sum, took := p.finish()
	if took > soon || sum.Queued != 0 {
		t.Errorf("%+v after %v", sum, took)
	}
}

// TestSecondSignalEndsAtOnce while the first one waits for a client that takes nothing.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := launch(t, "-source", "memory", "-rate", "100", "-users", "1", "-work", "60s")
	p.wait()
	eventually(t, patience, "a push at work", func() bool { return p.status().InFlight > 0 })
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the end has begun", func() bool { status, _ := p.readyz(); return status == http.StatusServiceUnavailable })
	begin := time.Now()
	// The second signal must not come with the first.
	again := time.AfterFunc(2*sameSignal, func() { _ = p.cmd.Process.Signal(syscall.SIGTERM) })
	defer again.Stop()
	if err := p.cmd.Wait(); err == nil || time.Since(begin) > soon {
		t.Errorf("it ended with %v after %v", err, time.Since(begin))
	}
}

// TestStuckReaderDoesNotSpoilTheEnd: its pushes are discarded when its connection is
// closed, within the write timeout, and the end is orderly.
func TestStuckReaderDoesNotSpoilTheEnd(t *testing.T) {
	t.Parallel()
	r := start(t, "-user-buffer", "500")
	stuck := joinWithoutReading(t, r, "stuck")
	defer stuck.CloseNow()
	data := json.RawMessage(`{"pad":"` + strings.Repeat("x", 30_000) + `"}`)
	for range 200 {
		if err := r.intake.enter([]push{{User: "stuck", Data: data}}, func(error) {}); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	sum := r.stop()
	if took := time.Since(begin); took > 15*time.Second || sum.Queued != 0 || sum.Delivered+sum.Discarded["no_subscriber"] != 200 {
		t.Errorf("%+v after %v", sum, took)
	}
}
