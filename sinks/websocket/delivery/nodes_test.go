package delivery_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
)

// pair is two nodes with an endpoint and a pipeline each.
type pair struct {
	net  *pubsubtest.Network
	a, b *rig
}

func twoNodes(t *testing.T, o options) *pair {
	t.Helper()
	p := &pair{net: pubsubtest.NewNetwork()}
	node := func(name string) *rig {
		o := o
		cfg := pubsub.Config{RemoteTimeout: 2 * time.Second}
		if o.resume {
			memory, err := pubsub.NewMemory(pubsub.MemoryConfig{Topics: []string{"user:*"}})
			if err != nil {
				t.Fatal(err)
			}
			cfg.History = memory
		}
		o.hub, _ = p.net.Hub(t, name, cfg)
		synctest.Wait()
		return start(t, o)
	}
	p.a, p.b = node("a"), node("b")
	return p
}

// TestTenOfTenPushesArriveOverTwoNodes: the pushes are made on one node, their
// users are on either.
func TestTenOfTenPushesArriveOverTwoNodes(t *testing.T) {
	for name, resume := range map[string]bool{"plain": false, "resumable": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := twoNodes(t, options{resume: resume})
				var users []string
				var channels []*channeltest.Channel
				for n := range 10 {
					user := fmt.Sprint(n)
					_, ch := []*rig{p.a, p.b}[n%2].join(user)
					users, channels = append(users, user), append(channels, ch)
				}
				begin := time.Now()
				first := p.a.push(users...)
				for n, ch := range channels {
					if resume {
						ch.AssertPush("push", map[string]int{"n": first + n, "resume_offset": 1})
					} else {
						ch.AssertBroadcast("push", payload{N: first + n})
					}
					p.a.expect(first+n, done)
				}
				p.a.stats(delivery.Snapshot{Delivered: 10})
				if d := time.Since(begin); d != 0 {
					t.Errorf("took %v", d)
				}
				if s := p.b.endpoint.PubSub().Snapshot(); s.Received != 5 || s.AnswersSent != 5 || s.Published != 0 {
					t.Errorf("not one message out and one back for each of five users: %+v", s)
				}
			})
		})
	}
}

// TestAUserWhoIsNowhereIsKnownAtOnce on all nodes.
func TestAUserWhoIsNowhereIsKnownAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := twoNodes(t, options{config: delivery.Config[push]{DiscardAbsent: true}})
		begin := time.Now()
		first := p.a.push("1")
		p.a.expect(first, noSubscriber)
		if d := time.Since(begin); d != 0 {
			t.Errorf("took %v", d)
		}
	})
}

// TestAUserReconnectsAtTheOtherNode within the grace.
func TestAUserReconnectsAtTheOtherNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := twoNodes(t, options{config: delivery.Config[push]{Grace: 5 * time.Second}})
		first := p.a.push("1", "1", "2")
		pass(time.Second)
		p.a.expect(first, "", "", "")
		_, ch := p.b.join("1")
		pass(time.Second)
		ch.AssertBroadcast("push", payload{N: first})
		ch.AssertBroadcast("push", payload{N: first + 1})
		p.a.expect(first, done, done, "")
		pass(3 * time.Second)
		p.a.expect(first+2, noSubscriber)
		// A user of whom nothing was heard for a grace is found again.
		_, ch = p.b.join("2")
		pass(10 * time.Second)
		last := p.a.push("2")
		ch.AssertBroadcast("push", payload{N: last})
		p.a.expect(last, done)
	})
}

// TestAFullClientOfTheOtherNodeParksItsOwnUser.
func TestAFullClientOfTheOtherNodeParksItsOwnUser(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := twoNodes(t, options{queue: websocket.QueueConfig{Events: 2}, write: time.Hour})
		full, fullChannel := p.b.join("1")
		_, other := p.b.join("2")
		full.Pause()
		first := p.a.push("1", "1", "1", "1", "1", "2")
		other.AssertBroadcast("push", payload{N: first + 5})
		p.a.expect(first+5, done)
		pass(time.Minute)
		if n := p.a.endpoint.PubSub().Snapshot().Published; n > 40 {
			t.Errorf("sent %d times in a minute", n)
		}
		full.Resume()
		pass(5 * time.Second)
		for n := range 5 {
			fullChannel.AssertBroadcast("push", payload{N: first + n})
			p.a.expect(first+n, done)
		}
	})
}

// TestTheOtherNodeStandsStill: its users' pushes wait for an answer, and arrive
// when they have come to this node. They may be written twice, and are never lost.
func TestTheOtherNodeStandsStill(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := twoNodes(t, options{config: delivery.Config[push]{Grace: 20 * time.Second}})
		p.b.join("1")
		p.net.Freeze("b")
		first := p.a.push("1", "2")
		pass(2500 * time.Millisecond) // the deadline and a little
		p.a.expect(first, "", "")
		if s := p.a.endpoint.PubSub().Snapshot(); s.Unanswered == 0 {
			t.Errorf("%+v", s)
		}
		_, ch := p.a.join("1")
		ch.AssertBroadcast("push", payload{N: first})
		p.a.expect(first, done)
		p.net.Thaw("b")
		pass(20 * time.Second)
		p.a.expect(first, done, noSubscriber)
	})
}

// TestASilentNode: the grace ends for a push that another node does not answer,
// although each attempt takes longer than the grace leaves.
func TestASilentNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := twoNodes(t, options{config: delivery.Config[push]{Grace: 5 * time.Second}})
		p.b.join("1")
		p.net.Freeze("b")
		first := p.a.push("1", "1")
		pass(20 * time.Second)
		p.a.expect(first, string(delivery.NoAnswer), string(delivery.NoAnswer))
		p.net.Thaw("b")
	})
}

// TestUsersMoveBetweenNodes: each push is written while users move at random. A
// connection gets each push at most once, in order; a user may get one twice, by two
// connections.
func TestUsersMoveBetweenNodes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	bubble(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 0))
		p := twoNodes(t, options{config: delivery.Config[push]{Grace: time.Minute}})
		links := rand.New(rand.NewPCG(seed, 1)) // used under the network's lock
		p.net.Delay = func(string, string) time.Duration { return time.Duration(links.IntN(20)) * time.Millisecond }
		type user struct {
			client  *channeltest.Client
			channel *channeltest.Channel
		}
		const pushes = 300
		users := make([]user, 3)
		got := make([]int, pushes) // by how many connections
		note := func(u *user) {
			last := -1
			for _, data := range u.channel.Received("push") {
				var have payload
				if err := json.Unmarshal(data, &have); err != nil {
					t.Fatal(err)
				}
				if have.N <= last {
					t.Errorf("a connection got %d after %d", have.N, last)
				}
				last = have.N
				got[last]++
			}
		}
		for range pushes {
			i := r.IntN(len(users))
			u := &users[i]
			switch {
			case r.IntN(4) > 0:
			case u.client != nil:
				note(u)
				u.client.Close()
				u.client = nil
			default:
				u.client, u.channel = []*rig{p.a, p.b}[r.IntN(2)].join(fmt.Sprint(i))
			}
			p.a.push(fmt.Sprint(i))
			pass(time.Duration(r.IntN(300)) * time.Millisecond)
		}
		for i := range users {
			if users[i].client == nil {
				users[i].client, users[i].channel = p.b.join(fmt.Sprint(i))
			}
		}
		pass(30 * time.Second)
		for i := range users {
			note(&users[i])
		}
		for n, times := range got {
			p.a.expect(n, done)
			if times == 0 {
				t.Errorf("push %d is done, but no connection got it", n)
			}
		}
	})
}

// TestATimeoutFreesTheLine: an event that waits for another one, of which no
// report has come, is sent as soon as the timeout has discarded that one.
func TestATimeoutFreesTheLine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := twoNodes(t, options{plain: true, config: delivery.Config[push]{Grace: 20 * time.Second, Timeout: 3100 * time.Millisecond}})
		p.b.join("1")
		p.net.Freeze("b")
		first := p.a.push("1")
		pass(2500 * time.Millisecond) // no answer after 2 s: it was sent again
		p.a.push("1")
		_, ch := p.a.join("1")
		p.a.expect(first, "", "")
		pass(650 * time.Millisecond)
		p.a.expect(first, string(receipt.Expired), done)
		ch.AssertBroadcast("push", payload{N: first + 1})
		p.net.Thaw("b")
	})
}

// TestALatePushIsNotWritten: a node that stood still asks before it writes what was sent
// long ago. What has ended meanwhile it drops: the user had it elsewhere, and newer ones
// after it. What still waits is written once, although it was sent several times.
func TestALatePushIsNotWritten(t *testing.T) {
	for name, uncounted := range map[string]bool{"counted": false, "uncounted": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := twoNodes(t, options{config: delivery.Config[push]{Grace: time.Minute}})
				p.net.Uncounted = uncounted
				client, _ := p.b.join("1")
				_, other := p.b.join("2")
				p.a.push("1", "2")
				p.a.expect(0, done, done)
				other.AssertBroadcast("push", payload{N: 1})
				p.net.Freeze("b")
				moved, waits := p.a.push("1"), p.a.push("2")
				pass(5 * time.Second)
				client.Close()
				client, ch := p.a.join("1")
				pass(5 * time.Second)
				newer := p.a.push("1")
				pass(0)
				p.a.expect(moved, done)
				p.a.expect(newer, done)
				if got := numbers(t, ch); !slices.Equal(got, []int{moved, newer}) {
					t.Errorf("the user has %v", got)
				}
				client.Close()
				_, ch = p.b.join("1")
				p.net.Thaw("b")
				pass(5 * time.Second)
				p.a.expect(waits, done)
				if got := numbers(t, other); !slices.Equal(got, []int{waits}) {
					t.Errorf("who waited has %v, want %d once", got, waits)
				}
				last := p.a.push("1")
				p.a.expect(last, done)
				if got := numbers(t, ch); !slices.Equal(got, []int{last}) {
					t.Errorf("back at the node that stood still the user gets %v, want %d", got, last)
				}
			})
		})
	}
}
