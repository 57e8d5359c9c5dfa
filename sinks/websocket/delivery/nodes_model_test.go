package delivery_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
)

// TestModelOfDeliveriesOverNodes: users move between nodes, whose backplane comes and
// goes, and of which some stand still; clients stall as well. The network delays messages
// and, with odd seeds, loses them. Each push has one receipt, and what connections got
// agrees with it: no push comes after a newer one. PENSTOCK_LONG=1 runs 5,000 seeds.
func TestModelOfDeliveriesOverNodes(t *testing.T) {
	seeds := uint64(250)
	if os.Getenv("PENSTOCK_LONG") != "" {
		seeds = 5000
	}
	ends := map[string]int{}
	for seed := range seeds {
		bubble(t, func(t *testing.T) { deliverOverNodes(t, seed, ends) })
		if t.Failed() {
			return
		}
	}
	t.Log(ends)
	// A model in which nothing happens would always be green.
	if ends[done] == 0 || ends[noSubscriber] == 0 || ends["repeated"] == 0 {
		t.Error("something never happened")
	}
}

func deliverOverNodes(t *testing.T, seed uint64, total map[string]int) {
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	r := rand.New(rand.NewPCG(seed, 1))
	net := pubsubtest.NewNetwork()
	net.Uncounted = r.IntN(3) == 0
	names := []string{"a", "b", "c"}[:2+r.IntN(2)]
	var rigs []*rig
	for _, name := range names {
		o := options{config: delivery.Config[push]{Grace: time.Second, Timeout: 5 * time.Second}}
		o.hub, _ = net.Hub(t, name, pubsub.Config{RemoteTimeout: time.Second})
		rigs = append(rigs, start(t, o))
	}
	disturb := func() {
		f := pubsubtest.Faults{Seed: r.Uint64(), MaxDelay: 100 * time.Millisecond}
		if seed%2 == 1 {
			f.Lost = 0.2 * r.Float64()
		}
		net.Disturb(f)
	}
	disturb()
	type connection struct {
		user    int
		client  *channeltest.Client
		channel *channeltest.Channel
		closed  bool
	}
	var connections []*connection
	owners := make([]map[int]int, len(rigs)) // of pushes, by the node that made them
	for i := range owners {
		owners[i] = map[int]int{}
	}
	frozen := map[string]bool{}
	for range 40 {
		// The pushes of a user come from one node, as from a partition.
		user := r.IntN(4)
		home := user % len(rigs)
		switch x := r.IntN(14); {
		case x == 13:
			if r.IntN(2) == 0 {
				net.Reconnect()
			} else {
				net.Disconnect(names[:r.IntN(len(names)+1)]...) // of none: all
			}
		case x == 10:
			if name := names[r.IntN(len(names))]; frozen[name] {
				net.Thaw(name)
				frozen[name] = false
			} else {
				net.Freeze(name)
				frozen[name] = true
			}
		case x == 11 && len(connections) > 0:
			connections[r.IntN(len(connections))].client.Pause()
		case x == 12 && len(connections) > 0:
			connections[r.IntN(len(connections))].client.Resume()
		case x < 5:
			for range 1 + r.IntN(3) { // several wait for one that is not finished
				owners[home][rigs[home].pushPadded(fmt.Sprint(user), 0)] = user
			}
		case x < 7:
			client, channel := rigs[r.IntN(len(rigs))].join(fmt.Sprint(user))
			connections = append(connections, &connection{user: user, client: client, channel: channel})
		case x < 8 && len(connections) > 0:
			if c := connections[r.IntN(len(connections))]; !c.closed {
				c.closed = true
				c.client.Close()
			}
		case x < 9 && seed%2 == 1:
			a, b := r.IntN(len(names)), r.IntN(len(names))
			net.Heal()
			if a != b {
				net.Cut(names[a], names[b])
			}
		default:
			disturb()
		}
		pass(time.Duration(r.IntN(400)) * time.Millisecond)
	}
	net.Heal()
	net.Reconnect()
	net.Disturb(pubsubtest.Faults{})
	for _, name := range names {
		net.Thaw(name)
	}
	for _, c := range connections {
		c.client.Resume()
	}
	pass(20 * time.Second)
	got := make([]map[int]int, len(rigs)) // connections that have a push
	for i := range got {
		got[i] = map[int]int{}
	}
	for i, c := range connections {
		last := -1
		for _, data := range c.channel.Received("push") {
			var p payload
			if err := json.Unmarshal(data, &p); err != nil {
				t.Fatal(err)
			}
			home := c.user % len(rigs)
			if user, ok := owners[home][p.N]; !ok || user != c.user {
				t.Errorf("connection %d of user %d got push %d of user %d", i, c.user, p.N, user)
			}
			if p.N < last {
				t.Errorf("connection %d of user %d got push %d after %d", i, c.user, p.N, last)
			}
			if p.N == last {
				total["repeated"]++
			}
			last = p.N
			got[home][p.N]++
		}
	}
	for home, rig := range rigs {
		rig.mu.Lock()
		for n, user := range owners[home] {
			ends := rig.ends[n]
			for _, end := range ends {
				total[end]++
			}
			switch {
			case len(ends) != 1:
				t.Errorf("push %d of user %d at %s has the receipts %q", n, user, names[home], ends)
			case ends[0] == done && got[home][n] == 0, ends[0] == noSubscriber && got[home][n] > 0,
				!slices.Contains([]string{done, noSubscriber, expired, string(delivery.NoAnswer)}, ends[0]):
				t.Errorf("push %d of user %d at %s ended as %s, %d connections have it", n, user, names[home], ends[0], got[home][n])
			}
		}
		rig.mu.Unlock()
	}
}
