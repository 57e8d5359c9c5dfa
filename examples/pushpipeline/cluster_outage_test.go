package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/pubsub/nats/embedded"
	"github.com/penstock-go/penstock/pubsub/pubsubtest/cutproxy"
)

// TestAnOutageOfTheClusterDiscardsNoPush, although it takes ten times -grace: users of
// the process that has the pushes get them meanwhile, those of the other one after it,
// all in order. With Redis it needs a server: make test-redis.
func TestAnOutageOfTheClusterDiscardsNoPush(t *testing.T) {
	for name, server := range map[string]func(t *testing.T) (scheme, addr string){
		"nats": func(t *testing.T) (string, string) {
			server, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Close)
			return "nats://", strings.TrimPrefix(server.URL(), "nats://")
		},
		"Redis": func(t *testing.T) (string, string) {
			at := os.Getenv("PENSTOCK_REDIS")
			if at == "" {
				t.Skip("needs a server: make test-redis, or PENSTOCK_REDIS")
			}
			return "redis://", at
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits
			scheme, addr := server(t)
			link := cutproxy.New(t, addr)
			const grace = 200 * time.Millisecond
			args := []string{"-cluster", scheme + link.Addr(), "-grace", grace.String()}
			a, b := start(t, append(args, "-node", "a")...), start(t, append(args, "-node", "b")...)
			here, there := a.join("1"), b.join("2")
			b.endpoint.PubSub().Settle(t.Context(), "user:2")
			link.Cut()
			ctx := within(t, patience)
			eventually(t, patience, "the end of the connection", func() bool { return !a.endpoint.PubSub().Reach() })
			const count = 20
			for n := range count {
				a.push("1", n)
				a.push("2", n)
				if got, err := here.next(ctx); err != nil || got.Data.N != n {
					t.Fatalf("push %d to the user of this process: %+v, %v", n, got, err)
				}
				<-time.After(10 * grace / count)
			}
			if s := a.status(ctx); s.Delivered != count || sum(s.Discarded) != 0 {
				t.Errorf("in the outage: %d delivered, discarded %v", s.Delivered, s.Discarded)
			}
			link.Heal()
			for n := range count {
				if got, err := there.next(ctx); err != nil || got.Data.N != n {
					t.Fatalf("push %d to the user of the other process: %+v, %v", n, got, err)
				}
			}
			for _, s := range []*subscriber{here, there} {
				s.conn.CloseNow() // the end would wait for a client that does not read
			}
			if sum := a.stop(); sum.Delivered != 2*count || !sum.balanced() {
				t.Errorf("not all have a receipt: %+v", sum)
			}
		})
	}
}
