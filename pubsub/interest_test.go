package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

// picky is a remote that notes what its hub wants. Its Sync can be held up.
type picky struct {
	mu    sync.Mutex
	calls []string
	want  map[string]bool
	bad   error // of the next calls of Sync
	held  chan struct{}
	in    chan pubsub.Receiver
}

func newPicky() *picky { return &picky{want: map[string]bool{}, in: make(chan pubsub.Receiver, 1)} }

func (p *picky) Node() string { return "a" }

func (p *picky) Run(ctx context.Context, in pubsub.Receiver) error {
	p.in <- in
	<-ctx.Done()
	return nil
}

func (p *picky) Publish(context.Context, string, *pubsub.Message) (int, error) { return 0, nil }
func (p *picky) Join(topic string)                                             { p.note("+", topic, true) }
func (p *picky) Leave(topic string)                                            { p.note("-", topic, false) }

func (p *picky) note(sign, topic string, want bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.want[topic] == want {
		p.calls = append(p.calls, "twice: ")
	}
	p.want[topic] = want
	p.calls = append(p.calls, sign+topic)
}

func (p *picky) Sync(ctx context.Context) error {
	p.mu.Lock()
	held, bad := p.held, p.bad
	p.mu.Unlock()
	if bad != nil {
		return bad
	}
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (p *picky) hold(held chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = held
}

func (p *picky) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bad = err
}

func (p *picky) take() string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := p.calls
	p.calls = nil
	slices.Sort(calls)
	return fmt.Sprint(calls)
}

func pickyHub(t *testing.T, cfg pubsub.Config) (*picky, *pubsub.Hub) {
	p := newPicky()
	cfg.Remote = p
	h := newHub(t, cfg)
	pubsubtest.Run(t, h.Run)
	synctest.Wait()
	return p, h
}

func kept(t *testing.T) *pubsub.Memory {
	t.Helper()
	m, err := pubsub.NewMemory(pubsub.MemoryConfig{Topics: []string{"kept:*"}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestInterestFollowsTheFirstAndTheLastSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, h := pickyHub(t, pubsub.Config{})
		expect := func(what, want string) {
			t.Helper()
			if got := p.take(); got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
		a, b := subscribe(t, h, "t", &recorder{}), subscribe(t, h, "t", &recorder{})
		expect("two subscriptions", "[+t]")
		a.Unsubscribe()
		expect("one left", "[]")
		b.Unsubscribe()
		expect("none left", "[-t]")
		// While the network holds it up, no subscriber waits and changes gather.
		held := make(chan struct{})
		p.hold(held)
		subscribe(t, h, "v", &recorder{})
		expect("held up", "[+v]")
		for i := range 3 {
			s := subscribe(t, h, fmt.Sprint("w", i), &recorder{})
			if i == 1 { // it comes and goes between two batches
				s.Unsubscribe()
			}
		}
		expect("gathered", "[]")
		close(held)
		expect("let go", "[+w0 +w2]")
	})
}

// TestInterestModel subscribes and unsubscribes at random from several goroutines:
// in the end the remote knows exactly the topics that have a subscription.
func TestInterestModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		p, h := pickyHub(t, pubsub.Config{Shards: 2})
		var group sync.WaitGroup
		for g := range 4 {
			group.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(g)))
				var subs []*pubsub.Subscription
				for range 2000 {
					if len(subs) == 0 || r.IntN(2) == 0 {
						s, err := h.Subscribe(fmt.Sprint("t", r.IntN(8)), &recorder{})
						if err != nil {
							t.Error(err)
						}
						subs = append(subs, s)
					} else {
						i := r.IntN(len(subs))
						subs[i].Unsubscribe()
						subs = slices.Delete(subs, i, i+1)
					}
				}
			})
		}
		group.Wait()
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if slices.Contains(p.calls, "twice: ") {
			t.Error("Join or Leave was called twice in a row")
		}
		for i := range 8 {
			topic := fmt.Sprint("t", i)
			if p.want[topic] != (h.Subscribers(topic) > 0) {
				t.Errorf("%s: wanted %v, %d subscribers", topic, p.want[topic], h.Subscribers(topic))
			}
		}
	})
}

func TestInterestInATopicWithHistoryLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := kept(t)
		p, h := pickyHub(t, pubsub.Config{History: memory, Linger: time.Minute})
		position := func() pubsub.Position {
			_, now, _ := memory.Since(t.Context(), "kept:a", pubsub.Position{})
			return now
		}
		s := subscribe(t, h, "kept:a", &recorder{})
		before := position()
		s.Unsubscribe()
		<-time.After(59 * time.Second)
		s = subscribe(t, h, "kept:a", &recorder{}) // a client that came back
		if got := p.take(); got != "[+kept:a]" || position() != before {
			t.Errorf("%s, from %v to %v", got, before, position())
		}
		s.Unsubscribe()
		<-time.After(time.Minute)
		if got := p.take(); got != "[-kept:a]" || position().Epoch == before.Epoch {
			t.Errorf("%s; positions go on: %v, then %v", got, before, position())
		}
	})
}

// follower is a subscriber that is told of losses.
type follower struct {
	recorder
	lost []string
}

func (f *follower) HandleLoss(topic string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = append(f.lost, topic)
}

func (f *follower) losses() string {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprint(f.lost)
}

func TestSettleWaitsUntilTheInterestIsInEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, h := pickyHub(t, pubsub.Config{History: kept(t), RemoteTimeout: 3 * time.Second})
		took := func(topic string) time.Duration {
			begin := time.Now()
			h.Settle(t.Context(), topic)
			return time.Since(begin)
		}
		if d := took("kept:nobody"); d != 0 {
			t.Errorf("without a subscription: %v", d)
		}
		held := make(chan struct{})
		p.hold(held)
		a := &follower{}
		subscribe(t, h, "kept:a", a)
		time.AfterFunc(time.Second, func() { p.hold(nil); close(held) })
		if d := took("kept:a"); d != time.Second {
			t.Errorf("held up for a second: %v", d)
		}
		if d := took("kept:a"); d != 0 || a.losses() != "[]" {
			t.Errorf("in effect: %v, lost %s", d, a.losses())
		}
		// When the network is gone for longer nothing waits for it, and what went
		// on is told as soon as it is back.
		p.fail(errors.New("no network"))
		b := &follower{}
		subscribe(t, h, "kept:b", b)
		if d := took("kept:b"); d != 3*time.Second || b.losses() != "[]" {
			t.Errorf("without network: %v, lost %s", d, b.losses())
		}
		p.fail(nil)
		<-time.After(time.Second)
		if b.losses() != "[kept:b]" || a.losses() != "[]" {
			t.Errorf("b was told %s, a %s", b.losses(), a.losses())
		}
		if d := took("kept:b"); d != 0 {
			t.Errorf("back: %v", d)
		}
	})
}

func TestALossBreaksTheHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := kept(t)
		p, h := pickyHub(t, pubsub.Config{History: memory})
		in := <-p.in
		a, b, plain := &follower{}, &follower{}, &follower{}
		subscribe(t, h, "kept:a", a)
		subscribe(t, h, "kept:b", b)
		subscribe(t, h, "plain", plain)
		send(t, h, "kept:a", "e", nil)
		_, at, _ := memory.Since(t.Context(), "kept:a", pubsub.Position{})
		in.Lost("kept:b")
		if _, _, err := memory.Since(t.Context(), "kept:a", at); err != nil || a.losses()+b.losses() != "[][kept:b]" {
			t.Errorf("%v, a lost %s, b %s", err, a.losses(), b.losses())
		}
		in.Lost("")
		if _, _, err := memory.Since(t.Context(), "kept:a", at); !errors.Is(err, pubsub.ErrEpoch) {
			t.Errorf("positions go on after a loss: %v", err)
		}
		if a.losses() != "[kept:a]" || plain.losses() != "[plain]" {
			t.Errorf("a lost %s, plain %s", a.losses(), plain.losses())
		}
	})
}

// TestHistoriesOfTwoNodes: each node numbers what is broadcast on its own, and a
// delivery that passes a node's history over breaks it.
func TestHistoriesOfTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := pubsubtest.NewNetwork()
		histories := []*pubsub.Memory{kept(t), kept(t)}
		a, _ := net.Hub(t, "a", pubsub.Config{History: histories[0]})
		b, _ := net.Hub(t, "b", pubsub.Config{History: histories[1]})
		subA := subscribe(t, a, "kept:a", &recorder{})
		onB := &socket{}
		if _, err := b.Subscribe("kept:a", onB); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		send(t, a, "kept:a", "one", nil)
		synctest.Wait()
		send(t, b, "kept:a", "two", nil)
		synctest.Wait()
		var at [2]pubsub.Position
		for i, m := range histories {
			_, at[i], _ = m.Since(t.Context(), "kept:a", pubsub.Position{})
			if got, err := since(t, m, "kept:a", 0); got != "1one{} 2two{}" || err != nil {
				t.Errorf("node %d: %s, %v", i, got, err)
			}
		}
		if at[0].Epoch == at[1].Epoch {
			t.Error("two nodes have one epoch")
		}
		// The only client of a is away when b delivers to its own: a broadcast is
		// kept for it, a delivery is not.
		subA.Unsubscribe()
		send(t, b, "kept:a", "three", nil)
		synctest.Wait()
		if got, err := since(t, histories[0], "kept:a", 2); got != "3three{}" || err != nil {
			t.Errorf("%s, %v", got, err)
		}
		var report pubsub.Report
		if err := b.Deliver(t.Context(), "kept:a", "four", nil, func(r pubsub.Report) { report = r }); err != nil {
			t.Fatal(err)
		}
		onB.taken[0].Report(time.Now(), nil)
		synctest.Wait()
		if _, _, err := histories[0].Since(t.Context(), "kept:a", at[0]); report.Err != nil || !report.Kept || !errors.Is(err, pubsub.ErrEpoch) {
			t.Errorf("%v; positions of a go on: %v", report, err)
		}
	})
}
