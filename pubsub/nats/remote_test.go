package nats_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/nats"
	"github.com/penstock-go/penstock/pubsub/nats/embedded"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
	"github.com/penstock-go/penstock/pubsub/pubsubtest/cutproxy"
)

// runHub makes a hub on a remote and runs it until the end of the test or until stop.
func runHub(t testing.TB, cfg nats.Config) (h *pubsub.Hub, r *nats.Remote, stop func()) {
	t.Helper()
	r = newRemote(t, cfg)
	h, err := pubsub.New(pubsub.Config{Remote: r, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	stop = pubsubtest.Run(t, h.Run)
	if err := r.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h, r, stop
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

// TestADeliveryThatNoNodeWantsEndsAtOnce: the server says so, also over routes.
func TestADeliveryThatNoNodeWantsEndsAtOnce(t *testing.T) {
	servers := startServers(t, 2)
	a, ra, _ := runHub(t, nats.Config{Node: "a", Options: servers[0].Options()})
	b, rb, _ := runHub(t, nats.Config{Node: "b", Options: servers[1].Options()})
	// Settle waits for the servers of the nodes that are known.
	for _, r := range []*nats.Remote{ra, rb} {
		await(t, "the other node", func() bool { return len(r.Snapshot().Nodes) == 1 })
	}
	if r := reported(t, a, "user:1"); !errors.Is(r.Err, pubsub.ErrNoSubscriber) {
		t.Errorf("reported %v", r.Err)
	}
	sub, err := b.Subscribe("user:1", taker(nil))
	if err != nil {
		t.Fatal(err)
	}
	b.Settle(t.Context(), "user:1")
	if r := reported(t, a, "user:1"); r.Err != nil {
		t.Errorf("reported %v of a user at the other node", r.Err)
	}
	sub.Unsubscribe()
	await(t, "the end of the interest", func() bool { return rb.Snapshot().Topics == 0 })
	if err := rb.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := reported(t, a, "user:1"); !errors.Is(r.Err, pubsub.ErrNoSubscriber) {
		t.Errorf("reported %v of a user who has left", r.Err)
	}
	if s := a.Snapshot(); s.Unanswered != 0 {
		t.Errorf("%d have ended by time", s.Unanswered)
	}
}

// TestANegativeAnswerEndsADeliverySoon, although other nodes may be asked as well.
func TestANegativeAnswerEndsADeliverySoon(t *testing.T) {
	server := startServer(t, embedded.Config{})
	a, ra, _ := runHub(t, nats.Config{Node: "a", Options: server.Options()})
	b, _, _ := runHub(t, nats.Config{Node: "b", Options: server.Options()})
	if _, err := b.Subscribe("user:1", pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
		m.Tally().Refuse(pubsub.ErrFull)
		return false
	})); err != nil {
		t.Fatal(err)
	}
	b.Settle(t.Context(), "user:1")
	await(t, "the other node", func() bool { return len(ra.Snapshot().Nodes) == 1 })
	// By the answers of all nodes and not by time; a slow machine may need another attempt.
	for attempt := 0; ; attempt++ {
		before := a.Snapshot().Unanswered
		if r := reported(t, a, "user:1"); !errors.Is(r.Err, pubsub.ErrFull) {
			t.Fatalf("reported %v", r.Err)
		}
		if s := a.Snapshot(); s.Unanswered == before {
			break
		} else if attempt == 10 {
			t.Fatalf("each delivery has ended by time: %+v", s)
		}
	}
}

// second runs a node and then another one of its name, and returns the error of the other one.
// It is nil if the first one did not reply to the claim within a second, as on a busy machine:
// then the name is the other one's.
func second(t *testing.T, one, other *nats.Remote) error {
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
	servers := startServers(t, 2)
	for _, server := range servers { // at the same server and at another one
		var err error
		for attempt := 0; attempt < 10 && err == nil; attempt++ {
			err = second(t, newRemote(t, nats.Config{Node: "same", Options: servers[0].Options()}), newRemote(t, nats.Config{Node: "same", Options: server.Options()}))
		}
		var name *nats.NameError
		if !errors.As(err, &name) || name.Node != "same" || name.Fenced || !strings.Contains(err.Error(), `"same"`) {
			t.Errorf("Run: %v", err)
		}
	}
	_, _, stop := runHub(t, nats.Config{Node: "same", Options: servers[0].Options()})
	// The name is free again at once: a claim without a reply takes a second. A busy
	// machine may need another attempt.
	for attempt := 1; ; attempt++ {
		stop()
		begin := time.Now()
		_, _, stop = runHub(t, nats.Config{Node: "same", Options: servers[1].Options()})
		if d := time.Since(begin); d < time.Second {
			break
		} else if attempt == 10 {
			t.Fatalf("joined after %v, and as late each time before", d)
		}
	}
}

// TestOfTwoThatClaimANameAtOnceOneHasIt.
func TestOfTwoThatClaimANameAtOnceOneHasIt(t *testing.T) {
	server := startServer(t, embedded.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error, 4)
	var group sync.WaitGroup
	for range cap(failed) {
		r := newRemote(t, nats.Config{Node: "same", Options: server.Options()})
		group.Go(func() {
			if err := r.Run(ctx, nothing{}); err != nil {
				failed <- err
			}
		})
	}
	for range cap(failed) - 1 {
		var name *nats.NameError
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

// TestAnOlderNodeOfTheSameNameIsFenced: both have joined while the servers were apart.
func TestAnOlderNodeOfTheSameNameIsFenced(t *testing.T) {
	first := startServer(t, embedded.Config{ClusterListen: "127.0.0.1:0"})
	link := cutproxy.New(t, first.ClusterAddr())
	link.Cut()
	second := startServer(t, embedded.Config{Join: []string{link.Addr()}, JoinTimeout: 1})
	old := make(chan error, 1)
	older := newRemote(t, nats.Config{Node: "same", Options: first.Options()})
	go func() { old <- older.Run(t.Context(), nothing{}) }()
	if err := older.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, young, _ := runHub(t, nats.Config{Node: "same", Options: second.Options()})
	link.Heal()
	var name *nats.NameError
	if err := <-old; !errors.As(err, &name) || !name.Fenced {
		t.Errorf("the older one: %v", err)
	}
	if !young.Snapshot().Connected {
		t.Error("the younger one has ended as well")
	}
}

func TestAMessageThatIsTooLargeIsRefusedWithTheLimit(t *testing.T) {
	server := startServer(t, embedded.Config{})
	a, r, _ := runHub(t, nats.Config{Node: "a", Options: server.Options()})
	_, err := a.Broadcast(t.Context(), "t", "e", pubsub.Binary(make([]byte, 1<<20)))
	var large *nats.TooLargeError
	var remote *pubsub.RemoteError
	if !errors.As(err, &remote) || !errors.As(err, &large) || large.Limit != 1<<20 || large.Size <= large.Limit {
		t.Errorf("Broadcast: %v", err)
	}
	if s := r.Snapshot(); s.TooLarge != 1 || !s.Connected {
		t.Errorf("%+v", s)
	}
}

func TestWithoutAServerPublishFailsAtOnce(t *testing.T) {
	target := startServer(t, embedded.Config{Listen: "127.0.0.1:0"})
	link := cutproxy.New(t, target.Server.Addr().String())
	link.Cut()
	r := newRemote(t, nats.Config{Node: "a", URL: "nats://" + link.Addr()})
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
		if !errors.As(err, &remote) || !errors.Is(err, nats.ErrNotConnected) || n != 1 {
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
		// The client reports the end some time after the remote has noticed it.
		await(t, "the end of the connection", func() bool { s := r.Snapshot(); return !s.Connected && s.Disconnects == disconnects })
	}
	if s := r.Snapshot(); s.Lost == 0 || s.Reconnects != 1 || s.Disconnects != 2 {
		t.Errorf("%+v", s)
	}
}

// TestACutBetweenServersIsReported: no connection of a node is lost, but messages are.
func TestACutBetweenServersIsReported(t *testing.T) {
	first := startServer(t, embedded.Config{ClusterListen: "127.0.0.1:0"})
	link := cutproxy.New(t, first.ClusterAddr())
	second := startServer(t, embedded.Config{Join: []string{link.Addr()}})
	_, a, _ := runHub(t, nats.Config{Node: "a", Options: first.Options()})
	_, b, _ := runHub(t, nats.Config{Node: "b", Options: second.Options()})
	for _, r := range []*nats.Remote{a, b} {
		await(t, "the other node", func() bool { return len(r.Snapshot().Nodes) == 1 })
	}
	lostA, lostB := a.Snapshot().Lost, b.Snapshot().Lost
	link.Cut()
	await(t, "the end of the routes", func() bool { return first.Routes() == 0 && second.Routes() == 0 })
	for _, server := range []*embedded.Server{first, second} {
		awaitBeats(t, server, 2)
	}
	link.Heal()
	await(t, "the loss", func() bool { return a.Snapshot().Lost > lostA && b.Snapshot().Lost > lostB })
	if !a.Snapshot().Connected || !b.Snapshot().Connected {
		t.Error("a node has lost its connection")
	}
}

// awaitBeats waits until the nodes at a server have beaten n times.
func awaitBeats(t *testing.T, server *embedded.Server, n int) {
	t.Helper()
	conn, err := natsgo.Connect("", server.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	beats, err := conn.SubscribeSync("penstock.c.all")
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if _, err := beats.NextMsg(time.Minute); err != nil {
			t.Fatal(err)
		}
	}
}

// TestApplicationsShareAServer without hearing each other.
func TestApplicationsShareAServer(t *testing.T) {
	server := startServer(t, embedded.Config{})
	a, _, _ := runHub(t, nats.Config{Node: "a", Prefix: "one", Options: server.Options()})
	b, r, _ := runHub(t, nats.Config{Node: "a", Prefix: "two.x", Options: server.Options()}) // the same name is no fault
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

// TestPrefixesMayBeginOneAnother: the subjects of one are no topics of the other.
func TestPrefixesMayBeginOneAnother(t *testing.T) {
	server := startServer(t, embedded.Config{})
	a, r, _ := runHub(t, nats.Config{Node: "a", Prefix: "one", Options: server.Options()})
	for _, topic := range []string{"c", "c.all", "k", "n", "o"} {
		if _, err := a.Subscribe(topic, taker(nil)); err != nil {
			t.Fatal(err)
		}
		a.Settle(t.Context(), topic)
	}
	_, _, stop := runHub(t, nats.Config{Node: "b", Prefix: "one.t", Options: server.Options()})
	stop() // it has said who it is, and that it leaves
	if err := r.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := r.Snapshot(); s.Received != 0 || s.Malformed != 0 || s.Unknown != 0 || len(s.Nodes) != 0 {
		t.Errorf("%+v", s)
	}
}

// TestHostileFramesAreCountedAndDropped.
func TestHostileFramesAreCountedAndDropped(t *testing.T) {
	server := startServer(t, embedded.Config{})
	h, r, _ := runHub(t, nats.Config{Node: "a", Options: server.Options()})
	other, err := natsgo.Connect("", server.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for subject, all := range map[string][]string{
		"penstock.c.all": {"", "\x01", "\x02\x01", "\x01\x01\xff\xff\xff\xff\xff", "\x01\x63\x01x\x01y\x00\x00\x00\x00\x00"},
		"penstock.o.a":   {"nonsense"},
		"penstock.n.a":   {"nonsense", "\x01\xff"},
	} {
		for _, data := range all {
			if err := other.Publish(subject, []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
	}
	await(t, "all to be counted", func() bool {
		s, hs := r.Snapshot(), h.Snapshot()
		return s.Versions == 2 && s.Malformed == 3 && s.Unknown == 1 && hs.Malformed+hs.Versions == 2
	})
	if s := r.Snapshot(); !s.Connected || len(s.Nodes) != 0 {
		t.Errorf("%+v", s)
	}
}

// TestNodesKnowEachOther, and learn at once who leaves.
func TestNodesKnowEachOther(t *testing.T) {
	servers := startServers(t, 3)
	var all []*nats.Remote
	var stops []func()
	for i, name := range []string{"a", "b", "c"} {
		_, r, stop := runHub(t, nats.Config{Node: name, Options: servers[i].Options(), DownAfter: time.Hour})
		all, stops = append(all, r), append(stops, stop)
	}
	await(t, "all", func() bool {
		return slices.Equal(all[0].Snapshot().Nodes, []string{"b", "c"}) && slices.Equal(all[2].Snapshot().Nodes, []string{"a", "b"})
	})
	stops[1]()
	await(t, "the end of one", func() bool { return slices.Equal(all[0].Snapshot().Nodes, []string{"c"}) })
}

func TestAServerThatRefusesEndsRun(t *testing.T) {
	server := startServer(t, embedded.Config{Listen: "127.0.0.1:0", Configure: requirePassword})
	limit, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	with := func(password string) nats.Config {
		return nats.Config{Node: "a", URL: "nats://" + server.Server.Addr().String(), Options: []natsgo.Option{natsgo.UserInfo("a", password)}}
	}
	err := newRemote(t, with("wrong")).Run(limit, nothing{})
	if err == nil || !strings.Contains(strings.ToLower(err.Error()), "authorization") {
		t.Errorf("Run: %v", err)
	}
	_, _, _ = runHub(t, with("right"))
}

func TestOptionsAreChecked(t *testing.T) {
	for option, cfg := range map[string]nats.Config{
		"Node": {Node: strings.Repeat("n", 201)}, "Prefix": {Prefix: "a.*"}, "OutboxBytes": {OutboxBytes: 1}, "InboxBytes": {InboxBytes: -1},
		"Beat": {Beat: 1}, "DownAfter": {Beat: time.Second, DownAfter: time.Second},
	} {
		var bad *nats.OptionError
		if _, err := nats.New(cfg); !errors.As(err, &bad) || bad.Option != option {
			t.Errorf("%s: %v", option, err)
		}
	}
	if r := newRemote(t, nats.Config{}); r.Node() == "" || r.Node() == newRemote(t, nats.Config{}).Node() {
		t.Errorf("made up name %q", r.Node())
	}
}

// TestThePasswordOfAURLIsNotInTheError, although its text cannot be parsed.
func TestThePasswordOfAURLIsNotInTheError(t *testing.T) {
	err := newRemote(t, nats.Config{URL: "nats://user:secret/x@127.0.0.1:4222"}).Run(t.Context(), nothing{})
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "Config.URL") {
		t.Errorf("Run: %v", err)
	}
}

// nothing ignores what arrives.
type nothing struct{}

func (nothing) Receive([]byte) {}
func (nothing) Lost(string)    {}
