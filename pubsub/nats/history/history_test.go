package history_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/nats/embedded"
	"github.com/penstock-go/penstock/pubsub/nats/history"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server runs a server with JetStream in dir, and returns a client of it.
func server(dir string) (js jetstream.JetStream, stop func(), err error) {
	s, err := embedded.Start(embedded.Config{Logger: slog.New(slog.DiscardHandler), Configure: func(o *natsserver.Options) {
		o.JetStream, o.StoreDir = true, dir
	}})
	if err != nil {
		return nil, nil, err
	}
	c, err := natsgo.Connect("", s.Options()...)
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	js, err = jetstream.New(c)
	return js, func() { c.Close(); s.Close() }, err
}

func start(t *testing.T) jetstream.JetStream {
	t.Helper()
	js, stop, err := server(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return js
}

func open(t *testing.T, js jetstream.JetStream, cfg history.Config) *history.History {
	t.Helper()
	cfg.Topics = []string{"kept:*"}
	h, err := history.New(t.Context(), js, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHistory(t *testing.T) {
	pubsubtest.TestHistory(t, func(t *testing.T) pubsubtest.Histories {
		js := start(t)
		return pubsubtest.Histories{Nodes: []pubsub.History{open(t, js, history.Config{}), open(t, js, history.Config{})}, Shared: true}
	})
}

// TestAStreamThatIsMadeAnew has other epochs.
func TestAStreamThatIsMadeAnew(t *testing.T) {
	js := start(t)
	h := open(t, js, history.Config{})
	_, at, err := h.Since(t.Context(), "kept:a", pubsub.Position{})
	if !errors.Is(err, pubsub.ErrEpoch) {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), "penstock-history"); err != nil {
		t.Fatal(err)
	}
	h = open(t, js, history.Config{})
	if _, now, err := h.Since(t.Context(), "kept:a", at); !errors.Is(err, pubsub.ErrEpoch) || now.Epoch == at.Epoch {
		t.Errorf("%v at %+v, was %+v", err, now, at)
	}
}

// TestADeliveryIsStoredOnce although two nodes receive it without a position.
func TestADeliveryIsStoredOnce(t *testing.T) {
	js := start(t)
	net := pubsubtest.NewNetwork()
	hubs := make([]*pubsub.Hub, 3)
	for i := range hubs {
		hubs[i], _ = net.Hub(t, fmt.Sprint("n", i), pubsub.Config{History: open(t, js, history.Config{})})
		// Until it runs.
		for hubs[i].Snapshot().Published == 0 {
			<-time.After(time.Millisecond)
			_, _ = hubs[i].DirectBroadcast(t.Context(), "nobody", "t", "e", nil)
		}
	}
	at := make(chan pubsub.Position, 2)
	for _, h := range hubs[1:] {
		if _, err := h.Subscribe("kept:a", pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
			p, _ := m.Position()
			at <- p
			m.Tally().Take()
			m.Tally().Report(time.Now(), nil)
			return true
		})); err != nil {
			t.Fatal(err)
		}
		h.Settle(t.Context(), "kept:a")
	}
	done := make(chan pubsub.Report, 1)
	if err := hubs[0].Deliver(t.Context(), "kept:a", "e", map[string]int{}, func(r pubsub.Report) { done <- r }); err != nil {
		t.Fatal(err)
	}
	if a, b, r := <-at, <-at, <-done; a != b || a.Offset != 1 || r.Err != nil {
		t.Errorf("stored at %+v and %+v: %+v", a, b, r)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	var bad *history.OptionError
	if _, err := history.New(t.Context(), nil, history.Config{Topics: []string{"a"}}); !errors.As(err, &bad) || bad.Option != "js" {
		t.Errorf("%v", err)
	}
}

// Two nodes share what is broadcast on the topics of rooms.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "history")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	js, stop, err := server(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	ctx := context.Background()
	cfg := history.Config{Topics: []string{"room:*"}}
	a, errA := history.New(ctx, js, cfg)
	b, errB := history.New(ctx, js, cfg)
	hub, err := pubsub.New(pubsub.Config{History: a})
	if err := errors.Join(errA, errB, err); err != nil {
		fmt.Println(err)
		return
	}
	_, at, _ := b.Since(ctx, "room:1", pubsub.Position{}) // the present position, and ErrEpoch
	_, _ = hub.Broadcast(ctx, "room:1", "said", map[string]string{"text": "hello"})
	records, _, err := b.Since(ctx, "room:1", at)
	fmt.Println(len(records), records[0].Event, string(records[0].Data), err)
	// Output: 1 said {"text":"hello"} <nil>
}
