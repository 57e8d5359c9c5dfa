//go:build linux

package fleet

import (
	"syscall"
	"testing"
	"time"
)

// A loop that was waiting when Echo was called does not send at once what became due meanwhile.
func TestEchoBeginsWithoutABurst(t *testing.T) {
	l := &loop{protocol: &Protocol{Echo: func(dst []byte, _ *Client, _, _ int64) []byte { return dst }}, tally: NewTally()}
	for range 2500 {
		l.clients = append(l.clients, &Client{state: ended, fd: -1})
	}
	f := &Fleet{loops: []*loop{l}, size: 5000}
	f.Echo(6, 10000)
	waited := time.Now().Add(-50 * time.Millisecond) // what EpollWait may take while nothing is sent
	if !l.echoes.start.IsZero() {
		l.echoes.start = waited
	}
	l.mu.Lock()
	l.echo()
	l.mu.Unlock()
	if e := &l.echoes; e.turn > 0 || e.total != 15000 {
		t.Errorf("%d of %d in the first turn", e.turn, e.total)
	}
}

// A client that was dropped sends nothing: its descriptor may be another's. Sent does not count it.
func TestNoEchoOfADroppedClient(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range pair {
		defer func() { _ = syscall.Close(fd) }()
	}
	protocol := &Protocol{Echo: func(dst []byte, c *Client, _, _ int64) []byte { return append(dst, c.Topic...) }}
	l := &loop{protocol: protocol, tally: NewTally(), clients: []*Client{
		{Topic: "dropped", state: ended, fd: pair[0]}, {Topic: "upgrading", state: upgrading, fd: pair[0]}, {Topic: "joined", state: joined, fd: pair[0]},
	}}
	f := &Fleet{loops: []*loop{l}, size: 3}
	f.Echo(2, 1000)
	l.mu.Lock()
	l.echoes.start = time.Now().Add(-time.Second) // all are due
	l.echo()
	l.mu.Unlock()
	buf := make([]byte, 1000)
	n, err := syscall.Read(pair[1], buf)
	want := len(appendMasked(nil, opText, []byte("joined")))
	if err != nil || n != 2*want || f.Sent() != 2 || l.echoes.pause() != 50 {
		t.Errorf("%d bytes of %d messages, %v; want 2 messages of %d bytes", n, f.Sent(), err, want)
	}
	if err := f.Failure(); err != nil {
		t.Error(err)
	}
}

// The second Stop does not close a descriptor that has the number of the first one's.
func TestStopTwice(t *testing.T) {
	f, err := New(Config{Server: "127.0.0.1:1", Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	f.Stop()
	fd, err := syscall.Dup(1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(fd) }()
	f.loops[0].epoll = fd // as if the system had given the number again
	f.Stop()
	if err := syscall.Fstat(fd, new(syscall.Stat_t)); err != nil {
		t.Error("the second Stop closed another descriptor: ", err)
	}
}

// Stall does not take a client out of its loop that has the descriptor of one that has ended.
func TestStallOfADroppedClient(t *testing.T) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range append(pair[:], epoll) {
		defer func() { _ = syscall.Close(fd) }()
	}
	if err := syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, pair[0], &syscall.EpollEvent{Events: syscall.EPOLLOUT}); err != nil {
		t.Fatal(err)
	}
	l := &loop{epoll: epoll, clients: []*Client{{Slow: true, state: ended, fd: pair[0]}, {state: joined, fd: pair[0]}}}
	(&Fleet{loops: []*loop{l}, size: 2}).Stall()
	if n, err := syscall.EpollWait(epoll, make([]syscall.EpollEvent, 1), 0); n != 1 || err != nil {
		t.Errorf("%d events, %v: the client that is there was taken out", n, err)
	}
}
