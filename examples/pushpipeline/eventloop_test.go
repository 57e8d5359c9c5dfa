package main

import (
	"runtime"
	"strings"
	"testing"
)

// TestEventLoop: clients in event loops get their pushes, after a rest as well.
func TestEventLoop(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("event loops need Linux")
	}
	r := start(t, "-event-loop", "-users", "2")
	for _, user := range []string{"1", "2"} {
		s := r.join(user)
		for n := range 3 {
			r.push(user, n)
			if got, err := s.next(within(t, patience)); err != nil || got.Data.N != n {
				t.Errorf("push %d of user %s: %+v, %v", n, user, got, err)
			}
		}
		s.conn.CloseNow()
	}
}

// TestEventLoopIsRefused where it would change nothing.
func TestEventLoopIsRefused(t *testing.T) {
	for _, tc := range []struct {
		cfg          config
		system, want string
	}{
		{config{EventLoop: true}, "linux", ""},
		{config{TLSCert: "cert.pem"}, "windows", ""},
		{config{EventLoop: true}, "darwin", "-event-loop needs Linux"},
		{config{EventLoop: true, TLSCert: "cert.pem"}, "linux", "does not go with -tls-cert"},
	} {
		err := tc.cfg.validateEventLoop(tc.system)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v on %s: %v, want %q", tc.cfg, tc.system, err, tc.want)
		}
	}
}
