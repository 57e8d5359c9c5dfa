package redis

import (
	"context"
	"fmt"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/sourcetest"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

// one is a Redis with a stream of a test.
type one struct {
	t            *testing.T
	addr, stream string
	client       *goredis.Client
}

// newOne returns one whose stream has n entries, k/0 and on.
func newOne(t *testing.T, n int) one {
	t.Helper()
	addr := sourcetest.Server(t, "redis")
	client := connect(t, addr)
	o := one{t: t, addr: addr, stream: newStream(t, client), client: client}
	o.fill(n)
	return o
}

// config is that of a producer of the stream.
func (o one) config() Config[sourcetest.Event] {
	return eventConfig(o.addr, o.stream, sourcetest.Options{})
}

// begin runs a producer into a step that calls f, if it is not nil, and then notes the event.
func (o one) begin(cfg Config[sourcetest.Event], f func(), workers int) (*Producer[sourcetest.Event], *sourcetest.Ledger, *sourcetest.Running) {
	o.t.Helper()
	p, l := stage.Must(NewProducer(cfg)), new(sourcetest.Ledger)
	return p, l, sourcetest.Begin(o.t, p, func(_ context.Context, e sourcetest.Event) error {
		if f != nil {
			f()
		}
		l.Handle(e)
		return nil
	}, pipeline.StepConfig[sourcetest.Event]{Workers: workers})
}

func (o one) fill(n int) {
	o.t.Helper()
	for i := range n {
		if err := o.client.XAdd(o.t.Context(), &goredis.XAddArgs{Stream: o.stream, Values: []string{"event", fmt.Sprintf("k/%d", i)}}).Err(); err != nil {
			o.t.Fatal(err)
		}
	}
}

// take makes the group and reads all entries as a process that dies with them.
func (o one) take(consumer string) {
	o.t.Helper()
	if err := o.client.XGroupCreate(o.t.Context(), o.stream, "group", "0").Err(); err != nil {
		o.t.Fatal(err)
	}
	if err := o.client.XReadGroup(o.t.Context(), &goredis.XReadGroupArgs{Group: "group", Consumer: consumer, Streams: []string{o.stream, ">"}, Count: 1000}).Err(); err != nil {
		o.t.Fatal(err)
	}
}

// until waits for a condition, and for the acknowledgement of all entries.
func (o one) until(what string, condition func() bool) {
	o.t.Helper()
	sourcetest.Until(o.t, what, func() bool { return condition() && left(o.t, o.client, o.stream) == 0 })
}

// A slow handler keeps its entries: another consumer of the group, which has demand, gets none of
// them within three leases.
func TestSlowHandlerIsNotRobbed(t *testing.T) {
	o := newOne(t, 20)
	open := make(chan struct{})
	cfg := o.config()
	cfg.Lease = 3 * time.Second // a process that stands still for less keeps its entries
	first, slow, a := o.begin(cfg, func() { <-open }, 20)
	sourcetest.Until(t, "all are out", func() bool { return first.Snapshot().InFlight == 20 })
	_, quick, b := o.begin(cfg, nil, 1)
	time.Sleep(3*cfg.Lease + cfg.Lease/2)
	close(open)
	o.until("all", func() bool { return true })
	a.Drain()
	b.Drain()
	if quick.Len() != 0 || slow.Len() != 20 {
		t.Errorf("%d by the second consumer, %d by the first", quick.Len(), slow.Len())
	}
	// Both have left the group.
	if list := o.client.XInfoConsumers(t.Context(), o.stream, "group").Val(); len(list) != 0 {
		t.Errorf("consumers left: %v", list)
	}
}

// An entry that was delivered too often becomes a dead letter; the count outlives processes.
func TestDeliveriesAreBounded(t *testing.T) {
	o := newOne(t, 1)
	o.take("dead")
	id := o.client.XRange(t.Context(), o.stream, "-", "+").Val()[0].ID
	for range 2 {
		if err := o.client.XClaim(t.Context(), &goredis.XClaimArgs{Stream: o.stream, Group: "group", Consumer: "dead", Messages: []string{id}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	letters := stage.Must(deadletter.NewMemory(deadletter.MemoryConfig{}))
	cfg := o.config()
	cfg.DeadLetters, cfg.MaxDeliveries = letters, 3
	_, handled, running := o.begin(cfg, nil, 1)
	o.until("the letter", func() bool { return len(letters.Letters()) == 1 })
	running.Drain()
	if handled.Len() > 0 {
		t.Error("delivered a fourth time")
	}
	l := letters.Letters()[0]
	if l.Error != "delivered 3 times without a receipt" || l.Source != o.stream+"@"+id || string(l.Event) != `{"event":"k/0"}` || l.Attempts != 4 {
		t.Errorf("%+v", l)
	}
}

// A consumer with a name of its own has what it had at once after a restart.
func TestNameThatStays(t *testing.T) {
	o := newOne(t, 250)
	o.take("mine")
	cfg := o.config()
	cfg.Consumer, cfg.Lease = "mine", time.Hour
	_, l, running := o.begin(cfg, nil, 1)
	o.until("all", func() bool { return true })
	running.Drain()
	if l.Len() != 250 || l.Disorder() != 0 {
		t.Errorf("%d handled, %d out of order", l.Len(), l.Disorder())
	}
}

// What was trimmed after its delivery is counted.
func TestTrimmedEntriesAreCounted(t *testing.T) {
	o := newOne(t, 10)
	o.take("dead")
	o.client.XTrimMaxLen(t.Context(), o.stream, 4)
	p, l, running := o.begin(o.config(), nil, 1)
	o.until("the rest", func() bool { return l.Len() == 4 && p.Snapshot().Trimmed == 6 })
	running.Drain()
}

// A stream that was deleted with its group is made again, with the entries that come then.
func TestDeletedStream(t *testing.T) {
	o := newOne(t, 5)
	p, l, running := o.begin(o.config(), nil, 1)
	sourcetest.Until(t, "all", func() bool { return l.Len() == 5 })
	o.client.Del(t.Context(), o.stream)
	time.Sleep(500 * time.Millisecond)
	o.fill(5)
	sourcetest.Until(t, "the new ones", func() bool { return l.Len() == 10 })
	running.Drain()
	if s := p.Snapshot(); s.Errors == 0 || s.LastError == "" {
		t.Errorf("in silence: %+v", s)
	}
}

// The lag is what no consumer has, and its age.
func TestLag(t *testing.T) {
	o := newOne(t, 7)
	s := newStore(o.config().withDefaults())
	defer func() { _ = s.Close(context.Background(), false) }()
	if _, err := s.Fetch(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	lag, err := s.Lag(t.Context())
	if err != nil || lag.Waiting != 4 || lag.Leased != 3 || lag.Oldest <= 0 || lag.Oldest > time.Minute {
		t.Errorf("%+v, %v", lag, err)
	}
}
