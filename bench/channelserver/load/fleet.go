//go:build linux

package main

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

// fleet is all the clients.
type fleet struct {
	loops []*loop
	size  int
}

// newFleet makes a client for each token, but connects none. A topic that ends
// with ":" is completed with the client's number. Of so many clients one is meant
// to stop reading; 0 means none.
func newFleet(o options, topic string, tokens []string, sparse int) (*fleet, error) {
	to, err := address(o.server)
	if err != nil {
		return nil, err
	}
	f := &fleet{size: len(tokens)}
	for range o.loops {
		l, err := newLoop(to, o.path, o.server)
		if err != nil {
			f.stop()
			return nil, err
		}
		f.loops = append(f.loops, l)
	}
	for i, token := range tokens {
		c := &client{topic: topic, token: token, state: ended, stalled: sparse > 0 && i%sparse == 0}
		if strings.HasSuffix(topic, ":") {
			c.topic += strconv.Itoa(i)
		}
		l := f.loops[i%len(f.loops)]
		l.clients = append(l.clients, c)
	}
	return f, nil
}

func address(server string) (syscall.Sockaddr, error) {
	a, err := net.ResolveTCPAddr("tcp4", server)
	if err != nil {
		return nil, fmt.Errorf("server %q: %w", server, err)
	}
	to := &syscall.SockaddrInet4{Port: a.Port, Addr: [4]byte{127, 0, 0, 1}}
	if ip := a.IP.To4(); ip != nil {
		to.Addr = [4]byte(ip)
	}
	return to, nil
}

func (f *fleet) stop() {
	for _, l := range f.loops {
		l.stop()
	}
}

// each calls do for each loop while it handles nothing.
func (f *fleet) each(do func(l *loop)) {
	for _, l := range f.loops {
		l.mu.Lock()
		do(l)
		l.mu.Unlock()
	}
}

func (f *fleet) sum(of func(l *loop) int64) (n int64) {
	for _, l := range f.loops {
		n += of(l)
	}
	return n
}

func (f *fleet) ready() int64    { return f.sum(func(l *loop) int64 { return l.ready.Load() }) }
func (f *fleet) received() int64 { return f.sum(func(l *loop) int64 { return l.received.Load() }) }

// connect connects all clients, some at a time, and waits until they have
// joined.
func (f *fleet) connect(ctx context.Context, parallel int) error {
	f.each(func(l *loop) { l.connect(max(1, parallel/len(f.loops))) })
	err := f.wait(ctx, 60*time.Second, "clients have joined", int64(f.size), f.ready)
	return errors.Join(err, f.failure())
}

// drop ends all connections at once.
func (f *fleet) drop() {
	f.each(func(l *loop) {
		for _, c := range l.clients[:l.next] {
			c.drop()
		}
		l.next = 0
		l.ready.Store(0)
	})
}

// slow is how many clients are meant to stop reading.
func (f *fleet) slow() (n int) {
	f.each(func(l *loop) {
		for _, c := range l.clients {
			if c.stalled {
				n++
			}
		}
	})
	return n
}

// stall makes them stop.
func (f *fleet) stall() {
	f.each(func(l *loop) {
		for _, c := range l.clients {
			if c.stalled {
				_ = syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_DEL, c.fd, &syscall.EpollEvent{}) // it is in there
			}
		}
	})
}

// begin forgets what came before: the next numbers begin at zero.
func (f *fleet) begin() {
	f.each(func(l *loop) {
		l.tally, l.apart, l.err = newTally(), newTally(), nil
		l.received.Store(0)
		for _, c := range l.clients {
			c.want = 0
		}
	})
}

// total is what came since begin.
func (f *fleet) total() *tally {
	t := newTally()
	f.each(func(l *loop) { t.add(l.tally) })
	return t
}

func (f *fleet) failure() (err error) {
	f.each(func(l *loop) { err = errors.Join(err, l.err) })
	return err
}

// wait waits for a count, with a line on standard error each second, until
// nothing has been added to it for some time.
func (f *fleet) wait(ctx context.Context, patience time.Duration, what string, target int64, count func() int64) error {
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
		case now.Sub(at) > patience || f.failure() != nil:
			return fmt.Errorf("%d of %d %s, and no more in %v", n, target, what, now.Sub(at).Round(time.Millisecond))
		}
		if now.Sub(said) >= time.Second {
			said = now
			progress("%d of %d %s", n, target, what)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// defaultLoops is one for each processor.
func defaultLoops() int { return runtime.GOMAXPROCS(0) }
