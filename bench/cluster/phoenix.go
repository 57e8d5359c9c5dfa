//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// crowdScript has the phoenix clients; .ci/phoenix installs what it imports.
const crowdScript = "sinks/websocket/testdata/node/crowd.mjs"

// balancer passes each connection to the next node that accepts one. Make one with
// newBalancer.
type balancer struct {
	listener net.Listener
	nodes    []string
	next     atomic.Int64
}

func newBalancer(nodes []string) (*balancer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &balancer{listener: l, nodes: nodes}
	go b.accept() // until the listener is closed
	return b, nil
}

func (b *balancer) accept() {
	for {
		in, err := b.listener.Accept()
		if err != nil {
			return
		}
		go b.pass(in)
	}
}

// pass connects in to a node. Both connections end together.
func (b *balancer) pass(in net.Conn) {
	defer in.Close()
	for range b.nodes {
		out, err := net.Dial("tcp", b.nodes[int(b.next.Add(1))%len(b.nodes)])
		if err != nil {
			continue
		}
		defer out.Close()
		go func() {
			_, _ = io.Copy(out, in)
			_ = out.Close()
		}()
		// What the node has written before its end is passed on.
		_, _ = io.Copy(in, out)
		return
	}
}

// absences follow for how long users were without a connection.
type absences struct {
	mu      sync.Mutex // guards all fields
	since   map[string]time.Time
	longest time.Duration
	count   int64
}

// lost notes that a user's connection has ended; a second time changes nothing.
func (a *absences) lost(user string, now time.Time) (first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.since[user]; ok {
		return false
	}
	a.since[user] = now
	return true
}

// joined notes that a user is there, and reports whether the user was away.
func (a *absences) joined(user string, now time.Time) (again bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	since, again := a.since[user]
	if again {
		delete(a.since, user)
		a.longest = max(a.longest, now.Sub(since))
		a.count++
	}
	return again
}

// most returns the longest absence, of which one may not be over.
func (a *absences) most(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	most := a.longest
	for _, since := range a.since {
		most = max(most, now.Sub(since))
	}
	return most
}

// startPhoenix connects all users by phoenix clients in a process of Node, which reach
// the nodes by a balancer. It runs until ctx is done.
func (c *crowd) startPhoenix(ctx context.Context) error {
	b, err := newBalancer(c.nodes)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = b.listener.Close() })
	cmd := exec.Command("node", crowdScript)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	p, err := launch(cmd)
	if err != nil {
		return fmt.Errorf("phoenix clients: %w", err)
	}
	tokens := map[string]string{}
	for _, one := range c.clients {
		tokens[name(one.user)] = one.token
	}
	if err := json.NewEncoder(in).Encode(map[string]any{"url": "ws://" + b.listener.Addr().String() + "/socket", "tokens": tokens}); err != nil {
		p.kill()
		return fmt.Errorf("phoenix clients: %w", err)
	}
	c.running.Go(func() {
		<-ctx.Done()
		_ = in.Close()
		p.end(5 * time.Second)
	})
	c.running.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if err := c.hear(lines.Text()); err != nil {
				fmt.Fprintf(os.Stderr, "cluster: phoenix clients: %q: %v\n", lines.Text(), err)
			}
		}
	})
	return nil
}

var errLine = errors.New("not a line of " + crowdScript)

// hear takes a line of the process.
func (c *crowd) hear(line string) error {
	words := strings.Fields(line)
	switch {
	case len(words) == 2 && words[0] == "j":
		c.connected.Add(1)
		if c.away.joined(words[1], time.Now()) {
			c.reconnects.Add(1)
		}
	case len(words) == 2 && words[0] == "l":
		if c.away.lost(words[1], time.Now()) {
			c.connected.Add(-1)
		}
	case len(words) == 4 && words[0] == "p":
		user, err := strconv.Atoi(words[1])
		number, err2 := strconv.Atoi(words[3])
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		if user < 1 || user > len(c.clients) || words[2] != words[1] {
			c.ledger.stray()
			return nil
		}
		c.ledger.deliver(user-1, number, time.Since(c.begun), true)
	default:
		return errLine
	}
	return nil
}
