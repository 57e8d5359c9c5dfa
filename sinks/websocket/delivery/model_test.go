package delivery_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
)

// tab is a client of the model.
type tab struct {
	user    string
	client  *channeltest.Client
	channel *channeltest.Channel
	paused  bool
	closed  bool
}

// TestRandomClients opens, stalls, closes, disconnects and replaces clients at random,
// and sends them what can never fit into their queues. Whatever they do, each push has one receipt, one that is done was written to a client of its
// user, each client gets pushes in order and on one node none twice, and a user
// whose client reads has each push soon.
func TestRandomClients(t *testing.T) {
	seeds := 50
	if testing.Short() {
		seeds = 5
	}
	base := rand.Uint64()
	for i := range seeds {
		seed := base + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { randomClients(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func randomClients(t *testing.T, random *rand.Rand) {
	o := options{
		resume: random.IntN(3) == 0, consumers: 1 + random.IntN(2),
		queue: websocket.QueueConfig{Events: 2 + random.IntN(4)}, write: time.Duration(1+random.IntN(8)) * time.Second,
		config: delivery.Config[push]{
			MaxDemand: 1 + random.IntN(8), MaxWaiting: 5 + random.IntN(20),
			Grace: time.Duration(1+random.IntN(4)) * time.Second, DiscardOnDrain: random.IntN(2) == 0,
		},
	}
	o.limits.QueuedBytes = 64 << 10 // which also bounds a single frame
	if random.IntN(2) == 0 {
		o.limits.PerID, o.limits.AtPerID = 2, websocket.CloseOldest
	}
	var there *websocket.Endpoint // of a second node
	if !o.resume && random.IntN(2) == 0 {
		network := pubsubtest.NewNetwork()
		o.hub, _ = network.Hub(t, "here", pubsub.Config{})
		other, _ := network.Hub(t, "there", pubsub.Config{})
		there = newEndpoint(t, other, o)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := there.Close(ctx); err != nil {
				t.Errorf("shutdown: %v", err)
			}
		})
	}
	// Elsewhere events of one topic go one by one, and would be several on their way.
	if there == nil && !o.resume {
		o.turn = random.IntN(5)
	}
	r := start(t, o)
	users := []string{"a", "b", "c", "d"}
	var tabs, open []*tab
	connect := func(user string) *tab {
		tb := &tab{user: user}
		if there != nil && user != "healthy" && random.IntN(2) == 0 {
			tb.client = channeltest.Connect(t, there, "/socket/websocket?user="+user)
			tb.channel = tb.client.Join("user:"+user, nil)
		} else {
			tb.client, tb.channel = r.join(user)
		}
		tabs, open = append(tabs, tb), append(open, tb)
		return tb
	}
	connect("healthy")
	open = nil // it is left alone
	userOf := map[int]string{}
	unfit := map[int]bool{}
	for range 200 {
		switch n := random.IntN(14); {
		case n == 10:
			user := append(users, "healthy")[random.IntN(len(users)+1)]
			push := r.pushPadded(user, 128<<10)
			userOf[push], unfit[push] = user, true
		case n == 11:
			user := users[random.IntN(len(users))]
			if _, err := r.endpoint.Disconnect(t.Context(), "users:"+user); err != nil {
				t.Fatal(err)
			}
			// Those that are paused take the close frame later, or never.
			open = slices.DeleteFunc(open, func(tb *tab) bool { return tb.user == user })
		case n == 12:
			// Each one replaces an older one if there is a limit.
			connect(users[random.IntN(len(users))])
		case n == 13:
			if err := r.sockets[random.IntN(len(r.sockets))].Resize(1 + random.IntN(8)); err != nil {
				t.Fatal(err)
			}
		case n < 4:
			user := users[random.IntN(len(users))]
			for range 1 + random.IntN(4) {
				userOf[r.push(user)] = user
			}
		case n == 4:
			first := r.push("healthy")
			userOf[first] = "healthy"
			// Each slow client can use up the demand for 100 ms.
			pass(time.Duration(len(users)+1) * 100 * time.Millisecond)
			r.expect(first, done)
		case n == 5:
			connect(users[random.IntN(len(users))])
		case len(open) == 0:
		case n == 6:
			i := random.IntN(len(open))
			open[i].closed = true
			open[i].client.Close()
			open = append(open[:i], open[i+1:]...)
		case n == 7:
			tb := open[random.IntN(len(open))]
			tb.client.Pause()
			tb.paused = true
		case n == 8:
			tb := open[random.IntN(len(open))]
			tb.client.Resume()
			tb.paused = false
		default:
			pass(time.Duration(random.IntN(3000)) * time.Millisecond)
		}
		synctest.Wait()
	}
	for _, tb := range open {
		tb.client.Resume()
	}
	if err := r.drain(); err != nil {
		t.Errorf("drain: %v", err)
	}
	synctest.Wait()
	got := map[int]int{} // push: clients that have it
	for _, tb := range tabs {
		last := -1
		for _, data := range tb.channel.Received("push") {
			var p payload
			if err := json.Unmarshal(data, &p); err != nil {
				t.Fatal(err)
			}
			if userOf[p.N] != tb.user {
				t.Errorf("push %d of user %s came to %s", p.N, userOf[p.N], tb.user)
			}
			// A client of the other node that takes longer than RemoteTimeout is
			// sent a push again.
			if p.N < last || p.N == last && there == nil {
				t.Errorf("push %d came after %d", p.N, last)
			}
			last = p.N
			got[p.N]++
		}
	}
	count := map[string]int{}
	for n := range r.next {
		ends := r.ends[n]
		if len(ends) != 1 {
			t.Errorf("push %d of user %s has receipts %q", n, userOf[n], ends)
			continue
		}
		count[ends[0]]++
		if ends[0] == done && got[n] == 0 {
			t.Errorf("push %d is done and came to no client", n)
		}
		if unfit[n] && !o.resume && (got[n] > 0 || ends[0] == done) {
			t.Errorf("push %d, which does not fit, has come: %s", n, ends[0])
		}
		if userOf[n] == "healthy" && unfit[n] && !o.resume && ends[0] != failed {
			t.Errorf("push %d of the healthy user, which does not fit: %s", n, ends[0])
		}
		if userOf[n] == "healthy" && !unfit[n] && ends[0] != done {
			t.Errorf("push %d of the healthy user: %s", n, ends[0])
		}
	}
	t.Logf("%d pushes: %v", r.next, count)
}
