package redis_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstock-go/penstock/internal/sourcetest"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
	"github.com/penstock-go/penstock/pubsub/redis"
)

// cluster is a place for nodes of one test.
type cluster struct {
	addr, prefix string
}

func newCluster(t testing.TB) cluster {
	return cluster{sourcetest.Server(t, "redis"), newPrefix()}
}

func (c cluster) config(node string) redis.Config {
	return redis.Config{Node: node, Prefix: c.prefix, Options: at(c.addr)}
}

// reported delivers and returns the report.
func reported(t testing.TB, h *pubsub.Hub, topic string) pubsub.Report {
	t.Helper()
	got := make(chan pubsub.Report, 1)
	if err := h.Deliver(t.Context(), topic, "e", nil, func(r pubsub.Report) { got <- r }); err != nil {
		t.Fatal(err)
	}
	return <-got
}

// taker takes deliveries and reports err for each.
func taker(err error) pubsub.Subscriber {
	return pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
		m.Tally().Take()
		m.Tally().Report(time.Now(), err)
		return true
	})
}

// refuser refuses deliveries.
var refuser = pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
	m.Tally().Refuse(pubsub.ErrFull)
	return false
})

// TestADeliveryThatNoNodeWantsEndsAtOnce: the server counts subscribers, of which the
// node itself may be one.
func TestADeliveryThatNoNodeWantsEndsAtOnce(t *testing.T) {
	c := newCluster(t)
	a, ra, _ := runHub(t, c.config("a"))
	b, rb, _ := runHub(t, c.config("b"))
	check := func(what string, want error) {
		t.Helper()
		if r := reported(t, a, "user:1"); !errors.Is(r.Err, want) {
			t.Errorf("%s: reported %v, want %v", what, r.Err, want)
		}
	}
	check("nowhere", pubsub.ErrNoSubscriber)
	there, err := b.Subscribe("user:1", taker(nil))
	if err != nil {
		t.Fatal(err)
	}
	b.Settle(t.Context(), "user:1")
	check("at the other node", nil)
	here, err := a.Subscribe("user:1", refuser)
	if err != nil {
		t.Fatal(err)
	}
	a.Settle(t.Context(), "user:1")
	check("at both, and full here", nil)
	there.Unsubscribe()
	await(t, "the end of the interest", func() bool { return rb.Snapshot().Topics == 0 })
	if err := rb.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("here alone, and full", pubsub.ErrFull)
	here.Unsubscribe()
	await(t, "the end of the interest", func() bool { return ra.Snapshot().Topics == 0 })
	check("at none any more", pubsub.ErrNoSubscriber)
	if s := a.Snapshot(); s.Unanswered != 0 {
		t.Errorf("%d have ended by time", s.Unanswered)
	}
}

// TestNodesJoinAtOnce: each has the beats of others while it joins.
func TestNodesJoinAtOnce(t *testing.T) {
	c := newCluster(t)
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all []*redis.Remote
	for i := range 8 {
		cfg := c.config(fmt.Sprint("n", i))
		cfg.Beat = 10 * time.Millisecond
		r := newRemote(t, cfg)
		all = append(all, r)
		running.Go(func() {
			if err := r.Run(ctx, nothing{}); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	for _, r := range all {
		await(t, "the others", func() bool { return len(r.Snapshot().Nodes) == len(all)-1 })
	}
}

// second runs a node and then another one of its name, and returns the error of the other one.
// It is nil if the first one did not reply to the claim within a second, as on a busy machine:
// then the name is the other one's.
func second(t *testing.T, one, other *redis.Remote) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- one.Run(ctx, nothing{}) }()
	if err := one.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 1)
	go func() { refused <- other.Run(ctx, nothing{}) }()
	select {
	case err := <-refused:
		cancel()
		<-ended
		return err
	case <-ended:
		cancel()
		<-refused
		return nil
	}
}

func TestASecondNodeOfANameIsRefused(t *testing.T) {
	c := newCluster(t)
	var err error
	for attempt := 0; attempt < 10 && err == nil; attempt++ {
		err = second(t, newRemote(t, c.config("same")), newRemote(t, c.config("same")))
	}
	var name *redis.NameError
	if !errors.As(err, &name) || name.Node != "same" || name.Fenced || !strings.Contains(err.Error(), `"same"`) {
		t.Errorf("Run: %v", err)
	}
	_, _, stop := runHub(t, c.config("same"))
	// The name is free again at once: a claim without a reply takes a second. A busy
	// machine may need another attempt.
	for attempt := 1; ; attempt++ {
		stop()
		begin := time.Now()
		_, _, stop = runHub(t, c.config("same"))
		if d := time.Since(begin); d < time.Second {
			break
		} else if attempt == 10 {
			t.Fatalf("joined after %v, and as late each time before", d)
		}
	}
}

// TestOfTwoThatClaimANameAtOnceOneHasIt.
func TestOfTwoThatClaimANameAtOnceOneHasIt(t *testing.T) {
	c := newCluster(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error, 4)
	var group sync.WaitGroup
	for range cap(failed) {
		r := newRemote(t, c.config("same"))
		group.Go(func() {
			if err := r.Run(ctx, nothing{}); err != nil {
				failed <- err
			}
		})
	}
	for range cap(failed) - 1 {
		var name *redis.NameError
		if err := <-failed; !errors.As(err, &name) {
			t.Error(err)
		}
	}
	cancel()
	group.Wait()
	if len(failed) > 0 {
		t.Errorf("no node has the name: %v", <-failed)
	}
}

func TestAMessageThatIsTooLargeIsRefusedWithTheLimit(t *testing.T) {
	c := newCluster(t)
	cfg := c.config("a")
	cfg.MessageBytes = 1 << 10
	a, r, _ := runHub(t, cfg)
	_, err := a.Broadcast(t.Context(), "t", "e", pubsub.Binary(make([]byte, 1<<10)))
	var large *redis.TooLargeError
	var remote *pubsub.RemoteError
	if !errors.As(err, &remote) || !errors.As(err, &large) || large.Limit != 1<<10 || large.Size <= large.Limit {
		t.Errorf("Broadcast: %v", err)
	}
	if s := r.Snapshot(); s.TooLarge != 1 || !s.Connected {
		t.Errorf("%+v", s)
	}
}

// TestApplicationsShareAServer without hearing each other.
func TestApplicationsShareAServer(t *testing.T) {
	c := newCluster(t)
	a, _, _ := runHub(t, c.config("a"))
	c.prefix += ".t"
	b, r, _ := runHub(t, c.config("a")) // the same name is no fault
	if _, err := b.Subscribe("t", taker(nil)); err != nil {
		t.Fatal(err)
	}
	b.Settle(t.Context(), "t")
	if r := reported(t, a, "t"); !errors.Is(r.Err, pubsub.ErrNoSubscriber) {
		t.Error(r.Err)
	}
	if s := r.Snapshot(); len(s.Nodes) != 0 || s.Received != 0 {
		t.Errorf("%+v", s)
	}
}

// TestHostileMessagesAreCountedAndDropped.
func TestHostileMessagesAreCountedAndDropped(t *testing.T) {
	c := newCluster(t)
	h, r, _ := runHub(t, c.config("a"))
	other := goredis.NewUniversalClient(at(c.addr))
	defer other.Close()
	n := byte(0)
	from := func(data string) string { // with a header
		n++
		return "\x01sender--\x00\x00\x00\x00\x00\x00\x00" + string(n) + data
	}
	for _, e := range [][]string{ // a channel and what is sent there
		{".c.all", "", "\x01", "\x02\x01", "\x01short", from(""), from("\x01"), from("\x02\x01"), from("\x01\x01\xff\xff\xff\xff\xff"), from("\x01\x63\x01x\x01y\x00\x00\x00\x00\x00")},
		{".o.a", from("nonsense")},
		{".n.a", from("nonsense"), from("\x01\xff"), "\x01sender--\x00\x00\x00\x00\x00\x00\x00\x00late"},
	} {
		for _, data := range e[1:] {
			if err := other.Publish(t.Context(), c.prefix+e[0], data).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	await(t, "all to be counted", func() bool {
		s, hs := r.Snapshot(), h.Snapshot()
		return s.Versions == 3 && s.Malformed == 6 && s.Unknown == 1 && s.Late == 1 && hs.Malformed+hs.Versions == 2
	})
	if s := r.Snapshot(); !s.Connected || len(s.Nodes) != 0 {
		t.Errorf("%+v", s)
	}
}

// TestNodesKnowEachOther, and learn at once who leaves.
func TestNodesKnowEachOther(t *testing.T) {
	c := newCluster(t)
	var all []*redis.Remote
	var stops []func()
	for _, name := range []string{"a", "b", "c"} {
		cfg := c.config(name)
		cfg.DownAfter = time.Hour
		_, r, stop := runHub(t, cfg)
		all, stops = append(all, r), append(stops, stop)
	}
	await(t, "all", func() bool {
		return slices.Equal(all[0].Snapshot().Nodes, []string{"b", "c"}) && slices.Equal(all[2].Snapshot().Nodes, []string{"a", "b"})
	})
	stops[1]()
	await(t, "the end of one", func() bool { return slices.Equal(all[0].Snapshot().Nodes, []string{"c"}) })
}

// TestManyTopicsAreSubscribedInBatches, and again by the next Run.
func TestManyTopicsAreSubscribedInBatches(t *testing.T) {
	c := newCluster(t)
	a, _, _ := runHub(t, c.config("a"))
	r := newRemote(t, c.config("b"))
	b, err := pubsub.New(pubsub.Config{Remote: r, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	const count = 5000
	for i := range count {
		if _, err := b.Subscribe(fmt.Sprint("user:", i), taker(nil)); err != nil {
			t.Fatal(err)
		}
	}
	last := fmt.Sprint("user:", count-1)
	for range 2 {
		stop := pubsubtest.Run(t, b.Run)
		b.Settle(t.Context(), last)
		if err := r.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, topic := range []string{"user:0", last} {
			if got := reported(t, a, topic); got.Err != nil {
				t.Errorf("%s: %v", topic, got.Err)
			}
		}
		stop()
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for option, cfg := range map[string]redis.Config{
		"Node": {Node: strings.Repeat("n", 201)}, "Prefix": {Prefix: "a b"}, "OutboxBytes": {OutboxBytes: 1}, "InboxBytes": {InboxBytes: -1},
		"Beat": {Beat: 1}, "DownAfter": {Beat: time.Second, DownAfter: time.Second}, "MessageBytes": {MessageBytes: 1},
		"Options": {Options: &goredis.UniversalOptions{Addrs: []string{"a:1", "b:1"}}},
	} {
		var bad *redis.OptionError
		if _, err := redis.New(cfg); !errors.As(err, &bad) || bad.Option != option {
			t.Errorf("%s: %v", option, err)
		}
	}
	if r := newRemote(t, redis.Config{}); r.Node() == "" || r.Node() == newRemote(t, redis.Config{}).Node() {
		t.Errorf("made up name %q", r.Node())
	}
}

// nothing ignores what arrives.
type nothing struct{}

func (nothing) Receive([]byte) {}
func (nothing) Lost(string)    {}
