//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

const mib = 1 << 20

// attacks are all attacks, in the order in which they run.
var attacks = []attack{
	{"none", "nothing: what the machine gives", func(ctx context.Context, _ *attacker) { <-ctx.Done() }},
	{"slow-bodies", "500 bodies of 1 MiB for /push, nearly all at once, the rest a byte a second", slowBodies("POST /push HTTP/1.1")},
	{"slow-polls", "500 such bodies for long polling, without a token", slowBodies("POST /socket/longpoll?vsn=2.0.0 HTTP/1.1")},
	{"slow-heads", "1,000 requests whose head comes a line in two seconds", slowHeads},
	{"large-heads", "32 at once of requests with 1 MiB of header fields", largeHeads},
	{"garbage", "64 at once of connections that send random bytes and no request", garbage},
	{"idle", "4,096 connections from one address that keep alive and ask nothing", idle},
	{"wide-arrays", "32 at once of 1 MiB of [1,1,1,...", bodies(32, "["+strings.Repeat("1,", mib/2-2)+"1]")},
	{"deep-arrays", "32 at once of 1 MiB of [[[[...", bodies(32, strings.Repeat("[", mib-1))},
	{"many-pushes", "arrays of 10,001 pushes", bodies(4, "["+strings.Repeat(`{"user_id":"x","data":{}},`, 10_000)+`{"user_id":"x","data":{}}]`)},
	{"rubbish", "random bytes for /push and for every other path", rubbish},
	{"flood", "as many pushes to one user without a client as 8 connections bring", flood(func(int, *rand.Rand) string { return "flood" })},
	{"fresh-users", "pushes to a new user each", flood(func(i int, r *rand.Rand) string { return fmt.Sprintf("f%d-%d", i, r.Uint64()) })},
	{"unread", "200 connections that ask for the page again and again and read nothing", unread},
	{"mute-sockets", "500 sockets that connect and join, get pushes, and read nothing", muteSockets},
	{"stuck-polls", "50 long polls that have been given pushes and read nothing", stuckPolls},
	{"silent-sockets", "1,000 upgrades without a token, again and again", silentSockets},
	{"connects", "200 clients that connect with a valid token and leave, as fast as they can", connects},
	{"pings", "10 sockets that send pings as fast as they can", frames(10, joined, frame(0x89, []byte("ping")))},
	{"fragments", "20 messages in fragments of one byte", frames(20, frame(0x01, []byte("[")), frame(0x00, []byte(" ")))},
	{"joins", "10 sockets that join and leave as fast as they can", joins},
	{"echoes", "10 sockets that push events as fast as they can, and read nothing", frames(10, joined, text(`["1","2","user:att","nap",{"pad":"`+strings.Repeat("x", 1000)+`"}]`))},
	{"large-frames", "20 sockets that announce 2^62 bytes", frames(20, joined, []byte{0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})},
}

// slowBodies sends all but the last hundred bytes, and those slowly.
func slowBodies(request string) func(context.Context, *attacker) {
	return func(ctx context.Context, a *attacker) {
		most := []byte("[" + strings.Repeat(" ", mib-200))
		a.crowd(ctx, 500, func(ctx context.Context, i int) {
			c, err := a.dial(ctx, i)
			if err != nil {
				return
			}
			defer c.Close()
			cut := make(chan struct{})
			go func() {
				defer close(cut)
				a.status(bufio.NewReader(c))
			}()
			defer func() { _ = c.Close(); <-cut }()
			if _, err := fmt.Fprintf(c, "%s\r\nHost: %s\r\nAuthorization: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", request, a.target, a.producer, mib, most); err != nil {
				return
			}
			for rest(ctx, time.Second) {
				if _, err := c.Write([]byte(" ")); err != nil {
					return
				}
			}
		})
	}
}

// slowHeads sends heads that do not end.
func slowHeads(ctx context.Context, a *attacker) {
	a.crowd(ctx, 1000, func(ctx context.Context, i int) {
		c, err := a.dial(ctx, i)
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n", a.target)
		for n := 0; rest(ctx, 2*time.Second); n++ {
			if _, err := fmt.Fprintf(c, "X-%d: y\r\n", n); err != nil {
				a.tally.add("cut off")
				return
			}
		}
	})
}

func largeHeads(ctx context.Context, a *attacker) {
	head := "GET / HTTP/1.1" + strings.Repeat("\r\nX-Pad: "+strings.Repeat("x", 1000), 1000)
	a.crowd(ctx, 32, func(ctx context.Context, i int) { a.request(ctx, i, head, "") })
}

// garbage sends what is no HTTP until it is cut off.
func garbage(ctx context.Context, a *attacker) {
	a.crowd(ctx, 64, func(ctx context.Context, i int) {
		c, err := a.dial(ctx, i)
		if err != nil {
			return
		}
		defer c.Close()
		r, b := rand.New(rand.NewPCG(a.seed, uint64(i))), make([]byte, 4096)
		for ctx.Err() == nil {
			for j := range b {
				b[j] = byte(r.Uint32())
			}
			if _, err := c.Write(b); err != nil {
				a.tally.add("cut off")
				return
			}
		}
	})
}

// idle holds connections that have had one response.
func idle(ctx context.Context, a *attacker) {
	a.crowd(ctx, 4096, func(ctx context.Context, _ int) {
		c, err := a.dial(ctx, 0)
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n", a.target)
		r := bufio.NewReader(c)
		if a.status(r) == 0 {
			rest(ctx, time.Second)
			return
		}
		_, _ = r.ReadByte() // until it is closed
		rest(ctx, time.Second)
	})
}

// bodies has n clients post one body, again and again.
func bodies(n int, body string) func(context.Context, *attacker) {
	return func(ctx context.Context, a *attacker) {
		a.crowd(ctx, n, func(ctx context.Context, i int) {
			a.request(ctx, i, "POST /push HTTP/1.1\r\nContent-Type: application/json", body)
		})
	}
}

// rubbish sends requests with random methods, paths and bodies, half of which begin as a
// push does.
func rubbish(ctx context.Context, a *attacker) {
	paths := []string{"/push", "/", "/socket/longpoll?vsn=2.0.0", "/socket/websocket", "/api/token?user=%ff", "/nowhere", "/api/stats", "/%00", "/../../etc/passwd"}
	methods := []string{"POST", "GET", "PUT", "DELETE", "TRACE", "OPTIONS", "\x00"}
	a.crowd(ctx, 16, func(ctx context.Context, i int) {
		r := rand.New(rand.NewPCG(a.seed, uint64(i)))
		for ctx.Err() == nil {
			body := make([]byte, r.IntN(2000))
			for j := range body {
				body[j] = byte(r.Uint32())
			}
			if r.IntN(2) == 0 {
				body = append([]byte(`[{"user_id":"v","data":{"a":"`), body...)
			}
			a.request(ctx, i, methods[r.IntN(len(methods))]+" "+paths[r.IntN(len(paths))]+" HTTP/1.1", string(body))
		}
	})
}

// flood posts pushes for the users that name returns, a hundred to a request, on
// connections that are kept.
func flood(name func(i int, r *rand.Rand) string) func(context.Context, *attacker) {
	return func(ctx context.Context, a *attacker) {
		a.crowd(ctx, 8, func(ctx context.Context, i int) {
			c, err := a.dial(ctx, i)
			if err != nil {
				return
			}
			defer c.Close()
			in, random := bufio.NewReader(c), rand.New(rand.NewPCG(a.seed, uint64(i)))
			for ctx.Err() == nil {
				var b strings.Builder
				b.WriteByte('[')
				for n := range 100 {
					if n > 0 {
						b.WriteByte(',')
					}
					fmt.Fprintf(&b, `{"user_id":%q,"data":{"pad":"%s"}}`, name(i, random), strings.Repeat("x", 100))
				}
				b.WriteByte(']')
				fmt.Fprintf(c, "POST /push HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", a.target, a.producer, b.Len(), b.String())
				if a.status(in) == 0 {
					return
				}
			}
		})
	}
}

// unread sends requests and takes no response.
func unread(ctx context.Context, a *attacker) {
	a.crowd(ctx, 200, func(ctx context.Context, i int) {
		c, err := a.dial(ctx, i)
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.(*net.TCPConn).SetReadBuffer(4096)
		for {
			if _, err := fmt.Fprintf(c, "GET /app.js HTTP/1.1\r\nHost: %s\r\n\r\n", a.target); err != nil {
				a.tally.add("cut off")
				return
			}
			if ctx.Err() != nil {
				return
			}
		}
	})
}
