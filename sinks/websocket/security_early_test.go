package websocket_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// securityBeforeAuthentication: with this protocol a client authenticates in
// its handshake, so that before it there is only an HTTP request. After it a
// client has been let in; Timeouts.Unjoined is for applications that let in every client.
func securityBeforeAuthentication(t *testing.T) {
	t.Run("handshake", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			f := start(t, setup{pipes: true, server: &websocket.ServerConfig{Plaintext: true},
				socket: websocket.SocketConfig[user]{Connect: func(context.Context, *websocket.ConnectRequest) (user, error) {
					asked++
					return user{}, nil
				}}})
			silent := f.dialRaw()
			if d, got := silent.hungUp(); d > 6*time.Second || d < 4*time.Second || got != "" {
				t.Errorf("silent: closed after %v with %q", d, got)
			}
			garbage := f.dialRaw()
			garbage.write([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 garbage\r\n\r\n"))
			if d, got := garbage.hungUp(); d > 6*time.Second || !strings.HasPrefix(got, "HTTP/1.1 400") {
				t.Errorf("garbage: closed after %v with %q", d, got)
			}
			drip := f.dialRaw()
			var group sync.WaitGroup
			group.Go(func() { // a byte a second
				for _, b := range []byte(f.upgradeRequest("")) {
					if _, err := drip.nc.Write([]byte{b}); err != nil {
						return
					}
					pass(time.Second)
				}
			})
			if d, got := drip.hungUp(); d > 6*time.Second || strings.Contains(got, "101") {
				t.Errorf("drip: closed after %v with %q", d, got)
			}
			group.Wait()
			if asked != 0 {
				t.Errorf("Connect was asked %d times", asked)
			}
		})
	})
	t.Run("memory", func(t *testing.T) {
		f := start(t, setup{server: &websocket.ServerConfig{Timeouts: websocket.ServerTimeouts{Header: time.Minute}}})
		const n = 500
		request := f.upgradeRequest("")
		for _, sent := range []string{"", request[:len(request)-5]} { // silent, and about to finish
			stack, heap := resident()
			goroutines := runtime.NumGoroutine()
			clients := make([]*rawClient, n)
			for i := range clients {
				c := f.dialRaw()
				c.r = nil // the client's buffer does not count
				c.write([]byte(sent))
				clients[i] = c
			}
			// As many of those before it may still have been about as are left below.
			eventually(t, func() bool { return runtime.NumGoroutine() > goroutines+n-10 })
			moreStack, moreHeap := resident()
			each := (moreStack - stack + moreHeap - heap) / n
			t.Logf("%d bytes of stack and heap for each of %d connections that sent %d bytes", each, n, len(sent))
			if each > preAuthBytes {
				t.Errorf("%d bytes for each, want %d at most", each, preAuthBytes)
			}
			for _, c := range clients {
				_ = c.nc.Close()
			}
			eventually(t, func() bool { return runtime.NumGoroutine() < goroutines+10 })
		}
	})
	t.Run("join", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": {}}, mount: websocket.MountConfig{Timeouts: websocket.Timeouts{Unjoined: 5 * time.Second}}})
			stays := f.connect("1")
			stays.join(1, "room:a")
			silent, beats, drips := f.raw(), f.raw(), f.raw()
			var group sync.WaitGroup
			expect := func(what string, c *rawClient, want int) {
				begin := time.Now()
				group.Go(func() {
					if code := c.closeCode(); code != want {
						t.Errorf("%s: closed with %d", what, code)
					}
					if d := time.Since(begin); d > 6*time.Second {
						t.Errorf("%s: closed after %v", what, d)
					}
				})
			}
			expect("silent", silent, 4002)
			expect("heartbeats", beats, 4002)
			expect("drip", drips, 4002)
			garbage := f.raw()
			expect("garbage", garbage, 1011)
			garbage.frame(0x81, []byte("garbage"))
			refused := f.raw()
			expect("join of nothing", refused, 4002)
			refused.frame(0x81, []byte(`["1","1","nothing","phx_join",{}]`))
			slow := maskedFrame(0x81, []byte(`["1","1","room:b","phx_join",{}]`))
			for i := range 6 {
				beats.frame(0x81, fmt.Appendf(nil, `[null,"%d","phoenix","heartbeat",{}]`, i))
				drips.write(slow[i : i+1])
				pass(time.Second)
			}
			group.Wait()
			stays.send(`[null,"9","phoenix","heartbeat",{}]`)
			stays.expect(`[null,"9","phoenix","phx_reply",{"response":{},"status":"ok"}]`)
		})
	})
}
