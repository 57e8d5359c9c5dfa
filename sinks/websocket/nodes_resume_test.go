package websocket_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

// sharedNodes starts two nodes whose history is one.
func sharedNodes(t *testing.T) (*pubsubtest.Network, [2]*fixture) {
	t.Helper()
	h := pubsubtest.NewSharedHistory(t, pubsub.MemoryConfig{Topics: []string{"kept:*"}})
	return twoNodesWith(t, setup{}, &app{}, func() pubsub.History { return h })
}

// TestResumeAtAnotherNode: a client that comes back at another node gets exactly what
// it missed, whichever node that was broadcast on.
func TestResumeAtAnotherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, n := sharedNodes(t)
		p := n[0].connect("1")
		at := p.resume(1, "kept:a", `{}`)
		n[1].broadcast("kept:a", 0, 1)
		p.expectKept(1, "kept:a", 1, 1)
		at.Offset++
		_ = p.ws.CloseNow()
		synctest.Wait()
		n[1].broadcast("kept:a", 1, 2)
		n[0].broadcast("kept:a", 2, 3)
		p = n[1].connect("1")
		if got := p.resume(1, "kept:a", at.params()); got != (position{Epoch: at.Epoch, Offset: 1, Recovered: true}) {
			t.Errorf("at the other node: %+v", got)
		}
		p.expectKept(1, "kept:a", 2, 3)
		n[0].broadcast("kept:a", 3, 4)
		n[1].broadcast("kept:a", 4, 5)
		p.expectKept(1, "kept:a", 4, 5)
	})
}

// TestNoGapWithASharedHistory has clients of a resumable topic on two nodes, and
// senders on both, while messages are delayed, lost and cut off. Each client gets each
// broadcast, once and in the one order of the history, wherever it comes back: none
// has to begin anew.
func TestNoGapWithASharedHistory(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 0))
		net, n := sharedNodes(t)
		links := rand.New(rand.NewPCG(seed, 1)) // used under the network's lock
		net.Delay = func(string, string) time.Duration { return time.Duration(links.IntN(30)) * time.Millisecond }
		followers := []*trail{{}, {}, {}, {}}
		next, moved, cut := 0, 0, false
		for i, f := range followers {
			f.join(t, n[i%2])
		}
		for round := range 1000 {
			f := followers[r.IntN(len(followers))]
			switch k := r.IntN(30); {
			case k < 20:
				n[r.IntN(2)].broadcast("kept:a", next, next+1)
				next++
			case k < 24:
				f.leave()
				<-time.After(time.Duration(r.IntN(2000)) * time.Millisecond)
				if !f.join(t, n[r.IntN(2)]) {
					t.Fatalf("round %d: a client must begin anew: %+v", round, f.at)
				}
				moved++
			case k == 24 && !cut:
				net.Cut("a", "b")
				cut = true
			case k == 25 && cut:
				net.Heal()
				cut = false
			default:
				<-time.After(time.Duration(r.IntN(200)) * time.Millisecond)
			}
			if f := f.check(); f != "" {
				t.Fatalf("round %d: %s", round, f)
			}
		}
		net.Heal()
		<-time.After(time.Second)
		synctest.Wait()
		var last []int
		for i, f := range followers {
			f.mu.Lock()
			last = append(last, f.last)
			if f.ended || f.fault != "" {
				t.Errorf("follower %d: closed %v, %s", i, f.ended, f.fault)
			}
			f.mu.Unlock()
			f.leave()
		}
		if slices.Min(last) != next-1 || moved == 0 {
			t.Errorf("the followers have %v of %d; %d have moved", last, next-1, moved)
		}
	})
}
