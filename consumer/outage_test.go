package consumer_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// service takes a millisecond for each event, and is down for some time for some events.
type service struct {
	epoch    time.Time
	from, to time.Duration // while it is down
	only     func(v int) bool

	mu       sync.Mutex
	attempts map[int]int
	handled  map[int]time.Duration // when
	order    []int
}

func (s *service) handle(_ context.Context, v int) error {
	time.Sleep(time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts[v]++
	now := time.Since(s.epoch)
	if now >= s.from && now < s.to && s.only(v) {
		return errOops
	}
	s.handled[v] = now
	s.order = append(s.order, v)
	return nil
}

func newService(from, to time.Duration, only func(v int) bool) *service {
	return &service{epoch: time.Now(), from: from, to: to, only: only, attempts: make(map[int]int), handled: make(map[int]time.Duration)}
}

// untilOver is a policy that makes attempts for as long as an outage lasts.
var untilOver = retry.Policy{MaxAttempts: retry.Unlimited, MaxBackoff: 5 * time.Second}

// For 30 s under full load every attempt fails. No event that waits holds a goroutine, none
// is lost, there are as many attempts as the pauses allow, and all is handled within the
// largest pause when it is over.
func TestSupervisorBridgesAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, from, to = 20_000, 100 * time.Millisecond, 30100 * time.Millisecond
		s := newService(from, to, func(int) bool { return true })
		pool := stage.Must(consumer.NewSupervisor(s.handle, config{MaxDemand: 64, Retry: untilOver, MaxDeferred: 10_000, Logger: textLog(new(nowhere))}))
		src := &tracked{counter{limit: n}}
		procs := runtime.GOMAXPROCS(0) // as many may be woken ahead
		others := runtime.NumGoroutine()
		r := start(t, src, pool, stage.SubscribeConfig{})
		for range 300 {
			time.Sleep(99 * time.Millisecond)
			snap := pool.Snapshot()
			if pool, all := snap.Goroutines, runtime.NumGoroutine()-others; pool > 64+procs || all > 64+procs+10 {
				t.Fatalf("%d goroutines, of the pool %d, with %+v", all, pool, snap)
			}
			if snap.Busy+snap.Waiting+snap.Pausing > 10_000 {
				t.Fatalf("more than may wait: %+v", snap)
			}
		}
		if snap := pool.Snapshot(); snap.Pausing+snap.Busy+snap.Waiting != 10_000 {
			t.Errorf("not as many wait as may: %+v", snap)
		}
		<-r.sink.Stopped()
		if err := r.sink.Err(); err != nil {
			t.Fatal(err)
		}
		got := src.outcomes(t)
		for v := range n {
			if got[v] != receipt.Done || s.handled[v] == 0 {
				t.Fatalf("event %d: %v", v, got[v])
			}
			// Pauses of 0.1, 0.2, ... 3.2 s, then 5 s, each shorter by a fifth at most.
			if most := 7 + 7 + 1; s.attempts[v] > most {
				t.Fatalf("event %d: %d attempts", v, s.attempts[v])
			}
			// 64 workers take 156 ms for those that come back at the same time.
			if late := s.handled[v] - to; s.attempts[v] > 1 && late > untilOver.MaxBackoff+500*time.Millisecond {
				t.Fatalf("event %d, attempt %d, was handled %v after the outage", v, s.attempts[v], late)
			}
		}
	})
}

// nowhere is a log that is not read.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// While some keys of a fair dispatcher fail for 30 s the others go on, at full speed, and
// each key keeps its order.
func TestSupervisorOutageOfSomeKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, keys, bad = 20_000, 100, 70 // more than there are workers
		key := func(v int) int { return v % keys }
		s := newService(0, 30*time.Second, func(v int) bool { return key(v) < bad })
		pool := stage.Must(consumer.NewSupervisor(s.handle, config{MaxDemand: 64, Retry: untilOver, Logger: textLog(new(nowhere))}))
		src := &tracked{counter{limit: n}}
		r := startWith(t, src, stage.ProducerConfig[int]{Name: "source", Dispatcher: stage.Must(fair.New(key, fair.Config[int]{}))}, pool, stage.SubscribeConfig{})
		time.Sleep(2 * time.Second)
		s.mu.Lock()
		good := len(s.order)
		s.mu.Unlock()
		if want := n / keys * (keys - bad); good != want {
			t.Errorf("%d events of other keys were handled during the outage, want %d", good, want)
		}
		<-r.sink.Stopped()
		if err := r.sink.Err(); err != nil || len(src.outcomes(t)) != n || len(s.order) != n {
			t.Fatal(err, len(src.outcomes(t)), len(s.order))
		}
		last := make(map[int]int)
		for _, v := range s.order {
			if before, ok := last[key(v)]; ok && before != v-keys {
				t.Fatalf("event %d of a key came after %d", v, before)
			}
			last[key(v)] = v
		}
	})
}

// An event that comes back goes before those that wait, and no more workers run than the
// subscription may have, although its slot was given to another.
func TestSupervisorComesBackToTheFront(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var most, running int
		var mu sync.Mutex
		var begun []int
		src := &tracked{counter{limit: 12}}
		pool := stage.Must(consumer.NewSupervisor(func(_ context.Context, v int) error {
			mu.Lock()
			begun = append(begun, v)
			running++
			most = max(most, running)
			first := slices.Index(begun, v) == len(begun)-1
			mu.Unlock()
			defer func() { mu.Lock(); running--; mu.Unlock() }()
			if v < 2 && first {
				return errOops
			}
			time.Sleep(time.Second)
			return nil
		}, config{MaxDemand: 2, Retry: exact, Logger: textLog(new(nowhere))}))
		r := start(t, src, pool, stage.SubscribeConfig{})
		<-r.sink.Stopped()
		slices.Sort(begun[:4]) // two of them twice, after the first second
		slices.Sort(begun[4:6])
		if want := []int{0, 1, 2, 3, 0, 1}; !slices.Equal(begun[:6], want) || most != 2 {
			t.Errorf("began %v, at most %d at once", begun, most)
		}
	})
}

// With one slot the order is kept: the event keeps it during its pause.
func TestSupervisorOfOneKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun []int
		src := &tracked{counter{limit: 3}}
		pool := stage.Must(consumer.NewSupervisor(func(_ context.Context, v int) error {
			if begun = append(begun, v); v == 1 {
				return errOops
			}
			return nil
		}, config{MaxDemand: 1, Retry: exact, Logger: textLog(new(nowhere))}))
		if err := run(t, src, pool, stage.SubscribeConfig{}); err != nil || !slices.Equal(begun, []int{0, 1, 1, 1, 2}) {
			t.Error(err, begun)
		}
	})
}

// What errors say about their retry: none, a longer pause, and attempts that do not count.
func TestSupervisorMarkedErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := make(map[int][]time.Duration)
		epoch := time.Now()
		var mu sync.Mutex
		pool := stage.Must(consumer.NewSupervisor(func(_ context.Context, v int) error {
			mu.Lock()
			defer mu.Unlock()
			at[v] = append(at[v], time.Since(epoch))
			switch v {
			case 0:
				return retry.Never(errOops)
			case 1:
				return retry.After(errOops, time.Second)
			case 2:
				if len(at[v]) <= 5 {
					return retry.Later(errOops, time.Minute)
				}
			case 3:
				panic(errOops) // then in Retryable
			}
			return nil
		}, config{MaxRestarts: 3, Logger: textLog(new(nowhere)), Retry: retry.Policy{Jitter: retry.NoJitter, Retryable: func(err error) bool {
			if _, ok := err.(*consumer.PanicError); ok {
				runtime.Goexit()
			}
			return true
		}}}))
		src := &tracked{counter{limit: 4}}
		if err := run(t, src, pool, stage.SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		got := src.outcomes(t)
		if got[0] != receipt.Failed || got[1] != receipt.Failed || got[2] != receipt.Done || got[3] != receipt.Failed {
			t.Error(got)
		}
		for v, want := range [][]time.Duration{{0}, {0, time.Second, 2 * time.Second}, {0, 1 * time.Minute, 2 * time.Minute, 3 * time.Minute, 4 * time.Minute, 5 * time.Minute}, {0}} {
			if !slices.Equal(at[v], want) {
				t.Errorf("event %d: attempts at %v, want %v", v, at[v], want)
			}
		}
	})
}

// The same with the attempts in the dispatcher: the consumer makes one, and the keys of the
// dispatcher wait.
func TestFairBridgesAnOutageOfSomeKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, keys, bad = 1000, 100, 70
		key := func(v int) int { return v % keys }
		s := newService(0, 30*time.Second, func(v int) bool { return key(v) < bad })
		c := stage.Must(consumer.NewForEach(s.handle, consumer.ForEachConfig[int]{Retry: retry.Policy{MaxAttempts: 1}, Logger: textLog(new(nowhere))}))
		src := &tracked{counter{limit: n}}
		disp := stage.Must(fair.New(key, fair.Config[int]{Retry: untilOver}))
		r := startWith(t, src, stage.ProducerConfig[int]{Name: "source", Dispatcher: disp}, c, stage.SubscribeConfig{MaxDemand: 10})
		time.Sleep(5 * time.Second)
		s.mu.Lock()
		good := len(s.order)
		s.mu.Unlock()
		if want := n / keys * (keys - bad); good != want {
			t.Errorf("%d events of other keys were handled during the outage, want %d", good, want)
		}
		<-r.sink.Stopped()
		got := src.outcomes(t)
		if len(got) != n || len(s.order) != n {
			t.Fatal(len(got), len(s.order))
		}
		last := make(map[int]int)
		for _, v := range s.order {
			if before, ok := last[key(v)]; got[v] != receipt.Done || ok && before != v-keys {
				t.Fatalf("event %d of a key came after %d and is %v", v, before, got[v])
			}
			last[key(v)] = v
		}
		for v, attempts := range s.attempts {
			if attempts > 15 {
				t.Fatalf("event %d: %d attempts", v, attempts)
			}
		}
	})
}
