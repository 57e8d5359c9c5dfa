package pubsub_test

import (
	"context"
	"errors"
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

func TestAnUncountedDeliveryWaitsForAPositiveAnswer(t *testing.T) {
	bubble(t, pubsub.Config{}, func(t *testing.T, net *pubsubtest.Network, hubs []*pubsub.Hub) {
		net.Uncounted = true
		subscribeAll(t, hubs[1], &socket{refuse: pubsub.ErrFull})
		s := &socket{}
		subscribeAll(t, hubs[2], s)
		synctest.Wait()
		got := deliverFrom(t, hubs[0])
		s.taken[0].Report(time.Now(), nil)
		synctest.Wait()
		reported(t, got, nil)
		got = deliverFrom(t, hubs[0])
		s.taken[1].Report(time.Time{}, pubsub.ErrGone)
		<-time.After(5 * time.Second) // the number of nodes is unknown: another one may have it
		synctest.Wait()
		reported(t, got, pubsub.ErrFull) // which says when to try again
	})
}

// TestOtherNodesAreAskedAfterANegativeAnswer, if their number is not known: the delivery
// ends with the last of them, and at once if none has it.
func TestOtherNodesAreAskedAfterANegativeAnswer(t *testing.T) {
	bubble(t, pubsub.Config{RemoteTimeout: 5 * time.Second}, func(t *testing.T, net *pubsubtest.Network, hubs []*pubsub.Hub) {
		net.Uncounted = true
		subscribeAll(t, hubs[1], &socket{refuse: pubsub.ErrFull})
		synctest.Wait()
		got := deliverFrom(t, hubs[0])
		synctest.Wait()
		reported(t, got, pubsub.ErrFull)
		s := &socket{}
		subscribeAll(t, hubs[2], s)
		synctest.Wait()
		got = deliverFrom(t, hubs[0])
		<-time.After(200 * time.Millisecond)
		if len(got.get()) != 0 {
			t.Fatalf("reported %v, although another node has it", got.get())
		}
		s.taken[0].Report(time.Now(), nil)
		synctest.Wait()
		reported(t, got, nil)
		// A node that says nothing is not waited for until the deadline.
		net.Freeze("c")
		got = deliverFrom(t, hubs[0])
		<-time.After(250*time.Millisecond - 1)
		if len(got.get()) != 0 {
			t.Fatalf("reported %v at once, although another node may have it", got.get())
		}
		<-time.After(1)
		synctest.Wait()
		reported(t, got, pubsub.ErrFull)
		net.Thaw("c")
		if s := hubs[0].Snapshot(); s.Asked != 3 || s.Pending != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// lateReturn is a remote whose Publish of a delivery returns later than the message was sent.
type lateReturn struct {
	*pubsubtest.Remote
	late time.Duration
}

func (r lateReturn) Publish(ctx context.Context, to string, m *pubsub.Message) (int, error) {
	nodes, err := r.Remote.Publish(ctx, to, m)
	if to == "" {
		<-time.After(r.late)
	}
	return nodes, err
}

// TestOtherNodesAreAskedAfterPublish, if it returns only when a question was due already, for
// a negative answer or for silence.
func TestOtherNodesAreAskedAfterPublish(t *testing.T) {
	for name, row := range map[string]struct {
		late time.Duration
		lost bool
		want error
	}{
		"after an answer": {time.Millisecond, false, pubsub.ErrFull},
		"after silence":   {300 * time.Millisecond, true, pubsub.ErrNoAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := pubsubtest.NewNetwork()
				net.Uncounted = true
				net.Drop = func(_, _ string, m *pubsub.Message) bool { return row.lost && m.Topic == "t" }
				a := newHub(t, pubsub.Config{Remote: lateReturn{net.Remote("a"), row.late}})
				pubsubtest.Run(t, a.Run)
				b, _ := net.Hub(t, "b", pubsub.Config{})
				_, _ = net.Hub(t, "c", pubsub.Config{})
				subscribeAll(t, b, &socket{refuse: pubsub.ErrFull})
				synctest.Wait()
				got := deliverFrom(t, a) // it waits for Publish
				<-time.After(time.Millisecond)
				if list := got.get(); len(list) != 1 || !errors.Is(list[0].Err, row.want) {
					t.Errorf("reports %v, want one of %v", list, row.want)
				}
				if s := a.Snapshot(); s.Asked != 1 || s.Pending != 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// TestOtherNodesAreAskedAfterSilence: a delivery that was lost, as where a subscription
// ends just then, does not wait for its deadline; one that a socket is slow to write does.
func TestOtherNodesAreAskedAfterSilence(t *testing.T) {
	bubble(t, pubsub.Config{RemoteTimeout: 5 * time.Second}, func(t *testing.T, net *pubsubtest.Network, hubs []*pubsub.Hub) {
		net.Uncounted = true
		s := &socket{}
		subscribeAll(t, hubs[1], s)
		synctest.Wait()
		lost := deliverOn(t, hubs[0], "elsewhere")
		slow := deliverFrom(t, hubs[0])
		<-time.After(250*time.Millisecond - 1)
		if len(lost.get())+len(slow.get()) != 0 {
			t.Fatalf("reported %v, %v before the question", lost.get(), slow.get())
		}
		<-time.After(1)
		synctest.Wait()
		reported(t, lost, pubsub.ErrNoAnswer) // the answer may be what was lost
		<-time.After(4 * time.Second)
		if len(slow.get()) != 0 {
			t.Fatalf("reported %v, although a node has it", slow.get())
		}
		s.taken[0].Report(time.Now(), nil)
		synctest.Wait()
		reported(t, slow, nil)
		if s := hubs[0].Snapshot(); s.Asked != 2 || s.Pending != 0 || s.Unanswered != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestADeliveryDoesNotWaitForANodeThatHasLeft, which may have been the only one that had it.
func TestADeliveryDoesNotWaitForANodeThatHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &raw{in: make(chan pubsub.Receiver, 1)}
		h := newHub(t, pubsub.Config{Remote: r})
		pubsubtest.Run(t, h.Run)
		in := (<-r.in).(pubsub.LeaveReceiver)
		in.Left("b")
		got := deliverFrom(t, h)
		<-time.After(time.Second)
		in.Left("b")
		<-time.After(250*time.Millisecond - 1)
		if len(got.get()) != 0 {
			t.Fatalf("reported %v at once, although another node may answer", got.get())
		}
		<-time.After(1)
		synctest.Wait()
		reported(t, got, pubsub.ErrNoAnswer)
		if s := h.Snapshot(); s.Pending != 0 || s.Unanswered != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestANumberOfNodesMayComeLater, before Publish has returned or after the last answer.
func TestANumberOfNodesMayComeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &raw{in: make(chan pubsub.Receiver, 1)}
		h := newHub(t, pubsub.Config{Remote: r})
		pubsubtest.Run(t, h.Run)
		in := (<-r.in).(pubsub.CountReceiver)
		got := deliverFrom(t, h)
		if len(got.get()) != 0 || r.id == 0 {
			t.Fatalf("reported %v, id %d", got.get(), r.id)
		}
		in.Counted(r.id+1, 0) // of no delivery
		in.Counted(r.id, 0)
		reported(t, got, pubsub.ErrNoSubscriber)
		in.Counted(r.id, 0)
		r.publishing = func(id uint64) { in.Counted(id, 0) }
		reported(t, deliverFrom(t, h), pubsub.ErrNoSubscriber)
		if s := h.Snapshot(); s.Pending != 0 || s.Unanswered != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestADeliveryWithoutRunIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := pubsubtest.NewNetwork()
		h := newHub(t, pubsub.Config{Remote: net.Remote("a")})
		reported(t, deliverFrom(t, h), pubsub.ErrNoAnswer)
		s := &socket{}
		subscribeAll(t, h, s)
		got := deliverFrom(t, h)
		s.taken[0].Report(time.Now(), nil)
		reported(t, got, nil)
		stop := pubsubtest.Run(t, h.Run)
		synctest.Wait()
		if err := h.Run(t.Context()); !errors.Is(err, pubsub.ErrRunning) {
			t.Errorf("a second Run: %v", err)
		}
		// The end of Run ends what waits.
		other, _ := net.Hub(t, "b", pubsub.Config{})
		subscribeAll(t, other, &socket{})
		synctest.Wait()
		got = deliverFrom(t, h)
		s.taken[1].Report(time.Time{}, pubsub.ErrGone)
		stop()
		reported(t, got, pubsub.ErrNoAnswer)
	})
}

func TestAHubRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := pubsubtest.NewNetwork()
		a, stop := net.Hub(t, "a", pubsub.Config{})
		b, _ := net.Hub(t, "b", pubsub.Config{})
		got := &recorder{}
		subscribe(t, a, "t", got)
		synctest.Wait()
		for n := range 2 {
			send(t, b, "t", "e", num{n})
			synctest.Wait()
			stop()
			send(t, b, "t", "missed", nil)
			stop = pubsubtest.Run(t, a.Run)
			synctest.Wait()
		}
		send(t, b, "t", "e", num{2})
		synctest.Wait()
		if got.String() != "[e0 e1 e2]" || a.Snapshot().Lost != 3 {
			t.Errorf("%s, %+v", got, a.Snapshot())
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

func TestHostileMessagesAreCountedAndDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &raw{in: make(chan pubsub.Receiver, 1)}
		h := newHub(t, pubsub.Config{Remote: r})
		pubsubtest.Run(t, h.Run)
		in := <-r.in
		got := &recorder{}
		subscribe(t, h, "t", got)
		in.Receive([]byte("nonsense")) // as of another version
		in.Receive([]byte{1, 0xff})
		in.Receive(nil)
		own := newHub(t, pubsub.Config{Remote: r})
		send(t, own, "t", "e", nil) // as if another node had the same name
		in.Receive(r.last)
		if s := h.Snapshot(); s.Malformed != 2 || s.Versions != 1 || s.Own != 1 || s.Received != 0 || got.String() != "[]" {
			t.Errorf("%+v, got %s", s, got)
		}
		h.Stop()
		in.Receive(nil)
		if s := h.Snapshot(); s.Malformed != 2 {
			t.Errorf("received after Close: %+v", s)
		}
	})
}

// raw is a remote in the hands of the test.
type raw struct {
	in   chan pubsub.Receiver
	last []byte
	fail error

	id         uint64
	publishing func(id uint64)
}

func (r *raw) Node() string { return "a" }

func (r *raw) Run(ctx context.Context, in pubsub.Receiver) error {
	if r.fail != nil {
		return r.fail
	}
	r.in <- in
	<-ctx.Done()
	return nil
}

func (r *raw) Publish(_ context.Context, _ string, m *pubsub.Message) (int, error) {
	r.last, r.id = m.Append(nil), m.DeliveryID()
	if r.publishing != nil {
		r.publishing(r.id)
	}
	return -1, nil
}

func TestRunReturnsTheErrorOfTheRemote(t *testing.T) {
	broken := errors.New("broken")
	h := newHub(t, pubsub.Config{Remote: &raw{fail: broken}})
	if err := h.Run(t.Context()); !errors.Is(err, broken) {
		t.Error(err)
	}
	alone := newHub(t, pubsub.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := alone.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestOptionsAboutOtherNodesAreChecked(t *testing.T) {
	for option, cfg := range map[string]pubsub.Config{
		"RemoteTimeout": {RemoteTimeout: -1}, "Linger": {Linger: -1}, "Remote": {Remote: pubsubtest.NewNetwork().Remote("")},
	} {
		var bad *pubsub.OptionError
		if _, err := pubsub.New(cfg); !errors.As(err, &bad) || bad.Option != option {
			t.Errorf("%s: %v", option, err)
		}
	}
}

func TestAWatchIsCalledFromTimeToTimeOnANodeOfSeveral(t *testing.T) {
	bubble(t, pubsub.Config{}, func(t *testing.T, _ *pubsubtest.Network, hubs []*pubsub.Hub) {
		var calls []time.Duration
		begin := time.Now()
		w := hubs[0].Watch("t", func() { calls = append(calls, time.Since(begin)) })
		<-time.After(12 * time.Second)
		synctest.Wait()
		w.Stop()
		want := []time.Duration{250, 750, 1750, 3750, 7750, 11750}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if fmt.Sprint(calls) != fmt.Sprint(want) {
			t.Errorf("called after %v, want %v", calls, want)
		}
		<-time.After(time.Minute)
		if len(calls) != len(want) {
			t.Error("called after Stop")
		}
	})
}

// A watch is called after its first pause, also if the pauses of earlier watches
// have become long.
func TestAWatchDoesNotWaitForThePausesOfOthers(t *testing.T) {
	bubble(t, pubsub.Config{}, func(t *testing.T, _ *pubsubtest.Network, hubs []*pubsub.Hub) {
		defer hubs[0].Watch("old", func() {}).Stop()
		<-time.After(8 * time.Second) // its next call is after 11.75 s
		var calls []time.Duration
		begin := time.Now()
		defer hubs[0].Watch("new", func() { calls = append(calls, time.Since(begin)) }).Stop()
		<-time.After(time.Second)
		synctest.Wait()
		if want := fmt.Sprint([]time.Duration{250 * time.Millisecond, 750 * time.Millisecond}); fmt.Sprint(calls) != want {
			t.Errorf("called after %v, want %v", calls, want)
		}
	})
}
