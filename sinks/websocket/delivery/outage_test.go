package delivery_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
)

// numbers returns which pushes a channel has received.
func numbers(t *testing.T, ch *channeltest.Channel) (all []int) {
	t.Helper()
	for _, data := range ch.Received("push") {
		var p payload
		if err := json.Unmarshal(data, &p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p.N)
	}
	return all
}

// TestAnOutageOfTheBackplaneDiscardsNothing, although it takes ten times the grace:
// users of this node have their pushes at once, those of other nodes after it, each
// in order. A user who is nowhere has the rest of the grace then.
func TestAnOutageOfTheBackplaneDiscardsNothing(t *testing.T) {
	for _, fault := range []string{"of all nodes", "of this node", "of the other node"} {
		t.Run(fault, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const grace = 5 * time.Second
				p := twoNodes(t, options{config: delivery.Config[push]{Grace: grace}})
				_, here := p.a.join("here")
				_, there := p.b.join("there")
				p.a.push("gone")
				pass(grace)
				p.a.expect(0, noSubscriber) // remembered as absent
				nobody := p.a.push("nobody")
				pass(grace - time.Second)
				p.net.Disconnect(map[string][]string{"of this node": {"a"}, "of the other node": {"b"}}[fault]...)
				pass(0)
				if s := p.a.sockets[0].Snapshot(); !s.OutOfReach || s.Outages != 1 {
					t.Errorf("%+v", s)
				}
				first := p.a.next
				var local, remote []int
				for range 50 {
					local = append(local, p.a.push("here"))
					remote = append(remote, p.a.push("there"))
					p.a.push("gone", "nobody")
					pass(0)
					p.a.expect(local[len(local)-1], done)
					pass(grace / 5)
				}
				if got := numbers(t, here); !slices.Equal(got, local) {
					t.Errorf("the user of this node has %v, want %v", got, local)
				}
				if got := numbers(t, there); len(got) > 0 {
					t.Errorf("the user of the other node has %v", got)
				}
				for n := nobody; n < p.a.next; n++ {
					if !slices.Contains(local, n) {
						p.a.expect(n, "")
					}
				}
				if s := p.a.sockets[0].Snapshot(); s.Discarded[delivery.NoAnswer] != 0 || s.Discarded[delivery.NoSubscriber] != 1 {
					t.Errorf("discarded in the outage: %+v", s)
				}
				p.net.Reconnect()
				pass(0)
				if got := numbers(t, there); !slices.Equal(got, remote) {
					t.Errorf("the user of the other node has %v, want %v", got, remote)
				}
				for _, n := range remote {
					p.a.expect(n, done)
				}
				pass(time.Second) // which nobody had left
				for n := first; n < p.a.next; n++ {
					p.a.mu.Lock()
					ends := fmt.Sprint(p.a.ends[n])
					p.a.mu.Unlock()
					if (n-first)%4 == 3 && ends == "[]" {
						t.Errorf("push %d to a user who is nowhere still waits", n)
					}
				}
				if s := p.a.sockets[0].Snapshot(); s.OutOfReach || s.Outages != 1 {
					t.Errorf("%+v", s)
				}
				pass(grace)
				p.a.stats(delivery.Snapshot{Delivered: 100, AbsentTopics: 1, Outages: 1, Discarded: p.a.sockets[0].Snapshot().Discarded})
			})
		})
	}
}

// TestAnOutageIsBoundedByDemand: what waits takes up MaxWaiting and is not discarded to
// make room, not even by Crowded. The rest stays with the source.
func TestAnOutageIsBoundedByDemand(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := twoNodes(t, options{config: delivery.Config[push]{
			MaxDemand: 4, MaxWaiting: 8, Crowded: func(push) bool { return true },
		}})
		const users = 30
		var channels []*channeltest.Channel
		for n := range users {
			_, ch := p.b.join(fmt.Sprint(n))
			channels = append(channels, ch)
		}
		p.net.Disconnect()
		pass(0)
		for n := range users {
			p.a.push(fmt.Sprint(n))
		}
		pass(10 * time.Minute)
		if s := p.a.sockets[0].Snapshot(); s.WaitingForClient != 12 || len(s.Discarded) > 0 {
			t.Errorf("%+v", s)
		}
		p.net.Reconnect()
		pass(time.Second)
		for n, ch := range channels {
			p.a.expect(n, done)
			if got := numbers(t, ch); !slices.Equal(got, []int{n}) {
				t.Errorf("user %d has %v", n, got)
			}
		}
	})
}

// TestADrainDoesNotWaitForTheBackplane with DiscardOnDrain.
func TestADrainDoesNotWaitForTheBackplane(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := twoNodes(t, options{config: delivery.Config[push]{DiscardOnDrain: true}})
		p.net.Disconnect()
		first := p.a.push("1")
		pass(time.Minute)
		p.a.expect(first, "")
		if err := p.a.drain(); err != nil {
			t.Error(err)
		}
		p.a.expect(first, string(delivery.NoAnswer))
	})
}
