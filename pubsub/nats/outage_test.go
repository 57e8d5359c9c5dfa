package nats_test

import (
	"log/slog"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/nats"
	"github.com/penstock-go/penstock/pubsub/nats/embedded"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
	"github.com/penstock-go/penstock/pubsub/pubsubtest/cutproxy"
)

// TestAServerThatTakesNothingIsWaitedForInBounds: publishing goes on without a wait, the
// oldest messages are dropped and counted, and the other node reports a loss.
func TestAServerThatTakesNothingIsWaitedForInBounds(t *testing.T) {
	server := startServer(t, embedded.Config{Listen: "127.0.0.1:0"})
	link := cutproxy.New(t, server.Server.Addr().String())
	// The connection is not given up during the test.
	patient := []natsgo.Option{natsgo.PingInterval(time.Minute), natsgo.FlusherTimeout(time.Minute)}
	a, ra, _ := runHub(t, nats.Config{Node: "a", URL: "nats://" + link.Addr(), Options: patient, OutboxBytes: 1 << 20})
	b, rb, _ := runHub(t, nats.Config{Node: "b", Options: server.Options(), DownAfter: time.Minute})
	last := make(chan struct{}, 1)
	if _, err := b.Subscribe("t", pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
		if m.Event == "last" {
			last <- struct{}{}
		}
		return true
	})); err != nil {
		t.Fatal(err)
	}
	b.Settle(t.Context(), "t")
	await(t, "the other node", func() bool { return len(rb.Snapshot().Nodes) == 1 })
	lost := rb.Snapshot().Lost
	link.Gate.Lock()
	payload := pubsub.Binary(make([]byte, 100_000))
	for range 500 {
		if _, err := a.Broadcast(t.Context(), "t", "e", payload); err != nil {
			t.Fatal(err)
		}
		if s := ra.Snapshot(); s.OutboxBytes > 2<<20 {
			t.Fatalf("%d bytes wait", s.OutboxBytes)
		}
	}
	if s := ra.Snapshot(); s.DroppedOut == 0 || !s.Connected {
		t.Errorf("nothing was dropped: %+v", s)
	}
	if _, err := a.Broadcast(t.Context(), "t", "last", nil); err != nil {
		t.Fatal(err)
	}
	link.Gate.Unlock()
	<-last
	await(t, "the report of the loss", func() bool { return rb.Snapshot().Lost > lost })
}

// TestARemoteRunsAgain with the topics that it had.
func TestARemoteRunsAgain(t *testing.T) {
	server := startServer(t, embedded.Config{})
	a, _, _ := runHub(t, nats.Config{Node: "a", Options: server.Options()})
	r := newRemote(t, nats.Config{Node: "b", Options: server.Options()})
	b, err := pubsub.New(pubsub.Config{Remote: r, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Subscribe("user:1", taker(nil)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		stop := pubsubtest.Run(t, b.Run)
		b.Settle(t.Context(), "user:1")
		if err := r.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := reported(t, a, "user:1"); got.Err != nil {
			t.Error(got.Err)
		}
		stop()
	}
}
