package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/pubsub/nats/embedded"
	"github.com/penstock-go/penstock/pubsub/pubsubtest/cutproxy"
)

// refuses reports whether a process refuses a token.
func (r running) refuses(user, tok string) bool {
	s, err := join(r.t.Context(), r.t, r.listener.Addr().String(), tok, user)
	if err == nil {
		s.conn.CloseNow()
	}
	return err != nil
}

// TestRevocationsReachEachProcess: those that are there, one that joins later, and one
// that was cut off when the tokens were revoked. Tokens that are given later count.
func TestRevocationsReachEachProcess(t *testing.T) {
	t.Parallel() // it waits
	server, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	link := cutproxy.New(t, strings.TrimPrefix(server.URL(), "nats://"))
	secret := fileWith(t, "a secret of more than twenty bytes")
	begin := func(node, url string) running {
		return start(t, "-cluster", url, "-node", node, "-secret-file", secret, "-debug-addr", "127.0.0.1:0")
	}
	a, b := begin("a", server.URL()), begin("b", "nats://"+link.Addr())
	token := func(user string) string {
		tok, err := a.tokenFor(user)
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	revoke := func(r running, user string) {
		t.Helper()
		if status, body := post(t, "http://"+r.debugListener.Addr().String()+"/debug/revoke?user="+user, ""); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
	}
	old := map[string]string{"1": token("1"), "2": token("2"), "3": token("3")}
	there, stays := b.join("1"), b.join("2")
	eventually(t, patience, "the other process", func() bool { return len(b.cluster.nodes()) == 1 && len(a.cluster.nodes()) == 1 })
	revoke(a, "1")
	if _, err := there.next(within(t, patience)); err == nil {
		t.Error("the connection of a revoked token goes on")
	}
	eventually(t, patience, "the revocation at the other process", func() bool { return b.refuses("1", old["1"]) })
	c := begin("c", server.URL())
	eventually(t, patience, "the revocation at one that joins", func() bool { return c.refuses("1", old["1"]) })
	for _, r := range []running{a, b, c} {
		if r.refuses("1", token("1")) || r.refuses("2", old["2"]) {
			t.Errorf("%s refuses a token that counts", r.cfg.Node)
		}
	}
	link.Cut()
	eventually(t, patience, "the end of the connection", func() bool { return !b.endpoint.PubSub().Reach() })
	revoke(a, "2")
	revoke(b, "3") // which the others do not hear of at first
	if b.refuses("2", old["2"]) || !b.refuses("3", old["3"]) {
		t.Error("revoked at the wrong process")
	}
	link.Heal()
	if _, err := stays.next(within(t, patience)); err == nil {
		t.Error("the connection of a revoked token goes on")
	}
	for _, r := range []running{a, b, c} {
		for user := range 3 {
			user := fmt.Sprint(user + 1)
			eventually(t, patience, "each revocation at each process", func() bool { return r.refuses(user, old[user]) })
		}
	}
}

// TestAKeyIsRememberedByItsProcess and by no other one: see docs/cluster.md.
func TestAKeyIsRememberedByItsProcess(t *testing.T) {
	a, b := startPair(t, "-grace", "5s")
	s := b.join("1")
	b.endpoint.PubSub().Settle(t.Context(), "user:1")
	for _, r := range []running{a, a, b, b} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url("/push"), strings.NewReader(`{"user_id":"1","data":{"n":1}}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Idempotency-Key", "k")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusAccepted {
			t.Fatal(resp.Status)
		}
	}
	origins := map[string]bool{}
	for range 2 {
		got, err := s.next(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		origins[got.Origin] = true
	}
	if got, err := s.next(within(t, 100*time.Millisecond)); err == nil || len(origins) != 2 {
		t.Errorf("%+v, origins %v", got, origins)
	}
}
