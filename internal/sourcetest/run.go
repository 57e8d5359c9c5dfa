package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// Run runs the cases.
func Run(t *testing.T, backend func(t *testing.T) Backend) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, b Backend)
	}{
		{"demand is exact", demand},
		{"a receipt comes before the acknowledgement", receipts},
		{"poison does not stop what is behind it", poison},
		{"drains under load lose and repeat nothing", drains},
		{"killed processes lose nothing", kills},
		{"the server stops and starts", func(t *testing.T, b Backend) { restart(t, b, "stop") }},
		{"the server is killed", func(t *testing.T, b Backend) { restart(t, b, "kill") }},
		{"connections are cut", cuts},
		{"an outage behind the source", outage},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, backend(t)) })
	}
}

// longLease is for cases in which no lease has to run out: a machine that keeps the server from
// running for some seconds makes it neither fail calls nor free what is in work.
const longLease = 10 * time.Second

// needsServer leaves a case out for sources in memory.
func needsServer(t *testing.T, b Backend) {
	t.Helper()
	if b.Memory {
		t.Skip("the source is in memory")
	}
}

// events returns n events of some keys, in turn.
func events(n, keys int) []Event {
	list := make([]Event, n)
	for i := range list {
		list[i] = Event{fmt.Sprintf("k%d", i%keys), i / keys}
	}
	return list
}

// byKey has the events of a key handled in order.
func byKey(workers int) pipeline.StepConfig[Event] {
	return pipeline.StepConfig[Event]{Workers: workers, Key: func(e Event) string { return e.Key }}
}

// demand: a consumer that asked for 10 has 10, and no more were taken from the server.
func demand(t *testing.T, b Backend) {
	if b.Taken == nil {
		t.Skip("the source does not say what it has taken")
	}
	b.Append(t, events(500, 10))
	source := b.Source(t, Options{Lease: longLease})
	got, open := atomic.Int64{}, make(chan struct{})
	sink := stage.Must(stage.NewConsumer(stage.ConsumerFunc[Event](func(_ context.Context, list []Event) error {
		got.Add(int64(len(list)))
		<-open
		return nil
	}), stage.ConsumerConfig{}))
	up := stage.Must(stage.NewProducer(source, stage.ProducerConfig[Event]{}))
	if _, err := sink.Subscribe(up, stage.SubscribeConfig{MaxDemand: 10, MinDemand: 1}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- stage.Run(ctx, up, sink) }()
	Until(t, "10 events", func() bool { return b.Taken(source) >= 10 })
	time.Sleep(500 * time.Millisecond)
	if n := b.Taken(source); n != 10 {
		t.Errorf("%d were taken for a demand of 10", n)
	}
	close(open)
	Until(t, "all", func() bool { return got.Load() == 500 && b.Left(t) == 0 })
	if n := b.Taken(source); n != 500 {
		t.Errorf("%d were taken of 500", n)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// receipts: nothing is acknowledged before its event was handled.
func receipts(t *testing.T, b Backend) {
	needsServer(t, b)
	b.Append(t, events(100, 100))
	var l Ledger
	open := make(chan struct{})
	r := Begin(t, b.Source(t, Options{}), func(ctx context.Context, e Event) error {
		if e.Seq == 0 && e.Key == "k0" || l.Len() >= 50 {
			<-open
		}
		l.Handle(e)
		return nil
	}, pipeline.StepConfig[Event]{Workers: 100})
	Until(t, "half", func() bool { return l.Len() >= 50 })
	time.Sleep(1500 * time.Millisecond) // beyond a lease: what is in work stays here
	if left, want := b.Left(t), 100-l.Len(); left < want {
		t.Errorf("%d are left, and %d were not handled", left, want)
	}
	close(open)
	Until(t, "all acknowledged", func() bool { return b.Left(t) == 0 })
	r.Drain()
	if lost, twice := l.Check(events(100, 100)); lost > 0 || twice > 0 {
		t.Errorf("%d lost, %d twice", lost, twice)
	}
}

// poison: what cannot be decoded is a dead letter, and the others are handled.
func poison(t *testing.T, b Backend) {
	needsServer(t, b)
	first, rest := events(100, 10)[:50], events(100, 10)[50:]
	b.Append(t, first, Poison, "")
	b.Append(t, rest)
	letters, err := deadletter.NewMemory(deadletter.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var l Ledger
	r := Begin(t, b.Source(t, Options{DeadLetters: letters, Lease: longLease}), func(_ context.Context, e Event) error {
		l.Handle(e)
		return nil
	}, pipeline.StepConfig[Event]{})
	Until(t, "all", func() bool { return l.Len() == 100 && b.Left(t) == 0 })
	r.Drain()
	list := letters.Letters()
	if len(list) != 2 {
		t.Errorf("%d letters", len(list))
	}
	for _, letter := range list {
		if letter.Error == "" || letter.Source == "" {
			t.Errorf("letter %+v", letter)
		}
	}
}

// drains: a pipeline that drains again and again, at any moment, handles each event once.
func drains(t *testing.T, b Backend) {
	needsServer(t, b)
	const n = 3000
	list := events(n, 30)
	b.Append(t, list)
	var l Ledger
	var worst time.Duration
	times := 0
	for begun := time.Now(); l.Len() < n; times++ {
		if time.Since(begun) > patience {
			t.Fatalf("%d of %d after %v", l.Len(), n, patience)
		}
		before := l.Len()
		r := Begin(t, b.Source(t, Options{Lease: longLease}), func(context.Context, Event) error { return nil }, pipeline.StepConfig[Event]{})
		_ = r.end() // at once: nothing was handled
		r = Begin(t, b.Source(t, Options{Lease: longLease}), func(_ context.Context, e Event) error {
			time.Sleep(time.Millisecond)
			l.Handle(e)
			return nil
		}, byKey(8))
		Until(t, "some", func() bool { return l.Len() > before || l.Len() == n })
		time.Sleep(rand.N(60 * time.Millisecond))
		at := time.Now()
		r.Drain()
		worst = max(worst, time.Since(at))
	}
	lost, twice := l.Check(list)
	if lost > 0 || twice > 0 || b.Left(t) > 0 {
		t.Errorf("%d lost, %d twice, %d left", lost, twice, b.Left(t))
	}
	if b.Ordered && l.Disorder() > 0 {
		t.Errorf("%d out of the order of their keys", l.Disorder())
	}
	t.Logf("%d drains, the longest took %v", times, worst)
}

// restart: the server is away for two seconds.
func restart(t *testing.T, b Backend, action string) {
	if b.Control == nil {
		t.Skip("the server is not ours to stop")
	}
	const n = 4000
	list := events(n, 40)
	b.Append(t, list)
	var l Ledger
	r := Begin(t, b.Source(t, Options{Window: 500}), func(_ context.Context, e Event) error {
		time.Sleep(2 * time.Millisecond)
		l.Handle(e)
		return nil
	}, byKey(8))
	Until(t, "some", func() bool { return l.Len() > n/8 })
	b.Control(t, action)
	time.Sleep(300 * time.Millisecond) // what was in memory is handled
	busy := cpu()
	time.Sleep(2 * time.Second)
	busy = cpu() - busy
	b.Control(t, "start")
	at, before := time.Now(), l.Len()
	// The time during which the server does not respond does not count against the source.
	var silent time.Duration
	for asked := at; l.Len() <= before+500 && l.Len() < n; time.Sleep(20 * time.Millisecond) {
		_ = b.Left(t)
		silent += max(0, time.Since(asked)-100*time.Millisecond)
		if asked = time.Now(); asked.Sub(at) > patience {
			t.Fatalf("after %v no events again\n%s", patience, goroutines())
		}
	}
	recovery := time.Since(at) - silent
	Until(t, "all", func() bool { return l.Distinct() == n && b.Left(t) == 0 })
	r.Drain()
	lost, twice := l.Check(list)
	if lost > 0 || twice > 500 {
		t.Errorf("%d lost, %d twice", lost, twice)
	}
	if recovery > 10*time.Second || busy > 200*time.Millisecond {
		t.Errorf("events again after %v; %v of a processor in two seconds", recovery, busy)
	}
	t.Logf("events again %v after the start; %v of a processor in 2s without a server; %d twice", recovery, busy, twice)
}

// cuts: all connections are cut 20 times under load.
func cuts(t *testing.T, b Backend) {
	if b.Addr == "" {
		t.Skip("the server has no address")
	}
	const n, times, window = 6000, 20, 500
	list := events(n, 40)
	b.Append(t, list)
	proxy := newProxy(t, b.Addr)
	var l Ledger
	r := Begin(t, b.Source(t, Options{Addr: proxy.addr(), Window: window}), func(_ context.Context, e Event) error {
		time.Sleep(time.Millisecond)
		l.Handle(e)
		return nil
	}, byKey(4))
	Until(t, "some", func() bool { return l.Len() > 100 })
	for range times {
		proxy.cut()
		time.Sleep(50*time.Millisecond + rand.N(50*time.Millisecond))
	}
	Until(t, "all", func() bool { return l.Distinct() == n && b.Left(t) == 0 })
	r.Drain()
	if lost, twice := l.Check(list); lost > 0 || twice > times*window {
		t.Errorf("%d lost, %d twice", lost, twice)
	} else {
		t.Logf("%d connections cut; %d twice", proxy.cuts, twice)
	}
}

// outage: for some seconds, or 30 with PENSTOCK_LONG, all that is handled fails.
func outage(t *testing.T, b Backend) {
	length := 3 * time.Second
	if long() {
		length = 30 * time.Second
	}
	const n = 2000
	list := events(n, 40)
	b.Append(t, list)
	var l Ledger
	down := atomic.Bool{}
	down.Store(true)
	failures := atomic.Int64{}
	step := byKey(8)
	step.Retry = retry.Policy{MaxAttempts: retry.Unlimited, Backoff: 50 * time.Millisecond, MaxBackoff: time.Second}
	r := Begin(t, b.Source(t, Options{Lease: longLease}), func(_ context.Context, e Event) error {
		if down.Load() {
			failures.Add(1)
			return errors.New("the service is down")
		}
		l.Handle(e)
		return nil
	}, step)
	Until(t, "failures", func() bool { return failures.Load() > 0 })
	busy := cpu()
	time.Sleep(length)
	busy = cpu() - busy
	down.Store(false)
	Until(t, "all", func() bool { return l.Distinct() == n && b.Left(t) == 0 })
	r.Drain()
	lost, twice := l.Check(list)
	if lost > 0 || twice > 0 {
		t.Errorf("%d lost, %d twice", lost, twice)
	}
	if b.Ordered && l.Disorder() > 0 {
		t.Errorf("%d out of the order of their keys", l.Disorder())
	}
	if share := float64(busy) / float64(length); share > 0.2 {
		t.Errorf("%.0f %% of a processor during the outage", 100*share)
	}
	t.Logf("%d failures in %v, %v of a processor", failures.Load(), length, busy)
}
