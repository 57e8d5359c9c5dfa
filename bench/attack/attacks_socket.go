//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// muteSockets join and read nothing, and are pushed to.
func muteSockets(ctx context.Context, a *attacker) {
	go a.pushTo(ctx, "mute")
	tok := a.token(ctx, "mute")
	a.crowd(ctx, 500, func(ctx context.Context, i int) {
		c, _, ok := a.socket(ctx, i, tok)
		if !ok {
			return
		}
		defer c.Close()
		// A small window, so that what is not read fills the server's side soon.
		_ = c.(*net.TCPConn).SetReadBuffer(4096)
		_, _ = c.Write(text(`["1","1","user:mute","phx_join",{}]`))
		for n := 0; rest(ctx, time.Second); n++ {
			if _, err := c.Write(text(fmt.Sprintf(`[null,"h%d","phoenix","heartbeat",{}]`, n))); err != nil {
				a.tally.add("cut off")
				return
			}
		}
	})
}

// pushTo posts pushes of 1 KiB to a user, a hundred a second.
func (a *attacker) pushTo(ctx context.Context, user string) {
	for rest(ctx, 10*time.Millisecond) {
		a.post(ctx, user)
	}
}

// post posts a push of 1 KiB to a user.
func (a *attacker) post(ctx context.Context, user string) {
	body := `{"user_id":"` + user + `","data":{"pad":"` + strings.Repeat("x", 1024) + `"}}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+a.target+"/push", strings.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Authorization", a.producer)
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	_ = r.Body.Close()
	a.tally.add("pushes " + r.Status[:3])
}

// stuckPolls open sessions, join, and leave the responses of their polls unread.
func stuckPolls(ctx context.Context, a *attacker) {
	go a.pushTo(ctx, "poller")
	tok := a.token(ctx, "poller")
	a.crowd(ctx, 50, func(ctx context.Context, i int) {
		session := a.poll(ctx, "GET", tok, "", "")
		if session == "" {
			a.tally.add("no session")
			return
		}
		a.poll(ctx, "POST", tok, session, `["1","1","user:poller","phx_join",{}]`)
		c, err := a.dial(ctx, i)
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.(*net.TCPConn).SetReadBuffer(4096)
		for rest(ctx, 500*time.Millisecond) {
			if _, err := fmt.Fprintf(c, "GET /socket/longpoll?vsn=2.0.0&token=%s HTTP/1.1\r\nHost: %s\r\n\r\n", session, a.target); err != nil {
				a.tally.add("cut off")
				return
			}
		}
	})
}

// poll makes one request of long polling and returns the session's token.
func (a *attacker) poll(ctx context.Context, method, tok, session, body string) string {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+a.target+"/socket/longpoll?vsn=2.0.0&token="+url.QueryEscape(session), strings.NewReader(body))
	if err != nil {
		return ""
	}
	req.Header.Set("X-Phoenix-AuthToken", tok)
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer r.Body.Close()
	var reply struct{ Token string }
	if json.NewDecoder(r.Body).Decode(&reply) != nil {
		return ""
	}
	return reply.Token
}

// silentSockets asks for upgrades with a wrong token, and waits for the server to close.
func silentSockets(ctx context.Context, a *attacker) {
	a.crowd(ctx, 1000, func(ctx context.Context, i int) {
		if c, r, ok := a.socket(ctx, i, "wrong"); ok {
			_, _ = r.ReadByte()
			_ = c.Close()
		}
	})
}

// connects makes connections and closes them, without a pause.
func connects(ctx context.Context, a *attacker) {
	tok := a.token(ctx, "att")
	a.crowd(ctx, 200, func(ctx context.Context, i int) {
		for ctx.Err() == nil {
			c, _, ok := a.socket(ctx, i, tok)
			if !ok {
				return
			}
			_ = c.Close()
		}
	})
}

// joined is what a client sends first to be in the topic of its user.
var joined = text(`["1","1","user:att","phx_join",{}]`)

// frames has n clients send first, and then the same bytes until they are cut off.
func frames(n int, first, again []byte) func(context.Context, *attacker) {
	return func(ctx context.Context, a *attacker) {
		tok := a.token(ctx, "att")
		a.crowd(ctx, n, func(ctx context.Context, i int) {
			c, _, ok := a.socket(ctx, i, tok)
			if !ok {
				return
			}
			defer c.Close()
			_, _ = c.Write(first) // a failure is that of the next Write too
			for ctx.Err() == nil {
				if _, err := c.Write(again); err != nil {
					a.tally.add("cut off")
					return
				}
			}
		})
	}
}

// joins joins and leaves one topic, and reads the replies.
func joins(ctx context.Context, a *attacker) {
	tok := a.token(ctx, "att")
	a.crowd(ctx, 10, func(ctx context.Context, i int) {
		c, r, ok := a.socket(ctx, i, tok)
		if !ok {
			return
		}
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = io.Copy(io.Discard, r) // replies that are not read would stop the server's writer
		}()
		defer func() { _ = c.Close(); <-gone }()
		for n := 0; ctx.Err() == nil; n++ {
			if _, err := c.Write(text(fmt.Sprintf(`["%d","%d","user:att","phx_join",{}]`, n, n))); err != nil {
				a.tally.add("cut off")
				return
			}
			if _, err := c.Write(text(fmt.Sprintf(`["%d","x","user:att","phx_leave",{}]`, n))); err != nil {
				a.tally.add("cut off")
				return
			}
		}
	})
}
