package main

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	client "github.com/coder/websocket"
)

// TestRevokedTokens: a user's connections end, and do not come back with the tokens that
// the user has had.
func TestRevokedTokens(t *testing.T) {
	t.Parallel()
	r := start(t, "-debug-addr", "127.0.0.1:0", "-demo")
	old, err := r.tokenFor("1")
	if err != nil {
		t.Fatal(err)
	}
	revoked, other := r.join("1"), r.join("2")
	url := "http://" + r.debugListener.Addr().String() + "/debug/revoke?user="
	if status, body := post(t, url+"1", ""); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if _, err := revoked.next(within(t, patience)); client.CloseStatus(err) != client.StatusGoingAway {
		t.Errorf("the revoked one: %v", err)
	}
	if _, err := join(t.Context(), t, r.listener.Addr().String(), old, "1"); err == nil {
		t.Error("connected with a revoked token")
	}
	if _, err := other.next(within(t, 50*time.Millisecond)); client.CloseStatus(err) != -1 {
		t.Errorf("another user: %v", err)
	}
	r.join("1") // some milliseconds later, in which tokens have their end
	for _, wrong := range []string{"", "a:b"} {
		if status, body := post(t, url+wrong, ""); status != http.StatusBadRequest {
			t.Errorf("%q: %d %s", wrong, status, body)
		}
	}
	// Never for clients.
	if status, _ := post(t, r.url("/debug/revoke?user=2"), ""); status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
		t.Errorf("on the public port: %d", status)
	}
}

// TestRevocationsAreBounded: what is remembered is as old as a token at most.
func TestRevocationsAreBounded(t *testing.T) {
	r, now := newRevocations(time.Minute), time.Unix(1_000_000, 0)
	for n := range maxRevoked {
		if !r.revoke(strconv.Itoa(n), now) {
			t.Fatalf("%d refused", n)
		}
	}
	if r.revoke("more", now) || !r.revoke("7", now) {
		t.Error("no bound, or one that was known was refused")
	}
	for _, tt := range []struct {
		ends time.Duration
		want error
	}{{time.Second, errRevoked}, {time.Minute, errRevoked}, {time.Minute + time.Millisecond, nil}} {
		if err := r.check(user{"7", now.Add(tt.ends)}); err != tt.want {
			t.Errorf("%v: %v", tt.ends, err)
		}
	}
	if !r.revoke("more", now.Add(time.Minute+1)) || len(r.until) != 1 {
		t.Errorf("%d are remembered", len(r.until))
	}
}
