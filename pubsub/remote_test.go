package pubsub_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

// bubble runs f in a bubble with a network and running hubs a, b, c.
func bubble(t *testing.T, cfg pubsub.Config, f func(t *testing.T, net *pubsubtest.Network, hubs []*pubsub.Hub)) {
	synctest.Test(t, func(t *testing.T) {
		net := pubsubtest.NewNetwork()
		var hubs []*pubsub.Hub
		for _, name := range []string{"a", "b", "c"} {
			h, _ := net.Hub(t, name, cfg)
			hubs = append(hubs, h)
		}
		synctest.Wait()
		f(t, net, hubs)
	})
}

// reports gathers the reports of one delivery, which come in any goroutine.
type reports struct {
	mu   sync.Mutex
	list []pubsub.Report
}

func (r *reports) get() []pubsub.Report {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list
}

// deliverFrom delivers on topic t.
func deliverFrom(t *testing.T, h *pubsub.Hub) *reports {
	t.Helper()
	return deliverOn(t, h, "t")
}

func deliverOn(t *testing.T, h *pubsub.Hub, topic string) *reports {
	t.Helper()
	got := &reports{}
	if err := h.Deliver(t.Context(), topic, "e", num{1}, func(r pubsub.Report) {
		got.mu.Lock()
		defer got.mu.Unlock()
		got.list = append(got.list, r)
	}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return got
}

func reported(t *testing.T, got *reports, want error) {
	t.Helper()
	if list := got.get(); len(list) != 1 || list[0].Err != want || list[0].At.IsZero() != (want != nil) {
		t.Errorf("reports %v, want one of %v", list, want)
	}
}

func TestADeliveryReachesASubscriberOfAnotherNode(t *testing.T) {
	bubble(t, pubsub.Config{}, func(t *testing.T, _ *pubsubtest.Network, hubs []*pubsub.Hub) {
		far, near := &socket{}, &socket{}
		subscribeAll(t, hubs[1], far)
		synctest.Wait()
		got := deliverFrom(t, hubs[0])
		if len(got.get()) != 0 || len(far.taken) != 1 {
			t.Fatalf("reports %v, taken %d times", got.get(), len(far.taken))
		}
		<-time.After(time.Second)
		far.taken[0].Report(time.Now(), nil)
		synctest.Wait()
		reported(t, got, nil)
		if s := hubs[1].Snapshot(); s.AnswersSent != 1 || s.Published != 0 {
			t.Errorf("b sent more than one answer: %+v", s)
		}
		if s := hubs[0].Snapshot(); s.Pending != 0 || s.Published != 1 {
			t.Errorf("%+v", s)
		}
		// The first node that has it ends the delivery, also this one; all get it.
		subscribeAll(t, hubs[0], near)
		got = deliverFrom(t, hubs[0])
		near.taken[0].Report(time.Now(), nil)
		reported(t, got, nil)
		far.taken[1].Report(time.Now(), nil)
		synctest.Wait()
		reported(t, got, nil)
	})
}

// quick is a subscriber that has a delivery at once, so that its report comes before
// Deliver returns, and notes the payloads.
type quick struct{ got []string }

func (q *quick) Deliver(m *pubsub.Message) bool {
	q.got = append(q.got, string(m.Payload.Data))
	m.Tally().Take()
	m.Tally().Report(time.Now(), nil)
	return true
}

// TestDeliveriesMadeOneAfterAnotherKeepTheirOrder: also where each is reported before it
// was handed to the other nodes.
func TestDeliveriesMadeOneAfterAnotherKeepTheirOrder(t *testing.T) {
	bubble(t, pubsub.Config{}, func(t *testing.T, _ *pubsubtest.Network, hubs []*pubsub.Hub) {
		here, there := &quick{}, &quick{}
		subscribeAll(t, hubs[0], here)
		subscribeAll(t, hubs[1], there)
		synctest.Wait()
		var want []string
		for i := range 20 {
			reported := 0
			if err := hubs[0].Deliver(t.Context(), "t", "e", num{i}, func(pubsub.Report) { reported++ }); err != nil || reported != 1 {
				t.Fatalf("%v; %d reports", err, reported)
			}
			want = append(want, fmt.Sprintf(`{"n":%d}`, i))
		}
		synctest.Wait()
		if !slices.Equal(here.got, want) || !slices.Equal(there.got, want) {
			t.Errorf("got %v here, %v there", here.got, there.got)
		}
	})
}

func TestADeliveryThatNoNodeTakesIsReportedAtOnce(t *testing.T) {
	bubble(t, pubsub.Config{}, func(t *testing.T, _ *pubsubtest.Network, hubs []*pubsub.Hub) {
		begin := time.Now()
		reported(t, deliverFrom(t, hubs[0]), pubsub.ErrNoSubscriber) // no node wants the topic
		taker, full := &socket{}, &socket{refuse: pubsub.ErrFull}
		subscribeAll(t, hubs[1], taker)
		subscribeAll(t, hubs[2], full)
		synctest.Wait()
		got := deliverFrom(t, hubs[0])
		if len(got.get()) != 0 {
			t.Fatalf("reported %v before b has answered", got.get())
		}
		taker.taken[0].Report(time.Time{}, pubsub.ErrGone)
		synctest.Wait()
		reported(t, got, pubsub.ErrFull) // the worst reason of all nodes
		if time.Since(begin) != 0 {
			t.Errorf("took %v", time.Since(begin))
		}
	})
}

func TestADeliveryThatIsNotAnsweredEndsAtItsDeadline(t *testing.T) {
	bubble(t, pubsub.Config{RemoteTimeout: 3 * time.Second}, func(t *testing.T, net *pubsubtest.Network, hubs []*pubsub.Hub) {
		s := &socket{}
		subscribeAll(t, hubs[1], s)
		synctest.Wait()
		for _, fault := range []func(){
			func() { net.Freeze("b") },
			func() { net.Thaw("b"); net.Cut("a", "b") },
		} {
			fault()
			begin := time.Now()
			got := deliverFrom(t, hubs[0])
			<-time.After(3*time.Second - 1)
			if len(got.get()) != 0 {
				t.Fatalf("reported %v before the deadline", got.get())
			}
			<-time.After(1)
			synctest.Wait()
			reported(t, got, pubsub.ErrNoAnswer)
			if d := time.Since(begin); d != 3*time.Second {
				t.Errorf("after %v", d)
			}
		}
		net.Heal()
		synctest.Wait()
		// The first one has arrived after its deadline: its answer changes nothing.
		s.taken[0].Report(time.Now(), nil)
		synctest.Wait()
		if s := hubs[0].Snapshot(); s.AnswersLate != 1 || s.Unanswered != 2 || s.Pending != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestAnswersTravelTogether: many deliveries are answered in few messages.
func TestAnswersTravelTogether(t *testing.T) {
	bubble(t, pubsub.Config{}, func(t *testing.T, net *pubsubtest.Network, hubs []*pubsub.Hub) {
		const count = 1500
		// The link is busy while the answers are given: how many there are in a message must
		// not depend on how often the sender's goroutine gets to run meanwhile.
		var busy atomic.Bool
		free := make(chan struct{})
		net.Drop = func(string, string, *pubsub.Message) bool {
			if busy.Load() {
				<-free
			}
			return false
		}
		s := &socket{}
		subscribeAll(t, hubs[1], s)
		synctest.Wait()
		var all []*reports
		for range count {
			all = append(all, deliverFrom(t, hubs[0]))
		}
		net.Freeze("a") // so that the test counts messages and not what is done with them
		busy.Store(true)
		for _, tally := range s.taken {
			tally.Report(time.Now(), nil)
		}
		busy.Store(false)
		close(free)
		synctest.Wait()
		net.Thaw("a")
		for _, got := range all {
			reported(t, got, nil)
		}
		if a, b := hubs[0].Snapshot(), hubs[1].Snapshot(); a.Received > count/20 || b.AnswersSent != count || a.AnswersLate != 0 {
			t.Errorf("%d messages with %d answers", a.Received, b.AnswersSent)
		}
	})
}

// TestDeliveriesBetweenNodes delivers at random nodes to subscribers that are
// anywhere, answer at any time or never, over links that delay and lose. Each
// delivery is reported once, and as written only if a subscriber has it.
func TestDeliveriesBetweenNodes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	bubble(t, pubsub.Config{RemoteTimeout: 2 * time.Second}, func(t *testing.T, net *pubsubtest.Network, hubs []*pubsub.Hub) {
		r := rand.New(rand.NewPCG(seed, 1))
		var lossy atomic.Bool
		links := rand.New(rand.NewPCG(seed, 2)) // used under the network's lock
		net.Delay = func(string, string) time.Duration { return time.Duration(links.IntN(50)) * time.Millisecond }
		net.Drop = func(string, string, *pubsub.Message) bool { return lossy.Load() && links.IntN(4) == 0 }
		for round := range 500 {
			lossy.Store(round%2 == 1)
			topic := fmt.Sprint("t", round)
			var takers, refused, had int
			for i := range r.IntN(4) {
				mode := r.IntN(4)
				switch mode {
				case 0:
					refused++
				case 1, 2:
					takers++
					had += mode % 2
				}
				sub := pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
					switch mode {
					case 0:
						m.Tally().Refuse(pubsub.ErrFull)
					case 1, 2:
						tally := m.Tally()
						tally.Take()
						var err error
						if mode == 2 {
							err = pubsub.ErrGone
						}
						time.AfterFunc(time.Duration(i)*100*time.Millisecond, func() { tally.Report(time.Now(), err) })
					}
					return mode > 0
				})
				if _, err := hubs[r.IntN(3)].Subscribe(topic, sub); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			got := deliverOn(t, hubs[r.IntN(3)], topic)
			<-time.After(3 * time.Second)
			if len(got.get()) != 1 {
				t.Fatalf("round %d: %d reports", round, len(got.list))
			}
			err := got.list[0].Err
			switch {
			case err == nil && had == 0:
				t.Fatalf("round %d: written, but no subscriber has it", round)
			case lossy.Load():
			case (err == nil) != (had > 0):
				t.Fatalf("round %d: %v, %d subscribers have it", round, err, had)
			case err == nil:
			case refused > 0 && err != pubsub.ErrFull, refused == 0 && takers > 0 && err != pubsub.ErrGone, refused+takers == 0 && err != pubsub.ErrNoSubscriber:
				t.Fatalf("round %d: %v with %d refused, %d taken", round, err, refused, takers)
			}
		}
		for i, h := range hubs {
			if s := h.Snapshot(); s.Pending != 0 || s.Malformed != 0 || s.AnswersDropped != 0 {
				t.Errorf("%d: %+v", i, s)
			}
		}
	})
}
