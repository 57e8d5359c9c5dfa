package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/metrics"
)

// guess sends a password from an address, and returns the status and Retry-After.
func guess(g *gate, addr, user, password string) (int, string) {
	r := httptest.NewRequest(http.MethodGet, "/admin", nil)
	r.RemoteAddr = addr
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	w := httptest.NewRecorder()
	if g.pass(w, r) {
		return http.StatusOK, ""
	}
	return w.Code, w.Header().Get("Retry-After")
}

func TestWrongPasswordsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		g := newGate(config{AdminPassword: "right", AdminAttempts: 3}, metrics.Nop(), slog.New(slog.NewTextHandler(&log, nil)))
		check := func(addr, user, password string, status int, retry string) {
			t.Helper()
			if got, after := guess(g, addr, user, password); got != status || after != retry {
				t.Errorf("%s: status %d, Retry-After %q", addr, got, after)
			}
		}
		const here, there = "192.0.2.1:5", "192.0.2.2:5"
		for range 10 { // no attempts
			check(here, "", "", http.StatusUnauthorized, "")
		}
		check(here, adminName, "a", http.StatusUnauthorized, "")
		check(here, "root", "right", http.StatusUnauthorized, "")
		check(here, adminName, "", http.StatusUnauthorized, "")
		// One comes back in 20 s, from any port; until then the right one is refused as well.
		check(here, adminName, "b", http.StatusTooManyRequests, "20")
		check("192.0.2.1:6", adminName, "right", http.StatusTooManyRequests, "20")
		check(there, adminName, "right", http.StatusOK, "")
		time.Sleep(19 * time.Second)
		check(here, adminName, "right", http.StatusTooManyRequests, "1")
		time.Sleep(time.Second)
		check(here, adminName, "right", http.StatusOK, "")
		if n := strings.Count(log.String(), "wrong passwords at /admin"); n < 1 || n > 3 {
			t.Errorf("%d lines: %s", n, &log)
		}
	})
}

// TestManyAddressesAreLimitedTogether: strangers with many addresses may try ten times as
// often as one, and do not lock out the address of the admin.
func TestManyAddressesAreLimitedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(config{AdminPassword: "right", AdminAttempts: 3}, metrics.Nop(), slog.New(slog.DiscardHandler))
		const admin = "[2001:db8:1:1::1]:1"
		if status, _ := guess(g, admin, adminName, "right"); status != http.StatusOK {
			t.Fatal(status)
		}
		tries, addr := 0, netip.MustParseAddr("198.51.100.0")
		for begun := time.Now(); time.Since(begun) < 10*time.Minute; time.Sleep(100 * time.Millisecond) {
			addr = addr.Next()
			if status, _ := guess(g, netip.AddrPortFrom(addr, 1).String(), adminName, "wrong"); status == http.StatusUnauthorized {
				tries++
			}
		}
		// 30 at once and 30 a minute.
		if tries < 329 || tries > 331 {
			t.Errorf("%d attempts in ten minutes", tries)
		}
		if n := len(g.attempts.from); n > 60 {
			t.Errorf("%d addresses are kept", n)
		}
		guess(g, "203.0.113.1:1", adminName, "wrong") // the last one for now, if there was one
		if status, retry := guess(g, "[2001:db8:9::1]:1", adminName, "right"); status != http.StatusTooManyRequests || retry != "2" {
			t.Error(status, retry)
		}
		// The network of the admin, not only its last address.
		if status, _ := guess(g, "[2001:db8:1:1::2]:1", adminName, "right"); status != http.StatusOK {
			t.Error(status)
		}
	})
}

// TestTheAdminsPageIsLimited: the limit is in front of all of /admin.
func TestTheAdminsPageIsLimited(t *testing.T) {
	t.Parallel()
	a := start(t, "-admin-attempts", "2")
	for n, want := range []int{http.StatusUnauthorized, http.StatusUnauthorized, http.StatusTooManyRequests} {
		path := []string{"/admin", "/admin/release", "/admin/token"}[n]
		req, err := http.NewRequestWithContext(t.Context(), []string{"GET", "POST", "GET"}[n], a.address()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(adminName, "guess")
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want || (want == http.StatusTooManyRequests) != (resp.Header.Get("Retry-After") != "") {
			t.Error(path, resp.StatusCode, resp.Header)
		}
	}
}
