package nats_test

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/nats"
	"github.com/penstock-go/penstock/pubsub/nats/embedded"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

// TestAJoinWarnsOfNothing: a node that joins others loses nothing by it.
func TestAJoinWarnsOfNothing(t *testing.T) {
	server := startServer(t, embedded.Config{})
	_, ra, _ := runHub(t, nats.Config{Node: "a", Options: server.Options()})
	_, _, _ = runHub(t, nats.Config{Node: "b", Options: server.Options()})
	await(t, "the other node", func() bool { return len(ra.Snapshot().Nodes) == 1 })
	<-time.After(150 * time.Millisecond) // some beats
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelWarn}))
	r, err := nats.New(nats.Config{Node: "c", Options: server.Options(), Beat: 50 * time.Millisecond, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	h, err := pubsub.New(pubsub.Config{Remote: r, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	stop := pubsubtest.Run(t, h.Run)
	await(t, "both other nodes", func() bool { return len(r.Snapshot().Nodes) == 2 })
	stop()
	if text.Len() > 0 {
		t.Error(text.String())
	}
}
