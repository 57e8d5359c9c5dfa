package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

// socket is a subscriber that takes deliveries or refuses them, and reports when
// the test says so.
type socket struct {
	refuse error
	fail   error
	taken  []*pubsub.Tally
}

func (s *socket) Deliver(m *pubsub.Message) bool {
	switch t := m.Tally(); {
	case t == nil:
		return false
	case s.fail != nil:
		m.Fail(s.fail)
		return false
	case s.refuse != nil:
		t.Refuse(s.refuse)
		return false
	default:
		t.Take()
		s.taken = append(s.taken, t)
		return true
	}
}

// deliver makes a delivery and returns its reports as they come.
func deliver(t *testing.T, h *pubsub.Hub) *[]pubsub.Report {
	t.Helper()
	reports := new([]pubsub.Report)
	if err := h.Deliver(t.Context(), "t", "e", num{1}, func(r pubsub.Report) { *reports = append(*reports, r) }); err != nil {
		t.Fatal(err)
	}
	return reports
}

func subscribeAll(t *testing.T, h *pubsub.Hub, subscribers ...pubsub.Subscriber) {
	t.Helper()
	for _, s := range subscribers {
		if _, err := h.Subscribe("t", s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestADeliveryEndsWithTheFirstSubscriberThatHasIt(t *testing.T) {
	h := newHub(t, pubsub.Config{})
	a, b := &socket{}, &socket{}
	subscribeAll(t, h, a, b)
	got := deliver(t, h)
	if len(*got) != 0 {
		t.Fatalf("reported %v before a subscriber had it", *got)
	}
	at := time.Unix(1, 0)
	b.taken[0].Report(at, nil)
	a.taken[0].Report(at.Add(1), nil)
	if len(*got) != 1 || (*got)[0] != (pubsub.Report{At: at}) {
		t.Errorf("reports %v", *got)
	}
}

func TestTheWorstReasonDecides(t *testing.T) {
	order := []error{pubsub.ErrNoSubscriber, pubsub.ErrUnfit, pubsub.ErrGone, pubsub.ErrFull, pubsub.ErrSuperseded}
	for i, first := range order {
		for j, second := range order {
			h := newHub(t, pubsub.Config{})
			taker := &socket{}
			subscribeAll(t, h, taker, &socket{refuse: second})
			got := deliver(t, h)
			taker.taken[0].Report(time.Time{}, fmt.Errorf("wrapped: %w", first))
			want := order[max(i, j)]
			if len(*got) != 1 || (*got)[0].Err != want {
				t.Errorf("%v and %v: %v, want %v", first, second, *got, want)
			}
		}
	}
	h := newHub(t, pubsub.Config{})
	subscribeAll(t, h, &socket{refuse: errors.New("closed")})
	if got := deliver(t, h); len(*got) != 1 || (*got)[0].Err != pubsub.ErrGone {
		t.Errorf("an unknown reason: %v, want %v", *got, pubsub.ErrGone)
	}
}

func TestADeliveryWithoutATaker(t *testing.T) {
	h := newHub(t, pubsub.Config{})
	// Subscribers that do not report take no part.
	subscribeAll(t, h, pubsub.SubscriberFunc(func(*pubsub.Message) bool { return true }))
	if got := deliver(t, h); len(*got) != 1 || (*got)[0].Err != pubsub.ErrNoSubscriber {
		t.Errorf("reports %v", *got)
	}
}

func TestADeliveryThatIsRefusedIsNotReported(t *testing.T) {
	never := func(pubsub.Report) { t.Error("reported") }
	h := newHub(t, pubsub.Config{})
	broken := errors.New("broken")
	subscribeAll(t, h, &socket{fail: broken})
	if err := h.Deliver(t.Context(), "t", "e", nil, never); !errors.Is(err, broken) {
		t.Errorf("failed by a subscriber: %v", err)
	}
	if err := h.Deliver(t.Context(), "t", "e", func() {}, never); err == nil {
		t.Error("a payload without JSON was delivered")
	}
	h.Stop()
	if err := h.Deliver(t.Context(), "t", "e", nil, never); !errors.Is(err, pubsub.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestADeliveryIsKeptOnlyForASubscriber(t *testing.T) {
	memory, err := pubsub.NewMemory(pubsub.MemoryConfig{Topics: []string{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	h := newHub(t, pubsub.Config{History: memory})
	if got := deliver(t, h); len(*got) != 1 || (*got)[0].Err != pubsub.ErrNoSubscriber || (*got)[0].Kept {
		t.Fatalf("without a subscription: %v", *got)
	}
	s := &socket{}
	subscribeAll(t, h, s)
	got := deliver(t, h)
	s.taken[0].Report(time.Time{}, pubsub.ErrGone)
	if len(*got) != 1 || (*got)[0] != (pubsub.Report{Err: pubsub.ErrGone, Kept: true}) {
		t.Errorf("with a subscription: %v", *got)
	}
	_, now, err := memory.Since(context.Background(), "t", pubsub.Position{})
	if !errors.Is(err, pubsub.ErrEpoch) || now.Offset != 1 {
		t.Errorf("kept up to %d, want 1 (%v)", now.Offset, err)
	}
}

// TestReportsExactlyOnce has takers report at the same time.
func TestReportsExactlyOnce(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for range 300 {
		h := newHub(t, pubsub.Config{})
		takers := make([]*socket, random.IntN(4))
		for i := range takers {
			takers[i] = &socket{}
			subscribeAll(t, h, takers[i])
		}
		var reports, had atomic.Int32
		if err := h.Deliver(t.Context(), "t", "e", nil, func(r pubsub.Report) {
			reports.Add(1)
			if r.Err == nil {
				had.Add(1)
			}
		}); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		want := int32(0)
		for _, s := range takers {
			var err error
			if random.IntN(2) == 0 {
				err = pubsub.ErrGone
			} else {
				want = 1
			}
			wg.Go(func() { s.taken[0].Report(time.Now(), err) })
		}
		wg.Wait()
		if reports.Load() != 1 || had.Load() != want {
			t.Fatalf("%d takers: %d reports, %d of success, want 1 and %d", len(takers), reports.Load(), had.Load(), want)
		}
	}
}

// TestASuccessIsNotOvertakenByAFailure: of two subscribers that report at the same
// moment, one has the message, whatever the other says. The race detector makes the
// moment long enough for a fault to show.
func TestASuccessIsNotOvertakenByAFailure(t *testing.T) {
	h := newHub(t, pubsub.Config{})
	has, gone := &socket{}, &socket{}
	subscribeAll(t, h, has)
	subscribeAll(t, h, gone)
	for i := range 50_000 {
		var failed atomic.Bool
		if err := h.Deliver(t.Context(), "t", "e", nil, func(r pubsub.Report) { failed.Store(r.Err != nil) }); err != nil {
			t.Fatal(err)
		}
		start := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { <-start; has.taken[i].Report(time.Now(), nil) })
		wg.Go(func() { <-start; gone.taken[i].Report(time.Time{}, pubsub.ErrGone) })
		close(start)
		wg.Wait()
		if failed.Load() {
			t.Fatalf("delivery %d has failed", i)
		}
	}
}

func TestADeliveryCostsWhatABroadcastCosts(t *testing.T) {
	h := newHub(t, pubsub.Config{})
	subscribeAll(t, h, pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
		if t := m.Tally(); t != nil {
			t.Take()
			t.Report(time.Time{}, nil)
		}
		return true
	}))
	p, err := pubsub.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	done := func(pubsub.Report) {}
	broadcast := testing.AllocsPerRun(100, func() { _, _ = h.Broadcast(context.Background(), "t", "e", p) })
	delivery := testing.AllocsPerRun(100, func() { _ = h.Deliver(context.Background(), "t", "e", p, done) })
	if delivery > broadcast {
		t.Errorf("%v allocations, of a broadcast %v", delivery, broadcast)
	}
}
