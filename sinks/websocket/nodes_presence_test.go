package websocket_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
)

// present is a node whose channels track their users.
type present struct {
	*fixture
	tracker *presence.Tracker
	stop    func() // the tracker, then the hub
}

func presentNode(t *testing.T, net *pubsubtest.Network, name string) *present {
	t.Helper()
	hub, stopHub := net.Hub(t, name, pubsub.Config{})
	tracker, err := presence.New(presence.Config{Hub: hub})
	if err != nil {
		t.Fatal(err)
	}
	stop := pubsubtest.Run(t, tracker.Run)
	n := &present{tracker: tracker, stop: func() { stop(); synctest.Wait(); stopHub() }}
	n.fixture = start(t, setup{pipes: true, endpoint: websocket.EndpointConfig{PubSub: hub}, mount: websocket.MountConfig{Timeouts: websocket.Timeouts{Idle: time.Hour}}, channels: map[string]*app{"room:*": {
		join: func(_ context.Context, ch *websocket.Channel, p websocket.Payload) (any, error) {
			return nil, ch.Send(p)
		},
		info: func(ctx context.Context, ch *websocket.Channel, msg any) error {
			var who struct{ Name string }
			if err := msg.(websocket.Payload).Decode(&who); err != nil {
				return err
			}
			_, err := tracker.Track(ctx, ch.Topic(), who.Name, nil)
			return err
		},
	}}})
	return n
}

// enter joins the room as a user.
func (n *present) enter(name string) (*channeltest.Client, *channeltest.Channel) {
	c := channeltest.Connect(n.t, n.endpoint, "/socket/websocket")
	ch := c.Join("room:a", map[string]string{"name": name})
	synctest.Wait()
	return c, ch
}

func (n *present) who() string {
	var names []string
	for name := range n.tracker.List("room:a") {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// moves are the diffs that a client has got: "+ann -bob".
func moves(t *testing.T, ch *channeltest.Channel) string {
	t.Helper()
	var all []string
	for _, data := range ch.Received("presence_diff") {
		var diff presence.Diff
		if err := json.Unmarshal(data, &diff); err != nil {
			t.Fatal(err)
		}
		for name := range diff.Joins {
			all = append(all, "+"+name)
		}
		for name := range diff.Leaves {
			all = append(all, "-"+name)
		}
	}
	return strings.Join(all, " ")
}

// TestPresenceOfTwoNodes: both nodes show the users of both, also when a user
// leaves, a node ends in good order, and a node falls silent.
func TestPresenceOfTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := pubsubtest.NewNetwork()
		a, b := presentNode(t, net, "a"), presentNode(t, net, "b")
		pass := func(d time.Duration) { <-time.After(d); synctest.Wait() }
		check := func(what, onA, onB string) {
			t.Helper()
			if gotA, gotB := a.who(), b.who(); gotA != onA || gotB != onB {
				t.Errorf("%s: a shows %q, want %q; b shows %q, want %q", what, gotA, onA, gotB, onB)
			}
		}
		_, ann := a.enter("ann")
		bobs, _ := b.enter("bob")
		pass(2 * time.Second)
		check("joined", "ann bob", "ann bob")
		bobs.Close()
		pass(2 * time.Second)
		check("left", "ann", "ann")
		b.enter("cid")
		pass(2 * time.Second)
		if got := moves(t, ann); got != "+ann +bob -bob +cid" {
			t.Errorf("ann's client saw %q", got)
		}
		net.CutOneWay("b", "a")
		pass(time.Minute)
		check("b is silent", "ann", "ann cid")
		net.Heal()
		pass(20 * time.Second)
		check("b is back", "ann cid", "ann cid")
		b.stop()
		synctest.Wait()
		check("b has ended", "ann", "ann cid")
		a.stop()
	})
}
