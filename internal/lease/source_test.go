package lease

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// fake is a store in memory, in virtual time.
type fake struct {
	mu      sync.Mutex
	free    []int
	leased  map[int]time.Time // until when
	ended   map[int]End
	fences  map[int]int64
	err     error // of all calls
	calls   int
	most    int // of a fetch
	changed chan struct{}
	lease   time.Duration
	way     time.Duration // of ends, to the server
}

func newFake(n int) *fake {
	f := &fake{leased: map[int]time.Time{}, ended: map[int]End{}, fences: map[int]int64{}, changed: make(chan struct{}, 1), lease: 3 * time.Second}
	for i := range n {
		f.free = append(f.free, i)
	}
	return f
}

// call counts a call.
func (f *fake) call() error {
	f.calls++
	return f.err
}

// expire frees what was not renewed.
func (f *fake) expire() {
	for id, until := range f.leased {
		if time.Now().After(until) {
			delete(f.leased, id)
			f.free = append(f.free, id)
		}
	}
}

func (f *fake) Fetch(_ context.Context, n int) (items []Item[int, int], err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call(); err != nil {
		return nil, err
	}
	f.expire()
	f.most = max(f.most, n)
	for range min(n, len(f.free)) {
		id := f.free[0]
		f.free = f.free[1:]
		f.fences[id]++
		f.leased[id] = time.Now().Add(f.lease)
		items = append(items, Item[int, int]{ID: id, Fence: f.fences[id], Event: id})
	}
	return items, nil
}

func (f *fake) Wait(ctx context.Context) error {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-t.C:
	case <-f.changed:
	case <-ctx.Done():
	}
	return nil
}

func (f *fake) Settle(_ context.Context, ends []Verdict[int]) (late int, err error) {
	f.mu.Lock()
	way := f.way
	f.mu.Unlock()
	time.Sleep(way)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call(); err != nil {
		return 0, err
	}
	for _, v := range ends {
		if f.fences[v.ID] != v.Fence {
			late++
			continue
		}
		delete(f.leased, v.ID)
		if v.End == Done || v.End == Failed {
			f.ended[v.ID] = v.End
		} else {
			f.free = append(f.free, v.ID)
		}
	}
	return late, nil
}

func (f *fake) Renew(_ context.Context, held []Held[int]) (lost []Held[int], err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call(); err != nil {
		return nil, err
	}
	for _, h := range held {
		if _, ok := f.leased[h.ID]; ok && f.fences[h.ID] == h.Fence {
			f.leased[h.ID] = time.Now().Add(f.lease)
		} else if f.ended[h.ID] == 0 && !ok {
			lost = append(lost, h)
		}
	}
	return lost, nil
}

func (f *fake) Lag(context.Context) (Lag, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Lag{Waiting: int64(len(f.free))}, f.call()
}

func (f *fake) Close(context.Context, bool) error { return nil }

func (f *fake) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// slow has ends take a time to the server.
func (f *fake) slow(way time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.way = way
}

func (f *fake) count() (ended, calls int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.ended), f.calls
}

func sourceOf(f *fake, change func(*Config)) *Source[int, int] {
	r := metrics.Nop()
	c, g := r.Counter(""), r.Gauge("")
	cfg := Config{
		Name: "fake", Of: "items", Window: 100, FetchMax: 50, SettleMax: 50, Lease: f.lease, Timeout: time.Second, CloseTimeout: 4 * time.Second,
		Retry:  retry.Policy{MaxAttempts: retry.Unlimited, MaxBackoff: 5 * time.Second},
		Meters: Meters{c, c, c, c, c, c, c, g, g, g}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Metrics: r,
	}
	if change != nil {
		change(&cfg)
	}
	return New(f, cfg)
}

// begin runs a source into a handler, and returns what stops it in good order, which returns the
// stages' error.
func begin(t *testing.T, s *Source[int, int], demand int, f func(context.Context, []int) error) func() error {
	t.Helper()
	up := stage.Must(stage.NewProducer(s, stage.ProducerConfig[int]{}))
	down := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](f), stage.ConsumerConfig{}))
	if _, err := down.Subscribe(up, stage.SubscribeConfig{MaxDemand: demand, MinDemand: 1}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- stage.Run(ctx, up, down) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// A handler that takes ten times the lease keeps its items.
func TestSlowHandlerKeepsItsItems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(40)
		var got []int
		s := sourceOf(f, nil)
		end := begin(t, s, 10, func(_ context.Context, list []int) error {
			time.Sleep(30 * time.Second)
			got = append(got, list...)
			return nil
		})
		time.Sleep(5 * time.Minute)
		if err := end(); err != nil {
			t.Error(err)
		}
		slices.Sort(got)
		if n, _ := f.count(); n != 40 || len(got) != 40 || len(slices.Compact(got)) != 40 {
			t.Errorf("%d ended, %d handled", n, len(got))
		}
		if snap := s.Snapshot(); snap.Lost+snap.Late+snap.Again > 0 || f.most > 10 {
			t.Errorf("%+v, a fetch of %d", snap, f.most)
		}
	})
}

// A server that is away for an hour costs some calls a minute, and nothing is lost.
func TestAbsentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(100)
		var got []int
		s := sourceOf(f, nil)
		end := begin(t, s, 10, func(_ context.Context, list []int) error {
			time.Sleep(time.Second)
			got = append(got, list...)
			return nil
		})
		time.Sleep(2500 * time.Millisecond)
		f.set(errors.New("away"))
		_, before := f.count()
		time.Sleep(time.Hour)
		_, after := f.count()
		// Fetches and ends each at most every 4 s, renewals every 250 ms, lag every 5 s.
		if calls := after - before; calls > 20_000 || !s.Snapshot().Failing || s.Snapshot().LastError == "" {
			t.Errorf("%d calls in an hour, %+v", calls, s.Snapshot())
		}
		f.set(nil)
		time.Sleep(2 * time.Minute)
		if err := end(); err != nil {
			t.Error(err)
		}
		if n, _ := f.count(); n != 100 {
			t.Errorf("%d ended", n)
		}
		slices.Sort(got)
		if once := len(slices.Compact(got)); once != 100 {
			t.Errorf("%d handled", once)
		}
		if s.Snapshot().Failing {
			t.Errorf("%+v", s.Snapshot())
		}
	})
}

// After an outage that was longer than the leases the source renews them before it fetches: its
// own items are free, and a fetch that meets the end of one on its way delivers it again.
func TestRenewalComesBeforeAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for seed := range 20 {
			f := newFake(100)
			var got []int
			s := sourceOf(f, nil)
			end := begin(t, s, 10, func(_ context.Context, list []int) error {
				time.Sleep(500 * time.Millisecond)
				got = append(got, list...)
				return nil
			})
			time.Sleep(2600 * time.Millisecond)
			f.set(errors.New("away"))
			time.Sleep(time.Minute + time.Duration(seed)*77*time.Millisecond)
			f.set(nil)
			// An end is under way to the server for a time in which it may be leased again.
			f.slow(50 * time.Millisecond)
			time.Sleep(5 * time.Minute)
			if err := end(); err != nil {
				t.Error(err)
			}
			slices.Sort(got)
			if snap := s.Snapshot(); len(got) != 100 || snap.Again+snap.Lost+snap.Late > 0 || len(slices.Compact(got)) != 100 {
				t.Fatalf("outage %d: %d handled, %+v", seed, len(got), snap)
			}
		}
	})
}

// MaxAttempts bounds attempts that wait for a renewal as well.
func TestBoundOfAttemptsWithLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, away := newFake(1), errors.New("away")
		s := sourceOf(f, func(c *Config) { c.Retry.MaxAttempts = 20 })
		open := make(chan struct{})
		up := stage.Must(stage.NewProducer(s, stage.ProducerConfig[int]{}))
		down := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(context.Context, []int) error {
			<-open
			return nil
		}), stage.ConsumerConfig{}))
		if _, err := down.Subscribe(up, stage.SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(10 * time.Second)
			f.set(away)
			time.Sleep(90 * time.Second)
			close(open)
		}()
		if err := stage.Run(t.Context(), up, down); !errors.Is(err, away) {
			t.Error(err)
		}
	})
}

// MaxAttempts makes the stage fail.
func TestBoundOfAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1)
		away := errors.New("away")
		f.set(away)
		s := sourceOf(f, func(c *Config) { c.Retry.MaxAttempts = 3 })
		begun := time.Now()
		up := stage.Must(stage.NewProducer(s, stage.ProducerConfig[int]{}))
		down := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(context.Context, []int) error { return nil }), stage.ConsumerConfig{}))
		if _, err := down.Subscribe(up, stage.SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		if err := stage.Run(t.Context(), up, down); !errors.Is(err, away) {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

// What has no receipt when the stage stops is free at once.
func TestStopGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(20)
		s := sourceOf(f, nil)
		up := stage.Must(stage.NewProducer(s, stage.ProducerConfig[int]{}))
		down := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(ctx context.Context, _ []int) error {
			<-ctx.Done()
			return ctx.Err()
		}), stage.ConsumerConfig{}))
		if _, err := down.Subscribe(up, stage.SubscribeConfig{MaxDemand: 10, MinDemand: 1}); err != nil {
			t.Fatal(err)
		}
		p := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, up, down))
		go func() {
			time.Sleep(time.Second)
			p.Stop(nil)
		}()
		_ = p.Run(t.Context())
		if len(f.free) != 20 || len(f.leased) != 0 {
			t.Errorf("%d free, %d leased", len(f.free), len(f.leased))
		}
	})
}
