package redis_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstock-go/penstock/internal/sourcetest"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
	"github.com/penstock-go/penstock/pubsub/pubsubtest/cutproxy"
	"github.com/penstock-go/penstock/pubsub/redis"
)

func TestWithoutAServerPublishFailsAtOnce(t *testing.T) {
	c := newCluster(t)
	link := cutproxy.New(t, c.addr)
	link.Cut()
	cfg := c.config("a")
	cfg.Options = at(link.Addr())
	r := newRemote(t, cfg)
	h, err := pubsub.New(pubsub.Config{Remote: r, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	pubsubtest.Run(t, h.Run)
	got := make(chan string, 10)
	if _, err := h.Subscribe("t", pubsub.SubscriberFunc(func(m *pubsub.Message) bool { got <- m.Event; return true })); err != nil {
		t.Fatal(err)
	}
	for n := range 2 { // before the first connection, and after it is lost
		disconnects := int64(n + 1)
		var remote *pubsub.RemoteError
		n, err := h.Broadcast(t.Context(), "t", "local", nil)
		if !errors.As(err, &remote) || !errors.Is(err, redis.ErrNotConnected) || n != 1 {
			t.Errorf("Broadcast: %d, %v", n, err)
		}
		if e := <-got; e != "local" {
			t.Errorf("received %q", e)
		}
		link.Heal()
		if err := r.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Broadcast(t.Context(), "t", "e", nil); err != nil {
			t.Error(err)
		}
		<-got
		link.Cut()
		// The link counts its end some time after the remote is not connected.
		await(t, "the end of the connection", func() bool { s := r.Snapshot(); return !s.Connected && s.Disconnects == disconnects })
	}
	if s := r.Snapshot(); s.Lost == 0 || s.Reconnects != 1 || s.Disconnects != 2 {
		t.Errorf("%+v", s)
	}
}

// TestAServerThatTakesNothingIsWaitedForInBounds: publishing goes on without a wait, the
// oldest messages are dropped and counted, and the other node reports a loss.
func TestAServerThatTakesNothingIsWaitedForInBounds(t *testing.T) {
	c := newCluster(t)
	link := cutproxy.New(t, c.addr)
	cfg := c.config("a")
	cfg.OutboxBytes = 1 << 20
	// The connection is not given up during the test.
	cfg.Options = &goredis.UniversalOptions{Addrs: []string{link.Addr()}, ReadTimeout: time.Minute, WriteTimeout: time.Minute}
	a, ra, _ := runHub(t, cfg)
	cfg = c.config("b")
	cfg.DownAfter = time.Minute
	b, rb, _ := runHub(t, cfg)
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

// TestASilentServerIsGivenUp: the connection stays open, but nothing comes. The end of Run
// does not wait for it either.
func TestASilentServerIsGivenUp(t *testing.T) {
	c := newCluster(t)
	link := cutproxy.New(t, c.addr)
	cfg := c.config("a")
	cfg.Options = &goredis.UniversalOptions{Addrs: []string{link.Addr()}, ReadTimeout: 200 * time.Millisecond, WriteTimeout: 200 * time.Millisecond}
	_, r, _ := runHub(t, cfg)
	cfg.Node, cfg.Options = "b", &goredis.UniversalOptions{Addrs: []string{link.Addr()}, ReadTimeout: time.Minute, WriteTimeout: time.Minute}
	_, _, stop := runHub(t, cfg)
	link.Gate.Lock()
	await(t, "the end of the connection", func() bool { return !r.Snapshot().Connected })
	begin := time.Now()
	stop()
	if d := time.Since(begin); d > 20*time.Second { // of the minute of ReadTimeout
		t.Errorf("the end took %v", d)
	}
	link.Gate.Unlock()
	if err := r.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := r.Snapshot(); s.Reconnects == 0 || s.Lost == 0 {
		t.Errorf("%+v", s)
	}
}

// TestANodeThatStoodStillIsFenced: another one takes its name meanwhile.
func TestANodeThatStoodStillIsFenced(t *testing.T) {
	c := newCluster(t)
	link := cutproxy.New(t, c.addr)
	cfg := c.config("same")
	cfg.Options = &goredis.UniversalOptions{Addrs: []string{link.Addr()}, ReadTimeout: time.Minute, WriteTimeout: time.Minute}
	r := newRemote(t, cfg)
	old := make(chan error, 1)
	go func() { old <- r.Run(t.Context(), nothing{}) }()
	if err := r.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	link.Gate.Lock()
	_, young, _ := runHub(t, c.config("same")) // after claimPatience
	link.Gate.Unlock()
	var name *redis.NameError
	if err := <-old; !errors.As(err, &name) || !name.Fenced {
		t.Errorf("the older one: %v", err)
	}
	if !young.Snapshot().Connected {
		t.Error("the younger one has ended as well")
	}
}

// TestASubscriberThatRedisEndsIsReported: it ends those that read too slowly.
func TestASubscriberThatRedisEndsIsReported(t *testing.T) {
	c := newCluster(t)
	_, r, _ := runHub(t, c.config("a"))
	client := goredis.NewUniversalClient(at(c.addr))
	defer client.Close()
	lost := r.Snapshot().Lost
	if err := client.Do(t.Context(), "client", "kill", "type", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	await(t, "the loss", func() bool { s := r.Snapshot(); return s.Lost > lost && s.Reconnects > 0 && s.Connected })
}

func TestAServerThatRefusesEndsRun(t *testing.T) {
	c := newCluster(t)
	client := goredis.NewUniversalClient(at(c.addr))
	defer client.Close()
	if err := client.Do(t.Context(), "acl", "setuser", "penstock", "on", ">right", "resetchannels", "&"+c.prefix+".*", "+publish", "+subscribe", "+unsubscribe", "+ping").Err(); err != nil {
		t.Fatal(err)
	}
	defer client.Do(context.WithoutCancel(t.Context()), "acl", "deluser", "penstock")
	with := func(password string) redis.Config {
		cfg := c.config("a")
		cfg.Options = &goredis.UniversalOptions{Addrs: []string{c.addr}, Username: "penstock", Password: password}
		return cfg
	}
	limit, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := newRemote(t, with("wrong")).Run(limit, nothing{})
	if err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("Run: %v", err)
	}
	_, _, stop := runHub(t, with("right")) // with the rights of the package comment
	stop()
}

// TestAServerThatIsKilledAndComesBack: its nodes connect and subscribe again.
func TestAServerThatIsKilledAndComesBack(t *testing.T) {
	c := newCluster(t)
	server := sourcetest.Control("redis")
	if server == nil {
		t.Skip("the server is not ours to kill: make test-redis")
	}
	a, ra, _ := runHub(t, c.config("a"))
	b, rb, _ := runHub(t, c.config("b"))
	if _, err := b.Subscribe("user:1", taker(nil)); err != nil {
		t.Fatal(err)
	}
	b.Settle(t.Context(), "user:1")
	server(t, "kill")
	await(t, "the end of the connections", func() bool { return !ra.Snapshot().Connected && !rb.Snapshot().Connected })
	server(t, "start")
	for _, r := range []*redis.Remote{ra, rb} {
		if err := r.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if r := reported(t, a, "user:1"); r.Err != nil {
		t.Errorf("reported %v", r.Err)
	}
	if s := rb.Snapshot(); s.Lost == 0 {
		t.Errorf("no loss: %+v", s)
	}
}
