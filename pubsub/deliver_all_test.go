package pubsub_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

// choosy is a subscriber that refuses the n-th delivery that it is offered, from 1, for the
// reason of n, and takes the others.
type choosy struct {
	refuse  map[int]error
	offered []string // payloads
	taken   []*pubsub.Tally
}

func (p *choosy) Deliver(m *pubsub.Message) bool {
	p.offered = append(p.offered, m.Payload.String())
	if why := p.refuse[len(p.offered)]; why != nil {
		m.Tally().Refuse(why)
		return false
	}
	m.Tally().Take()
	p.taken = append(p.taken, m.Tally())
	return true
}

// together delivers the numbers 1 to n, and returns their reports.
func together(t *testing.T, h *pubsub.Hub, n int) [][]error {
	t.Helper()
	reports := make([][]error, n)
	list := make([]pubsub.Delivery, n)
	for i := range list {
		list[i] = pubsub.Delivery{Payload: num{i + 1}, Done: func(r pubsub.Report) { reports[i] = append(reports[i], r.Err) }}
	}
	if err := h.DeliverAll("t", "e", list); err != nil {
		t.Fatal(err)
	}
	for i, d := range list {
		if d.Err != nil {
			t.Errorf("%d: %v", i+1, d.Err)
		}
	}
	return reports
}

func TestASubscriberThatRefusesOneIsNotOfferedTheLaterOnes(t *testing.T) {
	h := newHub(t, pubsub.Config{})
	full := &choosy{refuse: map[int]error{2: pubsub.ErrFull}}
	other := &choosy{}
	subscribe(t, h, "t", full)
	subscribe(t, h, "t", other)
	reports := together(t, h, 3)
	if len(full.offered) != 2 || len(other.offered) != 3 {
		t.Fatalf("offered %v and %v", full.offered, other.offered)
	}
	for _, tally := range other.taken {
		tally.Report(time.Time{}, pubsub.ErrGone)
	}
	full.taken[0].Report(time.Now(), nil)
	if got, want := fmt.Sprint(reports), fmt.Sprint([][]error{{nil}, {pubsub.ErrFull}, {pubsub.ErrFull}}); got != want {
		t.Errorf("reports %s, want %s", got, want)
	}
}

func TestOneThatASubscriberCannotTakeDoesNotHoldUpTheLaterOnes(t *testing.T) {
	h := newHub(t, pubsub.Config{})
	text := &choosy{refuse: map[int]error{1: pubsub.ErrUnfit}}
	subscribe(t, h, "t", text)
	reports := together(t, h, 2)
	text.taken[0].Report(time.Now(), nil)
	if got, want := fmt.Sprint(reports), fmt.Sprint([][]error{{pubsub.ErrUnfit}, {nil}}); got != want {
		t.Errorf("reports %s, want %s", got, want)
	}
}

func TestDeliveriesTogetherWithoutASubscriber(t *testing.T) {
	h := newHub(t, pubsub.Config{})
	if got, want := fmt.Sprint(together(t, h, 2)), fmt.Sprint([][]error{{pubsub.ErrNoSubscriber}, {pubsub.ErrNoSubscriber}}); got != want {
		t.Errorf("reports %s, want %s", got, want)
	}
}

// TestDeliveriesTogetherHaveErrorsOfTheirOwn: what cannot be encoded is left out.
func TestDeliveriesTogetherHaveErrorsOfTheirOwn(t *testing.T) {
	h := newHub(t, pubsub.Config{})
	s := &choosy{}
	subscribe(t, h, "t", s)
	list := []pubsub.Delivery{{Payload: num{1}}, {Payload: []int{}, Done: func(pubsub.Report) { t.Error("reported") }}, {Payload: num{3}, Done: func(pubsub.Report) {}}}
	if err := h.DeliverAll("t", "e", list); err != nil {
		t.Fatal(err)
	}
	var refused *pubsub.OptionError
	if !errors.As(list[0].Err, &refused) || !errors.Is(list[1].Err, pubsub.ErrPayload) || list[2].Err != nil || !slices.Equal(s.offered, []string{`{"n":3}`}) {
		t.Errorf("%v, %v, %v; offered %v", list[0].Err, list[1].Err, list[2].Err, s.offered)
	}
	h.Stop()
	if _ = h.DeliverAll("t", "e", list[2:]); !errors.Is(list[2].Err, pubsub.ErrClosed) {
		t.Errorf("after the end: %v", list[2].Err)
	}
}

func TestDeliveriesThatMustGoApart(t *testing.T) {
	memory, err := pubsub.NewMemory(pubsub.MemoryConfig{Topics: []string{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	kept := newHub(t, pubsub.Config{History: memory})
	net := pubsubtest.NewNetwork()
	several, _ := net.Hub(t, "a", pubsub.Config{})
	for _, h := range []*pubsub.Hub{kept, several} {
		s := &choosy{}
		subscribe(t, h, "t", s)
		if err := h.DeliverAll("t", "e", make([]pubsub.Delivery, 2)); !errors.Is(err, pubsub.ErrApart) || len(s.offered) > 0 {
			t.Errorf("%v, offered %v", err, s.offered)
		}
	}
}

// TestAPanicDoesNotKeepDeliveriesFromTheOtherSubscribers as it does no broadcast.
func TestAPanicDoesNotKeepDeliveriesFromTheOtherSubscribers(t *testing.T) {
	h := newHub(t, pubsub.Config{})
	subscribe(t, h, "t", pubsub.SubscriberFunc(func(*pubsub.Message) bool { panic("on purpose") }))
	s := &choosy{}
	subscribe(t, h, "t", s)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		together(t, h, 2)
	}()
	if len(s.offered) != 2 {
		t.Errorf("offered %v", s.offered)
	}
}

// TestTheReasonOfOneSubscriberIsNotThatOfAnother: one that cannot take the first message is
// offered the second one, although another has no room.
func TestTheReasonOfOneSubscriberIsNotThatOfAnother(t *testing.T) {
	h := newHub(t, pubsub.Config{})
	full := &choosy{refuse: map[int]error{1: pubsub.ErrFull}}
	text := &choosy{refuse: map[int]error{1: pubsub.ErrUnfit}}
	subscribe(t, h, "t", full)
	subscribe(t, h, "t", text)
	together(t, h, 2)
	if len(full.offered) != 1 || len(text.offered) != 2 {
		t.Errorf("offered %v and %v, want one and two", full.offered, text.offered)
	}
}
