//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	honestUsers = 20
	// pushesEach is what every honest user gets in a second.
	pushesEach = 5
	// patience is what a new user has for getting in.
	patience = 2 * time.Second
)

// users are the honest ones: each has one client, and receives what is pushed to
// it over HTTP.
type users struct {
	target   string
	producer string // Authorization
	http     *http.Client
	conns    []*websocket.Conn
	close    context.CancelFunc
	group    sync.WaitGroup

	mu    sync.Mutex
	due   map[string]time.Time // of pushes on the way, by number
	took  []time.Duration
	seen  honest
	ended bool
}

// greet connects the honest users and joins each to its topic.
func greet(ctx context.Context, target string) (*users, error) {
	life, end := context.WithCancel(ctx)
	u := &users{target: target, producer: producer("honest"), http: &http.Client{Timeout: 10 * time.Second}, close: end, due: map[string]time.Time{}}
	for i := range honestUsers {
		c, err := u.join(ctx, "honest-"+strconv.Itoa(i))
		if err != nil {
			u.leave()
			return nil, err
		}
		u.conns = append(u.conns, c)
		u.group.Go(func() { beat(life, c) })
		u.group.Go(func() { u.receive(life, c) })
	}
	return u, nil
}

// join connects one user and waits for the reply to its join. The connection is the
// caller's, unless there is an error.
func (u *users) join(ctx context.Context, id string) (_ *websocket.Conn, err error) {
	tok, err := u.token(ctx, id)
	if err != nil {
		return nil, err
	}
	c, _, err := websocket.Dial(ctx, "ws://"+u.target+"/socket/websocket?vsn=2.0.0", &websocket.DialOptions{HTTPClient: u.http, Subprotocols: subprotocols(tok)})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = c.CloseNow()
		}
	}()
	if err := c.Write(ctx, websocket.MessageText, []byte(`["1","1","user:`+id+`","phx_join",{}]`)); err != nil {
		return nil, err
	}
	for {
		_, m, err := c.Read(ctx)
		if err != nil {
			return nil, err
		}
		if bytes.Contains(m, []byte(`"phx_reply"`)) {
			if !bytes.Contains(m, []byte(`"status":"ok"`)) {
				return nil, fmt.Errorf("%s may not join: %s", id, m)
			}
			return c, nil
		}
	}
}

func (u *users) token(ctx context.Context, id string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+u.target+"/api/token?user="+id, nil)
	if err != nil {
		return "", err
	}
	r, err := u.http.Do(req)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	var body struct{ Token string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.StatusCode != http.StatusOK {
		return "", fmt.Errorf("no token: %s, %v", r.Status, err)
	}
	return body.Token, nil
}

// beat sends heartbeats as phoenix.js does: a client that is silent for a minute is closed.
func beat(ctx context.Context, c *websocket.Conn) {
	for rest(ctx, 30*time.Second) {
		if c.Write(ctx, websocket.MessageText, []byte(`[null,"h","phoenix","heartbeat",{}]`)) != nil {
			return
		}
	}
}

// receive notes which pushes have arrived.
func (u *users) receive(ctx context.Context, c *websocket.Conn) {
	for {
		_, m, err := c.Read(ctx)
		now := time.Now()
		u.mu.Lock()
		if err != nil {
			if !u.ended {
				u.seen.reconnects++
			}
			u.mu.Unlock()
			return
		}
		// The number stands between two signs that nothing else has.
		if _, rest, ok := strings.Cut(string(m), "#"); ok {
			number, _, _ := strings.Cut(rest, "#")
			if at, ok := u.due[number]; ok {
				delete(u.due, number)
				u.seen.got++
				u.took = append(u.took, now.Sub(at))
			}
		}
		u.mu.Unlock()
	}
}

// push sends the users' pushes at a fixed rate, whatever becomes of them, lets a
// new user come every half second, and waits for what is on its way.
func (u *users) push(ctx context.Context, length time.Duration) {
	var group sync.WaitGroup
	interval := time.Second / (honestUsers * pushesEach)
	begun := time.Now()
	for n := range int(length / interval) {
		// Latency counts from here, also if the machine is late with the push.
		due := begun.Add(time.Duration(n) * interval)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		group.Go(func() { u.send(ctx, n, due) })
		if n%(honestUsers*pushesEach/2) == 0 {
			group.Go(func() { u.newcomer(ctx, n) })
		}
	}
	group.Wait()
	late := time.Now().Add(5 * time.Second) // what comes after that is lost
	for time.Now().Before(late) {
		u.mu.Lock()
		left := len(u.due)
		u.mu.Unlock()
		if left == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (u *users) send(ctx context.Context, n int, due time.Time) {
	number := strconv.Itoa(n)
	u.mu.Lock()
	u.due[number] = due
	u.seen.sent++
	u.mu.Unlock()
	body := fmt.Sprintf(`{"user_id":"honest-%d","data":{"n":"#%s#"}}`, n%honestUsers, number)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+u.target+"/push", strings.NewReader(body))
	if err == nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", u.producer)
		var r *http.Response
		if r, err = u.http.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			_ = r.Body.Close()
			if r.StatusCode == http.StatusAccepted {
				return
			}
		}
	}
	u.mu.Lock()
	u.seen.refused++
	u.mu.Unlock()
}

func (u *users) newcomer(ctx context.Context, n int) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := u.join(ctx, "new-"+strconv.Itoa(n))
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen.newcomers++
	if err != nil {
		u.seen.shutOut++
		return
	}
	_ = c.CloseNow()
}

func (u *users) figures() honest {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ended = true // what closes from here on is the program's end
	h := u.seen
	if len(u.took) > 0 {
		slices.Sort(u.took)
		h.p50, h.p99 = u.took[len(u.took)/2], u.took[min(len(u.took)*99/100, len(u.took)-1)]
	}
	return h
}

// leave closes all and waits for the readers.
func (u *users) leave() {
	u.close()
	for _, c := range u.conns {
		_ = c.CloseNow()
	}
	u.group.Wait()
	u.http.CloseIdleConnections()
}
