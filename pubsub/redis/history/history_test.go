package history_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
	"github.com/penstock-go/penstock/pubsub/redis/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config returns the configuration of a cluster of its own on the server of the tests.
func config(t *testing.T) history.Config {
	t.Helper()
	at := os.Getenv("PENSTOCK_REDIS")
	if at == "" {
		t.Skip("needs a server: make test-redis, or PENSTOCK_REDIS")
	}
	return history.Config{Topics: []string{"kept:*"}, Prefix: "test-" + rand.Text(), Options: &goredis.UniversalOptions{Addrs: []string{at}}, Idle: 10 * time.Minute}
}

func open(t *testing.T, cfg history.Config) *history.History {
	t.Helper()
	h, err := history.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func TestHistory(t *testing.T) {
	pubsubtest.TestHistory(t, func(t *testing.T) pubsubtest.Histories {
		cfg := config(t)
		return pubsubtest.Histories{Nodes: []pubsub.History{open(t, cfg), open(t, cfg)}, Shared: true}
	})
}

func kept(t *testing.T, h *history.History) pubsub.Position {
	t.Helper()
	m := &pubsub.Message{Topic: "kept:a", Event: "e", Payload: pubsub.Payload{Data: []byte("{}")}}
	if err := h.Append(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	at, _ := m.Position()
	return at
}

// TestAStreamThatIsLost begins anew with another epoch, also if it is there without
// records.
func TestAStreamThatIsLost(t *testing.T) {
	cfg := config(t)
	h := open(t, cfg)
	client := goredis.NewUniversalClient(cfg.Options)
	defer client.Close()
	at := kept(t, h)
	keys := client.Keys(t.Context(), cfg.Prefix+"*").Val()
	if len(keys) != 1 || client.PTTL(t.Context(), keys[0]).Val() <= 0 {
		t.Fatalf("keys %q, of which one expires", keys)
	}
	for name, lose := range map[string]func() error{
		"deleted": func() error { return client.Del(t.Context(), keys[0]).Err() },
		"emptied": func() error { return client.XTrimMaxLen(t.Context(), keys[0], 0).Err() },
	} {
		if err := lose(); err != nil {
			t.Fatal(err)
		}
		next := kept(t, h)
		if _, now, err := h.Since(t.Context(), "kept:a", at); !errors.Is(err, pubsub.ErrEpoch) || now != next || next.Offset != 1 || next.Epoch == at.Epoch {
			t.Errorf("%s: %v, now %+v, was %+v", name, err, now, at)
		}
		at = next
	}
}

// TestWhatIsTooOldIsNotRead, although the stream has it.
func TestWhatIsTooOldIsNotRead(t *testing.T) {
	cfg := config(t)
	cfg.Age = time.Millisecond
	h := open(t, cfg)
	at := kept(t, h)
	at.Offset = 0
	for {
		if _, now, err := h.Since(t.Context(), "kept:a", at); errors.Is(err, pubsub.ErrTrimmed) && now.Offset == 1 {
			return
		} else if err != nil || t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

// TestADeliveryIsStoredOnce although two nodes receive it without a position.
func TestADeliveryIsStoredOnce(t *testing.T) {
	cfg := config(t)
	net := pubsubtest.NewNetwork()
	hubs := make([]*pubsub.Hub, 3)
	for i := range hubs {
		hubs[i], _ = net.Hub(t, fmt.Sprint("n", i), pubsub.Config{History: open(t, cfg)})
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

// TestWithoutAServerCallsEnd at their time limit, and are counted.
func TestWithoutAServerCallsEnd(t *testing.T) {
	var lines bytes.Buffer
	h := open(t, history.Config{Topics: []string{"kept:*"}, Options: &goredis.UniversalOptions{Addrs: []string{"127.0.0.1:1"}}, Timeout: 120 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&lines, nil))})
	m := &pubsub.Message{Topic: "kept:a", Event: "e", Payload: pubsub.Payload{Data: []byte("{}")}}
	if err := h.Append(t.Context(), m); err == nil {
		t.Error("Append has kept a message without a server")
	}
	if _, _, err := h.Since(t.Context(), "kept:a", pubsub.Position{}); err == nil {
		t.Error("Since returns a position without a server")
	}
	if s := h.Snapshot(); s.Failed != 2 || s.Retried == 0 || s.Appended != 0 {
		t.Errorf("%+v", s)
	}
	if strings.Count(lines.String(), "\n") != 1 {
		t.Errorf("logged %q", lines.String())
	}
}

func TestOptionsAreChecked(t *testing.T) {
	topics := []string{"a"}
	for option, cfg := range map[string]history.Config{
		"Topics": {}, "Prefix": {Topics: topics, Prefix: "a b"}, "Events": {Topics: topics, Events: -1}, "Age": {Topics: topics, Age: 1},
		"Idle": {Topics: topics, Idle: time.Second}, "Timeout": {Topics: topics, Timeout: -1},
		"Options": {Topics: topics, Options: &goredis.UniversalOptions{Addrs: []string{"a:1", "b:1"}}},
	} {
		var bad *history.OptionError
		if _, err := history.New(cfg); !errors.As(err, &bad) || bad.Option != option {
			t.Errorf("%s: %v", option, err)
		}
	}
}

// A client that was at one node gets what it missed at another one. Calls fail without
// a server.
func ExampleNew() {
	h, err := history.New(history.Config{Topics: []string{"room:*"}, Options: &goredis.UniversalOptions{Addrs: []string{"127.0.0.1:1"}}, Timeout: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	_, _, err = h.Since(context.Background(), "room:1", pubsub.Position{})
	fmt.Println(h.Keeps("room:1"), h.Keeps("user:1"), err != nil)
	// Output: true false true
}
