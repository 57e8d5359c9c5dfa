package presence_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

// cluster is some nodes whose messages can be lost.
type cluster struct {
	t    *testing.T
	net  *pubsubtest.Network
	mu   sync.Mutex
	loss *rand.Rand // nil while nothing is lost

	largest int // bytes of a payload
}

type member struct {
	*presence.Tracker
	name string
	hub  *pubsub.Hub
	diff *diffs
	stop func() // the tracker says goodbye, then the hub ends
}

func newCluster(t *testing.T, names ...string) (*cluster, map[string]*member) {
	c := &cluster{t: t, net: pubsubtest.NewNetwork()}
	c.net.Drop = func(_, _ string, m *pubsub.Message) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.largest = max(c.largest, len(m.Payload.Data))
		return c.loss != nil && c.loss.IntN(3) == 0
	}
	members := map[string]*member{}
	for _, name := range names {
		members[name] = c.start(name)
	}
	synctest.Wait()
	return c, members
}

func (c *cluster) lose(seed *rand.Rand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loss = seed
}

func (c *cluster) start(name string) *member { return c.startAt(name, time.Now()) }

// startAt starts a node whose clock shows a time.
func (c *cluster) startAt(name string, clock time.Time) *member {
	hub, stopHub := c.net.Hub(c.t, name, pubsub.Config{})
	tr, err := presence.NewAt(presence.Config{Hub: hub}, clock)
	if err != nil {
		c.t.Fatal(err)
	}
	m := &member{Tracker: tr, name: name, hub: hub, diff: &diffs{}}
	if _, err := hub.Subscribe("room", m.diff); err != nil {
		c.t.Fatal(err)
	}
	synctest.Wait() // the hub runs: the first request is sent at once
	stop := pubsubtest.Run(c.t, m.Run)
	m.stop = func() {
		stop()
		synctest.Wait()
		stopHub()
	}
	return m
}

func pass(d time.Duration) { <-time.After(d); synctest.Wait() }

func keys(tr *member) string {
	var list []string
	for key := range tr.List("room") {
		list = append(list, key)
	}
	sort.Strings(list)
	return strings.Join(list, "")
}

func TestNodesShareTheirPresences(t *testing.T) { // P107 to P114
	synctest.Test(t, func(t *testing.T) {
		c, m := newCluster(t, "a", "b")
		ctx, cancel := owner(t)
		track(t, m["a"].Tracker, ctx, "room", "x", meta{"n": 1})
		is(t, keys(m["b"]), "")
		pass(2 * time.Second)
		is(t, keys(m["b"]), "x")
		is(t, m["b"].diff.take(), `presence_diff{joins:{x:{[{n:1}]}},leaves:{}}`)
		if a, b := fmt.Sprintf("%s", m["a"].Get("room", "x")), fmt.Sprintf("%s", m["b"].Get("room", "x")); a != b {
			t.Errorf("%s and %s", a, b)
		}
		// A node that comes later is told (P108).
		m["c"] = c.start("c")
		pass(100 * time.Millisecond)
		is(t, keys(m["c"]), "x")
		// An update is one diff there, too.
		if _, err := m["a"].Update(ctx, "room", "x", meta{"n": 2}); err != nil {
			t.Error(err)
		}
		pass(2 * time.Second)
		is(t, m["b"].diff.take(), `presence_diff{joins:{x:{[{n:2}]}},leaves:{x:{[{n:1}]}}}`)
		// What came and went between two deltas is not seen.
		short, end := owner(t)
		track(t, m["a"].Tracker, short, "room", "brief", nil)
		end()
		pass(2 * time.Second)
		is(t, m["b"].diff.take(), ``)
		// A split: after the down period they leave, when it heals they come back (P111).
		c.net.Cut("a", "b")
		other, bye := owner(t)
		track(t, m["b"].Tracker, other, "room", "y", nil)
		pass(20 * time.Second)
		is(t, keys(m["b"])+" "+keys(m["a"])+" "+keys(m["c"]), "xy x xy")
		pass(20 * time.Second)
		is(t, keys(m["b"])+" "+keys(m["a"])+" "+keys(m["c"]), "y x xy")
		c.net.Heal()
		pass(20 * time.Second)
		is(t, keys(m["b"])+" "+keys(m["a"])+" "+keys(m["c"]), "xy xy xy")
		bye()
		pass(2 * time.Second)
		is(t, keys(m["b"])+" "+keys(m["a"])+" "+keys(m["c"]), "x x x")
		// A process that comes back under its name: the old ones are gone at once (P110).
		c.net.CutOneWay("a", "b")
		c.net.CutOneWay("a", "c")
		m["a"].stop()
		synctest.Wait()
		is(t, keys(m["b"]), "x")
		c.net.Heal()
		pass(time.Second)
		m["a"] = c.start("a")
		pass(100 * time.Millisecond)
		is(t, keys(m["b"])+keys(m["c"]), "")
		// A goodbye is heard at once (P114).
		again, done := owner(t)
		defer done()
		track(t, m["a"].Tracker, again, "room", "z", nil)
		pass(2 * time.Second)
		is(t, keys(m["b"]), "z")
		m["a"].stop()
		synctest.Wait()
		is(t, keys(m["b"])+keys(m["c"]), "")
		for _, x := range m {
			x.stop()
		}
		cancel()
	})
}

// TestARestartWithAnyClock restarts nodes with clocks that were set back or ahead,
// after a crash or a goodbye: the presences of the new process are seen within a
// few seconds, and those of the old one no longer.
func TestARestartWithAnyClock(t *testing.T) {
	base := rand.Uint64()
	for round := range 10 {
		seed := base + uint64(round)
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			names := []string{"a", "b", "c"}
			c, m := newCluster(t)
			clock := func() time.Time { return time.Now().Add(time.Duration(r.IntN(7200)-3600) * time.Second) }
			ctx, cancel := owner(t)
			here := map[string]string{}
			start := func(name string, n int) {
				m[name] = c.startAt(name, clock())
				here[name] = fmt.Sprint(name, n)
				track(t, m[name].Tracker, ctx, "room", here[name], nil)
			}
			for _, name := range names {
				start(name, 0)
			}
			for n := 1; n < 6; n++ {
				pass(4 * time.Second)
				want := here["a"] + here["b"] + here["c"]
				for _, name := range names {
					if got := keys(m[name]); got != want {
						t.Fatalf("seed %d, after %d restarts: %s sees %s, want %s", seed, n-1, name, got, want)
					}
				}
				name := names[r.IntN(3)]
				crash := r.IntN(2) == 0
				if crash { // no goodbye arrives
					for _, other := range names {
						c.net.CutOneWay(name, other)
					}
				}
				m[name].stop()
				c.net.Heal()
				synctest.Wait()
				start(name, n)
			}
			cancel()
			for _, x := range m {
				x.stop()
			}
		})
	}
}

func TestForgottenAfterPermDown(t *testing.T) { // P112, P113
	synctest.Test(t, func(t *testing.T) {
		c, m := newCluster(t, "a", "b")
		ctx, cancel := owner(t)
		defer cancel()
		track(t, m["a"].Tracker, ctx, "room", "x", nil)
		pass(2 * time.Second)
		c.net.Cut("a", "b")
		pass(21 * time.Minute)
		is(t, keys(m["b"]), "")
		c.net.Heal()
		pass(time.Minute)
		is(t, keys(m["b"]), "x") // learnt anew
		for _, x := range m {
			x.stop()
		}
	})
}

// TestCopiesConverge makes random changes on nodes whose messages get lost, and
// compares all copies with a model once messages pass.
func TestCopiesConverge(t *testing.T) { // P120
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 1))
		names := []string{"a", "b", "c", "d"}
		c, m := newCluster(t, names...)
		c.lose(rand.New(rand.NewPCG(seed, 2)))
		type held struct {
			node, key string
			ctx       context.Context
			cancel    context.CancelFunc
		}
		var all []held
		for range 400 {
			node := names[rng.IntN(len(names))]
			switch {
			case len(all) == 0 || rng.IntN(3) > 0:
				ctx, cancel := owner(t)
				h := held{node, string(rune('k' + rng.IntN(8))), ctx, cancel}
				track(t, m[node].Tracker, ctx, "room", h.key, nil)
				all = append(all, h)
			case rng.IntN(2) == 0:
				i := rng.IntN(len(all))
				all[i].cancel()
				all = append(all[:i:i], all[i+1:]...)
			default:
				h := all[rng.IntN(len(all))]
				if _, err := m[h.node].Update(h.ctx, "room", h.key, meta{"n": rng.IntN(9)}); err != nil {
					t.Fatal(err)
				}
			}
			if rng.IntN(4) == 0 {
				pass(time.Duration(rng.IntN(3000)) * time.Millisecond)
			}
		}
		c.lose(nil)
		pass(time.Minute)
		want := map[string]int{}
		for _, h := range all {
			want[h.key]++
		}
		refs := func(name string) string {
			var list []string
			for key, p := range m[name].List("room") {
				for _, x := range p.Metas {
					list = append(list, key+string(x))
				}
			}
			sort.Strings(list)
			return strings.Join(list, "\n")
		}
		for _, name := range names {
			state := m[name].List("room")
			if len(state) != len(want) {
				t.Errorf("%s has %d keys, want %d", name, len(state), len(want))
			}
			for key, n := range want {
				if len(state[key].Metas) != n {
					t.Errorf("%s has %d of %s, want %d", name, len(state[key].Metas), key, n)
				}
			}
			if refs(name) != refs("a") {
				t.Errorf("%s and a differ", name)
			}
		}
		for _, h := range all {
			h.cancel()
		}
		for _, x := range m {
			x.stop()
		}
	})
}
