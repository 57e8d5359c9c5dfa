package presence_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

// stuck is a remote whose network takes nothing until it is told to.
type stuck struct {
	in chan pubsub.Receiver

	mu     sync.Mutex
	stands bool
	events []string
}

func (s *stuck) Node() string { return "a" }

func (s *stuck) Run(ctx context.Context, in pubsub.Receiver) error {
	s.in <- in
	<-ctx.Done()
	return nil
}

func (s *stuck) Publish(ctx context.Context, to string, m *pubsub.Message) (int, error) {
	s.mu.Lock()
	stands := s.stands
	s.mu.Unlock()
	if stands {
		<-ctx.Done() // a context that never ends would hang here
		return 0, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, to+":"+m.Event)
	return -1, nil
}

func (s *stuck) stand(stands bool) (events []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stands = stands
	events, s.events = s.events, nil
	return events
}

// sentBy makes the bytes of a message that a node sends.
func sentBy(t *testing.T, node, topic, event string, payload any) []byte {
	t.Helper()
	c := &catch{node: node}
	hub, err := pubsub.New(pubsub.Config{Remote: c})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hub.Broadcast(t.Context(), topic, event, payload); err != nil {
		t.Fatal(err)
	}
	return c.data
}

type catch struct {
	node string
	data []byte
}

func (c *catch) Node() string                               { return c.node }
func (c *catch) Run(context.Context, pubsub.Receiver) error { return errors.New("never run") }
func (c *catch) Publish(_ context.Context, _ string, m *pubsub.Message) (int, error) {
	c.data = m.Append(nil)
	return 0, nil
}

// TestReceivingNeverWaits: what comes in is taken while the network takes nothing
// and while Fetch does not return. What is to be sent waits, once for each node.
func TestReceivingNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remote := &stuck{in: make(chan pubsub.Receiver, 1)}
		hub, err := pubsub.New(pubsub.Config{Remote: remote})
		if err != nil {
			t.Fatal(err)
		}
		fetching := make(chan struct{})
		tr := newTracker(t, presence.Config{Hub: hub, Fetch: func(context.Context, string, []string) (map[string]map[string]any, error) {
			<-fetching
			return nil, nil
		}})
		stopHub := pubsubtest.Run(t, hub.Run)
		stop := pubsubtest.Run(t, tr.Run)
		in := <-remote.in
		pass(time.Second)
		if events := remote.stand(true); fmt.Sprint(events) != "[:request :heartbeat]" {
			t.Errorf("sent %s", events)
		}
		const topic = "phx_presence:presence"
		begin := time.Now()
		for range 1000 {
			in.Receive(sentBy(t, "b", topic, "request", map[string]any{}))
		}
		in.Receive(sentBy(t, "b", topic, "state", json.RawMessage(`{"process":{"gen":1,"id":1},"v":1,"joins":[{"ref":"r","topic":"room","key":"k","meta":{"phx_ref":"r"}}]}`)))
		in.Receive(sentBy(t, "b", topic, "delta", json.RawMessage(`{"process":{"gen":1,"id":1},"since":7,"v":8}`)))
		if time.Since(begin) != 0 || tr.Count("room") != 1 {
			t.Errorf("receiving took %v, %d are present", time.Since(begin), tr.Count("room"))
		}
		pass(10 * time.Second)
		if s := tr.Snapshot(); s.Waiting > 3 || s.Failed == 0 || fmt.Sprint(s.Up, s.Node) != "[b]a" {
			t.Errorf("%+v", s)
		}
		remote.stand(false)
		pass(2 * time.Second)
		events := map[string]int{}
		for _, e := range remote.stand(false) {
			events[e]++
		}
		if events["b:state"] != 1 || events["b:request"] != 1 {
			t.Errorf("sent %v", events)
		}
		// What no tracker sends is ignored.
		for _, payload := range []string{`{"process":"x"}`, `{"process":{"gen":1,"id":1},"v":9,"joins":[{"ref":"","meta":{}}]}`, `{"process":{"gen":1,"id":1},"v":9,"joins":[{"ref":"s","meta":5}]}`} {
			in.Receive(sentBy(t, "b", topic, "state", json.RawMessage(payload)))
		}
		in.Receive(sentBy(t, "b", topic, "later", json.RawMessage(`{"process":{"gen":1,"id":1},"v":1}`)))
		if s := tr.Snapshot(); s.Malformed != 3 || s.Unknown != 1 || tr.Count("room") != 1 {
			t.Errorf("%+v", s)
		}
		close(fetching)
		remote.stand(true) // also the goodbye is bounded
		begin = time.Now()
		stop()
		if d := time.Since(begin); d > 2*time.Second {
			t.Errorf("the end took %v", d)
		}
		stopHub()
	})
}

// TestADeadNode: a node whose process stands still leaves everywhere after the
// down period, and another process under its name takes its place.
func TestADeadNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := newCluster(t, "a", "b", "c")
		ctx, cancel := owner(t)
		track(t, m["a"].Tracker, ctx, "room", "x", nil)
		track(t, m["b"].Tracker, ctx, "room", "y", nil)
		pass(2 * time.Second)
		is(t, keys(m["c"]), "xy")
		c.net.CutOneWay("a", "b")
		c.net.CutOneWay("a", "c")
		pass(time.Minute)
		is(t, keys(m["b"])+" "+keys(m["c"])+" "+keys(m["a"]), "y y xy")
		m["a"].stop() // its goodbye is lost
		c.net.Heal()
		m["a"] = c.start("a")
		pass(2 * time.Second)
		track(t, m["a"].Tracker, ctx, "room", "z", nil)
		pass(2 * time.Second)
		is(t, keys(m["b"])+" "+keys(m["c"])+" "+keys(m["a"]), "yz yz yz")
		for _, x := range m {
			x.stop()
		}
		cancel()
	})
}
