package pubsubtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

// node is a remote under test with a receiver that writes down what arrives.
type node struct {
	pubsub.Remote
	t    *testing.T
	stop func()

	// mu guards what follows. change, of capacity 1, wakes the test.
	mu     sync.Mutex
	got    []string // of the test: "origin topic event payload"
	raw    [][]byte
	log    []string // events and losses, of testCut
	hello  map[string]bool
	ended  bool
	change chan struct{}
}

// newNode runs a remote until the end of the test or until stop. The node wants
// topic before it runs.
func newNode(t *testing.T, r pubsub.Remote) *node {
	n := &node{Remote: r, t: t, hello: make(map[string]bool), change: make(chan struct{}, 1)}
	n.join(topic)
	// ended is set once Run has returned, so a message after it is a fault of the
	// remote.
	stop := Run(t, func(ctx context.Context) error { return r.Run(ctx, n) })
	n.stop = func() {
		stop()
		n.mu.Lock()
		n.ended = true
		n.mu.Unlock()
	}
	return n
}

// topic is the topic that all nodes of a test want.
const topic = "topic"

// join makes the node want a topic, if its remote has interest.
func (n *node) join(topic string) {
	if r, ok := n.Remote.(pubsub.InterestedRemote); ok {
		r.Join(topic)
	}
}

// sync waits until all joins and leaves so far are in effect on every node.
func (n *node) sync() {
	n.t.Helper()
	if r, ok := n.Remote.(pubsub.InterestedRemote); ok {
		ctx, cancel := context.WithTimeout(n.t.Context(), patience)
		defer cancel()
		if err := r.Sync(ctx); err != nil {
			n.t.Fatalf("Sync: %v", err)
		}
	}
}

// Receive implements pubsub.Receiver. It runs on the remote's goroutine. The
// messages of connect are kept apart, since how many of them arrive is not
// determined.
func (n *node) Receive(data []byte) {
	m, err := pubsub.Decode(data)
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case err != nil:
		n.t.Errorf("%s: %v", n.Node(), err)
	case n.ended:
		n.t.Errorf("%s received after the end of Run", n.Node())
	case m.Event == "hello":
		n.hello[m.Topic] = true
	default:
		n.got = append(n.got, fmt.Sprint(m.Topic, " ", m.Event, " ", m.Payload.Binary, " ", string(m.Payload.Data)))
		n.raw = append(n.raw, data)
		n.log = append(n.log, m.Event)
	}
	n.poke()
}

// lost is a loss in node.log.
const lost = "LOST"

// Lost implements pubsub.Receiver. Remotes may also report a loss when they
// connect, before anything has come.
func (n *node) Lost(string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.log) > 0 {
		n.log = append(n.log, lost)
	}
	n.poke()
}

// poke wakes the test.
func (n *node) poke() {
	select {
	case n.change <- struct{}{}:
	default:
	}
}

// has reports whether an event that begins like this has come. The mutex is held.
func (n *node) has(event string) bool {
	return slices.ContainsFunc(n.log, func(e string) bool { return strings.HasPrefix(e, event) })
}

// until waits until done reports true for what the node has, and fails the test
// after patience. done is called with the node's mutex held.
func (n *node) until(what string, done func() bool) {
	n.t.Helper()
	// One timer for the whole wait, however often the node changes.
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		n.mu.Lock()
		ok := done()
		n.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-n.change:
		case <-timeout.C:
			n.mu.Lock()
			defer n.mu.Unlock()
			n.t.Fatalf("%s waited in vain for %s, has %.2000q", n.Node(), what, n.got)
		}
	}
}

// untilReach waits until the remote has reach, or none, if it knows that.
func (n *node) untilReach(want bool) {
	n.t.Helper()
	r, ok := n.Remote.(pubsub.ReachRemote)
	if !ok {
		return
	}
	for begin := time.Now(); r.Reach() != want; <-time.After(moment / 10) {
		if time.Since(begin) > patience {
			n.t.Fatalf("Reach of %s is not %t", n.Node(), want)
		}
	}
}

// expect waits for exactly these messages, in their order, and forgets them.
func (n *node) expect(want ...string) {
	n.t.Helper()
	n.until(fmt.Sprintf("%.2000q", want), func() bool { return len(n.got) >= len(want) })
	n.mu.Lock()
	defer n.mu.Unlock()
	if got := strings.Join(n.got, "|"); got != strings.Join(want, "|") {
		n.t.Errorf("%s received\n%.2000q, want\n%.2000q", n.Node(), n.got, want)
	}
	n.got, n.raw = nil, nil
}

// quiet reports messages that must not come. It can only wait for a moment: a
// message that takes longer is found by the next expect.
func (n *node) quiet() {
	n.t.Helper()
	<-time.After(moment)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.got) > 0 {
		n.t.Errorf("%s received %.2000q, want nothing", n.Node(), n.got)
	}
}

// connect waits until each node reaches each other one. A backplane may take a
// while to make a new subscription known, so the greeting is sent again until it
// arrives.
func connect(t *testing.T, nodes []*node) {
	t.Helper()
	for _, from := range nodes {
		for _, to := range nodes {
			if from == to {
				continue
			}
			// Ends with the context of the test, if the nodes never connect.
			for reached := false; !reached; {
				if t.Context().Err() != nil {
					t.Fatal("not connected")
				}
				_, _ = from.Publish(t.Context(), to.Node(), message(t, from.Node(), from.Node(), "hello", nil)) // tried again
				select {
				case <-to.change:
				case <-time.After(moment):
				}
				to.mu.Lock()
				reached = to.hello[from.Node()]
				to.mu.Unlock()
			}
		}
		from.sync()
	}
}

// publish publishes from the test's goroutine and checks the number of nodes,
// unless the remote does not count them.
func (n *node) publish(to, topic, event string, payload any, nodes int) {
	n.t.Helper()
	got, err := n.Publish(n.t.Context(), to, message(n.t, n.Node(), topic, event, payload))
	if err != nil {
		n.t.Errorf("Publish: %v", err)
	}
	if got != nodes && got != -1 {
		n.t.Errorf("handed to %d nodes, want %d or -1", got, nodes)
	}
}

// catcher is a remote that keeps the message that its hub publishes, so that
// message can get one without access to pubsub's internals.
type catcher struct {
	name string
	m    *pubsub.Message
}

func (c *catcher) Node() string { return c.name }
func (c *catcher) Run(ctx context.Context, _ pubsub.Receiver) error {
	<-ctx.Done()
	return nil
}

func (c *catcher) Publish(_ context.Context, _ string, m *pubsub.Message) (int, error) {
	c.m = m
	return 0, nil
}

// message makes a message as the hub of a node publishes it.
func message(t *testing.T, node, topic, event string, payload any) *pubsub.Message {
	t.Helper()
	c := &catcher{name: node}
	h, err := pubsub.New(pubsub.Config{Remote: c, Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Broadcast(t.Context(), topic, event, payload); err != nil {
		t.Fatal(err)
	}
	return c.m
}
