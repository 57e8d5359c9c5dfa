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
)

// begin runs a producer into f, and returns what drains it.
func begin(t *testing.T, p *Producer[sourcetest.Event], f func(context.Context, sourcetest.Event) error, step pipeline.StepConfig[sourcetest.Event]) func() {
	t.Helper()
	flow := pipeline.New(pipeline.Config{})
	pipeline.Each(pipeline.From(flow, p, pipeline.SourceConfig[sourcetest.Event]{}), f, step)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- flow.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not yet: " + what)
		}
	}
}

func fill(t *testing.T, client *goredis.Client, stream string, n int) {
	t.Helper()
	for i := range n {
		if err := client.XAdd(t.Context(), &goredis.XAddArgs{Stream: stream, Values: []string{"event", fmt.Sprintf("k/%d", i)}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// A slow handler keeps its entries: another consumer of the group, which has demand, gets none of
// them within three leases.
func TestSlowHandlerIsNotRobbed(t *testing.T) {
	addr := server(t)
	client := connect(t, addr)
	stream := newStream(t, client)
	fill(t, client, stream, 20)
	var slow, quick sourcetest.Ledger
	open := make(chan struct{})
	first, err := NewProducer(eventConfig(addr, stream, sourcetest.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	endFirst := begin(t, first, func(_ context.Context, e sourcetest.Event) error {
		<-open
		slow.Handle(e)
		return nil
	}, pipeline.StepConfig[sourcetest.Event]{Workers: 20})
	until(t, "all are out", func() bool { return first.Snapshot().InFlight == 20 })
	second, err := NewProducer(eventConfig(addr, stream, sourcetest.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	endSecond := begin(t, second, func(_ context.Context, e sourcetest.Event) error {
		quick.Handle(e)
		return nil
	}, pipeline.StepConfig[sourcetest.Event]{})
	time.Sleep(3500 * time.Millisecond)
	close(open)
	until(t, "all", func() bool { return left(t, client, stream) == 0 })
	endFirst()
	endSecond()
	if quick.Len() != 0 || slow.Len() != 20 {
		t.Errorf("%d by the second consumer, %d by the first", quick.Len(), slow.Len())
	}
	// Both have left the group.
	if list := client.XInfoConsumers(t.Context(), stream, "group").Val(); len(list) != 0 {
		t.Errorf("consumers left: %v", list)
	}
}

// take reads entries as a process that dies with them.
func take(t *testing.T, client *goredis.Client, stream, consumer string) {
	t.Helper()
	if err := client.XReadGroup(t.Context(), &goredis.XReadGroupArgs{Group: "group", Consumer: consumer, Streams: []string{stream, ">"}, Count: 100}).Err(); err != nil {
		t.Fatal(err)
	}
}

// An entry that was delivered too often becomes a dead letter; the count outlives processes.
func TestDeliveriesAreBounded(t *testing.T) {
	addr := server(t)
	client := connect(t, addr)
	stream := newStream(t, client)
	fill(t, client, stream, 1)
	if err := client.XGroupCreate(t.Context(), stream, "group", "0").Err(); err != nil {
		t.Fatal(err)
	}
	take(t, client, stream, "dead")
	id := client.XRange(t.Context(), stream, "-", "+").Val()[0].ID
	for range 2 {
		if err := client.XClaim(t.Context(), &goredis.XClaimArgs{Stream: stream, Group: "group", Consumer: "dead", Messages: []string{id}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	letters, err := deadletter.NewMemory(deadletter.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := eventConfig(addr, stream, sourcetest.Options{DeadLetters: letters})
	cfg.MaxDeliveries = 3
	p, err := NewProducer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	end := begin(t, p, func(context.Context, sourcetest.Event) error {
		t.Error("delivered a fourth time")
		return nil
	}, pipeline.StepConfig[sourcetest.Event]{})
	until(t, "the letter", func() bool { return len(letters.Letters()) == 1 && left(t, client, stream) == 0 })
	end()
	l := letters.Letters()[0]
	if l.Error != "delivered 3 times without a receipt" || l.Source != stream+"@"+id || string(l.Event) != `{"event":"k/0"}` || l.Attempts != 4 {
		t.Errorf("%+v", l)
	}
}

// A consumer with a name of its own has what it had at once after a restart.
func TestNameThatStays(t *testing.T) {
	addr := server(t)
	client := connect(t, addr)
	stream := newStream(t, client)
	fill(t, client, stream, 250)
	if err := client.XGroupCreate(t.Context(), stream, "group", "0").Err(); err != nil {
		t.Fatal(err)
	}
	take(t, client, stream, "mine")
	cfg := eventConfig(addr, stream, sourcetest.Options{})
	cfg.Consumer, cfg.Lease = "mine", time.Hour
	p, err := NewProducer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var l sourcetest.Ledger
	end := begin(t, p, func(_ context.Context, e sourcetest.Event) error {
		l.Handle(e)
		return nil
	}, pipeline.StepConfig[sourcetest.Event]{})
	until(t, "all", func() bool { return left(t, client, stream) == 0 })
	end()
	if l.Len() != 250 || l.Disorder() != 0 {
		t.Errorf("%d handled, %d out of order", l.Len(), l.Disorder())
	}
}

// What was trimmed after its delivery is counted.
func TestTrimmedEntriesAreCounted(t *testing.T) {
	addr := server(t)
	client := connect(t, addr)
	stream := newStream(t, client)
	fill(t, client, stream, 10)
	if err := client.XGroupCreate(t.Context(), stream, "group", "0").Err(); err != nil {
		t.Fatal(err)
	}
	take(t, client, stream, "dead")
	client.XTrimMaxLen(t.Context(), stream, 4)
	p, err := NewProducer(eventConfig(addr, stream, sourcetest.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	var l sourcetest.Ledger
	end := begin(t, p, func(_ context.Context, e sourcetest.Event) error {
		l.Handle(e)
		return nil
	}, pipeline.StepConfig[sourcetest.Event]{})
	until(t, "the rest", func() bool { return l.Len() == 4 && p.Snapshot().Trimmed == 6 && left(t, client, stream) == 0 })
	end()
}

// A stream that was deleted with its group is made again, with the entries that come then.
func TestDeletedStream(t *testing.T) {
	addr := server(t)
	client := connect(t, addr)
	stream := newStream(t, client)
	fill(t, client, stream, 5)
	p, err := NewProducer(eventConfig(addr, stream, sourcetest.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	var l sourcetest.Ledger
	end := begin(t, p, func(_ context.Context, e sourcetest.Event) error {
		l.Handle(e)
		return nil
	}, pipeline.StepConfig[sourcetest.Event]{})
	until(t, "all", func() bool { return l.Len() == 5 })
	client.Del(t.Context(), stream)
	time.Sleep(500 * time.Millisecond)
	fill(t, client, stream, 5)
	until(t, "the new ones", func() bool { return l.Len() == 10 })
	end()
	if s := p.Snapshot(); s.Errors == 0 || s.LastError == "" {
		t.Errorf("in silence: %+v", s)
	}
}

// The lag is what no consumer has, and its age.
func TestLag(t *testing.T) {
	addr := server(t)
	client := connect(t, addr)
	stream := newStream(t, client)
	fill(t, client, stream, 7)
	s := newStore(eventConfig(addr, stream, sourcetest.Options{}).withDefaults())
	defer func() { _ = s.Close(context.Background(), false) }()
	if _, err := s.Fetch(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	lag, err := s.Lag(t.Context())
	if err != nil || lag.Waiting != 4 || lag.Leased != 3 || lag.Oldest <= 0 || lag.Oldest > time.Minute {
		t.Errorf("%+v, %v", lag, err)
	}
}
