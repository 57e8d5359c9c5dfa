//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"
)

// attack is one thing that clients do.
type attack struct {
	name, what string
	// run attacks until ctx is done, and leaves nothing behind.
	run func(ctx context.Context, a *attacker)
}

// attacker is what attacks share.
type attacker struct {
	target   string // host:port
	producer string // Authorization
	tally    *tally
	seed     uint64 // the random bytes of a run can be repeated with it
}

// tally counts what attackers saw, by name.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func newTally() *tally { return &tally{n: map[string]int{}} }

func (t *tally) add(name string) {
	t.mu.Lock()
	t.n[name]++
	t.mu.Unlock()
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	for name, n := range t.n {
		all = append(all, fmt.Sprintf("%s %d", name, n))
	}
	sort.Strings(all)
	return strings.Join(all, ", ")
}

// dial connects from the n-th of the attackers' addresses. The connection is
// closed when ctx is done.
func (a *attacker) dial(ctx context.Context, address int) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(address>>8), byte(address%250+1))}, Timeout: 5 * time.Second}
	c, err := d.DialContext(ctx, "tcp", a.target)
	if err != nil {
		a.tally.add("no connection")
		return nil, err
	}
	a.tally.add("connections")
	context.AfterFunc(ctx, func() { _ = c.Close() })
	return c, nil
}

// crowd runs n attackers side by side until all have returned. One that returns
// early, because it was cut off, comes back after a pause.
func (a *attacker) crowd(ctx context.Context, n int, one func(ctx context.Context, i int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			for ctx.Err() == nil {
				one(ctx, i)
				rest(ctx, 200*time.Millisecond)
			}
		})
	}
	group.Wait()
}

// rest reports whether ctx is still alive after d.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// request sends a whole request on a connection of its own and returns the
// status, 0 for none.
func (a *attacker) request(ctx context.Context, address int, head, body string) int {
	c, err := a.dial(ctx, address)
	if err != nil {
		return 0
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	// A write that fails shows as a response that does not come.
	fmt.Fprintf(c, "%s\r\nHost: %s\r\nAuthorization: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", head, a.target, a.producer, len(body), body)
	return a.status(bufio.NewReader(c))
}

func (a *attacker) status(r *bufio.Reader) int {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		a.tally.add("cut off")
		return 0
	}
	_ = resp.Body.Close()
	a.tally.add("status " + resp.Status[:3])
	return resp.StatusCode
}

// token gets a socket token, as the demonstration's page does.
func (a *attacker) token(ctx context.Context, user string) string {
	for rest(ctx, 0) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.target+"/api/token?user="+user, nil)
		if err != nil {
			return ""
		}
		r, err := http.DefaultClient.Do(req)
		if err == nil {
			var body struct{ Token string }
			err = json.NewDecoder(r.Body).Decode(&body)
			_ = r.Body.Close()
			if err == nil && body.Token != "" {
				return body.Token
			}
		}
		rest(ctx, 100*time.Millisecond)
	}
	return ""
}

// socket opens a WebSocket from the n-th address and returns it after the 101.
func (a *attacker) socket(ctx context.Context, address int, token string) (net.Conn, *bufio.Reader, bool) {
	c, err := a.dial(ctx, address)
	if err != nil {
		return nil, nil, false
	}
	// By hand: a WebSocket library would read and reply to pings, which attackers do not.
	key := make([]byte, 16)
	_, _ = rand.Read(key) // never fails
	fmt.Fprintf(c, "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: %s\r\nSec-WebSocket-Protocol: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
		a.target, strings.Join(subprotocols(token), ", "), base64.StdEncoding.EncodeToString(key))
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(c)
	if a.status(r) != http.StatusSwitchingProtocols {
		_ = c.Close()
		return nil, nil, false
	}
	_ = c.SetReadDeadline(time.Time{})
	return c, r, true
}

// frame is a client's frame, masked with zeros.
func frame(first byte, payload []byte) []byte {
	f := []byte{first}
	switch n := len(payload); {
	case n < 126:
		f = append(f, 0x80|byte(n))
	case n < 1<<16:
		f = append(f, 0x80|126)
		f = binary.BigEndian.AppendUint16(f, uint16(n))
	default:
		f = append(f, 0x80|127)
		f = binary.BigEndian.AppendUint64(f, uint64(n))
	}
	f = append(f, 0, 0, 0, 0)
	return append(f, payload...)
}

func text(s string) []byte { return frame(0x81, []byte(s)) }
