//go:build linux

package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Config says what clients a fleet has.
type Config struct {
	Server   string // an IPv4 address
	Protocol Protocol
	Loops    int // epoll loops. Default: one for each processor

	// Paths are those of the clients' upgrades, one for each client.
	Paths []string
	// Topic is what they join. One that ends with ":" is completed with the client's number.
	Topic string
	// Sparse is of how many clients one is slow: Stall makes it stop reading. Default: none is.
	Sparse int

	// Progress prints a line, once a second while something is waited for. Default: nothing does.
	Progress func(format string, args ...any)
}

// Fleet is all the clients. Its methods may be called from any goroutine, but only one of them
// that changes something at a time.
type Fleet struct {
	loops    []*loop
	size     int
	progress func(format string, args ...any)
}

// New makes the clients, but connects none. Stop ends what it has started.
func New(cfg Config) (*Fleet, error) {
	to, err := address(cfg.Server)
	if err != nil {
		return nil, err
	}
	if cfg.Loops == 0 {
		cfg.Loops = runtime.GOMAXPROCS(0)
	}
	f := &Fleet{size: len(cfg.Paths), progress: cfg.Progress}
	for range cfg.Loops {
		l, err := newLoop(to, cfg.Server, &cfg.Protocol)
		if err != nil {
			f.Stop()
			return nil, err
		}
		f.loops = append(f.loops, l)
	}
	for i, path := range cfg.Paths {
		c := &Client{Topic: cfg.Topic, path: path, state: ended, Slow: cfg.Sparse > 0 && i%cfg.Sparse == 0}
		if strings.HasSuffix(c.Topic, ":") {
			c.Topic += strconv.Itoa(i)
		}
		c.Quoted = []byte(`"` + c.Topic + `"`)
		l := f.loops[i%len(f.loops)]
		l.clients = append(l.clients, c)
	}
	return f, nil
}

func address(server string) (syscall.SockaddrInet4, error) {
	a, err := net.ResolveTCPAddr("tcp4", server)
	if err != nil {
		return syscall.SockaddrInet4{}, fmt.Errorf("server %q: %w", server, err)
	}
	to := syscall.SockaddrInet4{Port: a.Port, Addr: [4]byte{127, 0, 0, 1}}
	if ip := a.IP.To4(); ip != nil {
		to.Addr = [4]byte(ip)
	}
	return to, nil
}

// Stop ends all connections and loops. Another call does nothing.
func (f *Fleet) Stop() {
	for _, l := range f.loops {
		l.stop()
	}
}

// each calls do for each loop while it handles nothing.
func (f *Fleet) each(do func(l *loop)) {
	for _, l := range f.loops {
		l.mu.Lock()
		do(l)
		l.mu.Unlock()
	}
}

func (f *Fleet) sum(of func(l *loop) int64) (n int64) {
	for _, l := range f.loops {
		n += of(l)
	}
	return n
}

// Received is how many deliveries have come.
func (f *Fleet) Received() int64 { return f.sum(func(l *loop) int64 { return l.received.Load() }) }

// ready is how many clients have joined.
func (f *Fleet) ready() int64 { return f.sum(func(l *loop) int64 { return l.ready.Load() }) }

// Connect connects all clients, so many at a time, and waits until they have joined. It gives up
// when no other has for the time of patience.
func (f *Fleet) Connect(ctx context.Context, parallel int, patience time.Duration) error {
	f.each(func(l *loop) { l.connect(max(1, parallel/len(f.loops))) })
	err := f.Wait(ctx, patience, "clients have joined", int64(f.size), f.ready)
	return errors.Join(err, f.Failure())
}

// Drop ends all connections at once; Connect connects the clients again.
func (f *Fleet) Drop() {
	f.each(func(l *loop) {
		for _, c := range l.clients[:l.next] {
			c.drop()
		}
		l.next = 0
		l.ready.Store(0)
	})
}

// Slow is how many clients are meant to stop reading.
func (f *Fleet) Slow() (n int) {
	f.each(func(l *loop) {
		for _, c := range l.clients {
			if c.Slow {
				n++
			}
		}
	})
	return n
}

// Stall makes them stop.
func (f *Fleet) Stall() {
	f.each(func(l *loop) {
		for _, c := range l.clients {
			if c.Slow && c.state != ended { // its descriptor may be that of another client by now
				_ = syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_DEL, c.fd, &syscall.EpollEvent{}) // it is in there
			}
		}
	})
}

// Reset forgets what came before: the next numbers begin at zero.
func (f *Fleet) Reset() {
	f.each(func(l *loop) {
		l.tally, l.apart, l.err = NewTally(), NewTally(), nil
		l.received.Store(0)
		for _, c := range l.clients {
			c.want, c.sent = 0, 0
		}
	})
}

// Total is what came since Reset, or since the beginning, to the clients that are not slow.
func (f *Fleet) Total() *Tally {
	t := NewTally()
	f.each(func(l *loop) { t.add(l.tally) })
	return t
}

// Failure is why connections have ended; nil if none has.
func (f *Fleet) Failure() (err error) {
	f.each(func(l *loop) { err = errors.Join(err, l.err) })
	return err
}

// Wait waits for a count until nothing has been added to it for the time of patience.
func (f *Fleet) Wait(ctx context.Context, patience time.Duration, what string, target int64, count func() int64) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	seen, at := int64(-1), time.Now()
	said := at
	for {
		n := count()
		now := time.Now()
		switch {
		case n >= target:
			return nil
		case n != seen:
			seen, at = n, now
		case now.Sub(at) > patience || f.Failure() != nil:
			return fmt.Errorf("%d of %d %s, and no more in %v", n, target, what, now.Sub(at).Round(time.Millisecond))
		}
		if f.progress != nil && now.Sub(said) >= time.Second {
			said = now
			f.progress("%d of %d %s", n, target, what)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
