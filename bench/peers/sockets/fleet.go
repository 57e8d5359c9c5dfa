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

// newFleet makes conns clients, but connects none. A topic that ends with ":" is
// completed with the client's number.
func newFleet(server string, p protocol, topic string, conns int) (*fleet, error) {
	a, err := net.ResolveTCPAddr("tcp4", server)
	if err != nil {
		return nil, fmt.Errorf("server %q: %w", server, err)
	}
	to := &syscall.SockaddrInet4{Port: a.Port, Addr: [4]byte{127, 0, 0, 1}}
	f := &fleet{size: conns}
	for range runtime.GOMAXPROCS(0) {
		l, err := newLoop(to, server, p)
		if err != nil {
			f.stop()
			return nil, err
		}
		f.loops = append(f.loops, l)
		go l.run()
	}
	for i := range conns {
		c := &client{topic: topic, state: ended}
		if strings.HasSuffix(topic, ":") {
			c.topic += strconv.Itoa(i)
		}
		c.quoted = []byte(`"` + c.topic + `"`)
		l := f.loops[i%len(f.loops)]
		l.mu.Lock()
		l.clients = append(l.clients, c)
		l.mu.Unlock()
	}
	return f, nil
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

// connect connects all clients, some at a time, and waits until they have joined.
func (f *fleet) connect(ctx context.Context) error {
	const parallel = 128
	f.each(func(l *loop) {
		l.slots, l.since = max(1, parallel/len(f.loops)), time.Now()
		l.dial()
	})
	return errors.Join(f.wait(ctx, 20*time.Second, "clients have joined", int64(f.size), f.ready), f.failure())
}

// begin makes the clients send echoes, each in turn, at rate a second.
func (f *fleet) begin(rate, each int) {
	f.each(func(l *loop) {
		l.rate, l.echoes = max(1, rate*len(l.clients)/f.size), each*len(l.clients)
	})
}

// sentIn is how long the slowest loop took to send its echoes.
func (f *fleet) sentIn() (d time.Duration) {
	f.each(func(l *loop) { d = max(d, l.sentIn) })
	return d
}

// total is what has come.
func (f *fleet) total() *tally {
	t := newTally()
	f.each(func(l *loop) { t.add(l.tally) })
	return t
}

func (f *fleet) failure() (err error) {
	f.each(func(l *loop) { err = errors.Join(err, l.err) })
	return err
}

// wait waits for a count until nothing has been added to it for some time.
func (f *fleet) wait(ctx context.Context, patience time.Duration, what string, target int64, count func() int64) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	seen, at := int64(-1), time.Now()
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
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
