package delivery

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// client is a subscriber that reports when the test says so.
type client struct {
	got   []string
	taken []*pubsub.Tally
	first func() // called while it is offered its first message
}

func (c *client) Deliver(m *pubsub.Message) bool {
	c.got = append(c.got, m.Payload.String())
	m.Tally().Take()
	c.taken = append(c.taken, m.Tally())
	if c.first != nil {
		c.first()
		c.first = nil
	}
	return true
}

// direct is a consumer whose stage is the test.
type direct struct {
	*Consumer[int]
	t       *testing.T
	hub     *pubsub.Hub
	account account[int]
}

func newDirect(t *testing.T) *direct {
	t.Helper()
	hub, err := pubsub.New(pubsub.Config{})
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := websocket.NewEndpoint(websocket.EndpointConfig{PubSub: hub})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = endpoint.Close(context.Background()) })
	c, err := New(endpoint, Config[int]{
		Topic: func(int) string { return "t" }, Event: "e",
		Payload: func(n int) (any, error) { return map[string]int{"n": n}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.ctx, c.epoch = t.Context(), time.Now()
	c.inbox.open(func() {})
	c.timer = time.AfterFunc(time.Hour, func() {})
	t.Cleanup(func() { _ = c.HandleTerminate(context.Background(), nil) })
	return &direct{Consumer: c, t: t, hub: hub}
}

// arrive has events arrive together.
func (d *direct) arrive(events ...int) {
	for _, n := range events {
		f := d.take()
		f.event, f.account = n, &d.account
		d.begin(f, d.now())
	}
	d.sendGroup()
	d.work()
}

func (d *direct) join(c *client) *pubsub.Subscription {
	d.t.Helper()
	sub, err := d.hub.Subscribe("t", c)
	if err != nil {
		d.t.Fatal(err)
	}
	return sub
}

func (d *direct) want(c *client, want string) {
	d.t.Helper()
	if got := fmt.Sprint(c.got); got != want {
		d.t.Fatalf("the client has %s, want %s", got, want)
	}
}

// TestAClientThatJoinsBetweenDoesNotGetTheLaterOneFirst: the events are sent to the clients
// of one moment, and again one by one, also if their reports come in the other order.
func TestAClientThatJoinsBetweenDoesNotGetTheLaterOneFirst(t *testing.T) {
	for _, reverse := range []bool{false, true} {
		t.Logf("reports in reverse: %v", reverse)
		d := newDirect(t)
		old, joins := &client{}, &client{}
		old.first = func() { d.join(joins) }
		sub := d.join(old)
		d.arrive(1, 2)
		d.want(old, `[{"n":1} {"n":2}]`)
		d.want(joins, "[]")
		sub.Unsubscribe()
		order := []int{0, 1}
		if reverse {
			order = []int{1, 0}
		}
		for _, i := range order {
			old.taken[i].Report(time.Time{}, pubsub.ErrGone)
			d.work()
		}
		d.want(joins, `[{"n":1}]`) // the other one waits for its report
		third := &client{}
		d.join(third)
		joins.taken[0].Report(time.Time{}, pubsub.ErrGone)
		third.got = nil
		d.work()
		d.want(third, `[{"n":1}]`)
		third.taken[0].Report(time.Now(), nil)
		joins.taken[1].Report(time.Time{}, pubsub.ErrGone)
		d.work()
		d.want(third, `[{"n":1} {"n":2}]`)
		third.taken[1].Report(time.Now(), nil)
		d.work()
		if len(d.account.finished) != 2 || d.account.finished[0].Err != nil || d.account.finished[1].Err != nil || d.book.open.n != 0 {
			t.Errorf("receipts %v, %d open", d.account.finished, d.book.open.n)
		}
		joins.taken[2].Report(time.Time{}, pubsub.ErrGone)
	}
}

// TestOneOfAGroupThatCannotBeSentDelaysNoOther.
func TestOneOfAGroupThatCannotBeSentDelaysNoOther(t *testing.T) {
	d := newDirect(t)
	d.cfg.Payload = func(n int) (any, error) {
		if n == 2 {
			return []int{}, nil // no object
		}
		return map[string]int{"n": n}, nil
	}
	c := &client{}
	d.join(c)
	d.arrive(1, 2, 3)
	d.want(c, `[{"n":1} {"n":3}]`)
	c.taken[1].Report(time.Now(), nil)
	d.work()
	if len(d.account.finished) != 2 {
		t.Errorf("receipts %v, want those of 2 and 3", d.account.finished)
	}
	c.taken[0].Report(time.Now(), nil)
	d.work()
	if len(d.account.finished) != 3 || d.book.open.n != 0 {
		t.Errorf("receipts %v, %d open", d.account.finished, d.book.open.n)
	}
}

// TestAClientThatComesWhileALineWaitsForAReportIsTried: the events of the line go to it
// once the report has come, although the wake-up was before.
func TestAClientThatComesWhileALineWaitsForAReportIsTried(t *testing.T) {
	d := newDirect(t)
	old, joins, third := &client{}, &client{}, &client{}
	old.first = func() { d.join(joins) }
	sub := d.join(old)
	d.arrive(1, 2)
	sub.Unsubscribe()
	for i := range old.taken {
		old.taken[i].Report(time.Time{}, pubsub.ErrGone)
	}
	d.work()
	d.want(joins, `[{"n":1}]`)
	d.join(third)
	d.work()
	d.want(third, "[]") // the line waits for the report
	joins.taken[0].Report(time.Time{}, pubsub.ErrGone)
	d.work()
	d.want(third, `[{"n":1}]`)
}
