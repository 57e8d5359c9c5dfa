package statsd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/internal/ports"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/statsd/statsdserver"
)

func TestArrivesAtAServer(t *testing.T) {
	server, err := statsdserver.Listen(statsdserver.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	s, err := New(Config{Address: server.Addr(), FlushInterval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	took := s.Timer("took", metrics.Tag{Key: "k", Value: "v"})
	for i := range 5000 {
		took.Observe(time.Duration(i+1) * time.Microsecond)
	}
	s.Counter("hits").Add(7)
	s.Gauge("depth").Set(-2.5)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := server.Wait(ctx, func(snap statsdserver.Snapshot) bool {
		took, _ := snap.Find("took", "k:v")
		hits, _ := snap.Find("hits", "")
		depth, _ := snap.Find("depth", "")
		return took.Life.Count == 5000 && took.Life.Max == 5*time.Millisecond && hits.Value == 7 && depth.Value == -2.5
	}); err != nil {
		t.Fatalf("%v: %+v, dropped %d", err, server.Snapshot(), s.Dropped())
	}
	if snap := server.Snapshot(); snap.Malformed != 0 || s.Dropped() != 0 {
		t.Errorf("%d malformed, %d dropped", snap.Malformed, s.Dropped())
	}
}

// A sampled timer's rate and the largest beside it make the server compute the
// true count.
func TestSampledCountIsTrue(t *testing.T) {
	a := statsdserver.NewAggregate(0)
	w := record(t, Config{FlushInterval: time.Minute, TimerSamples: 1000}, func(s *Recorder) {
		for i := range 100_001 {
			s.Timer("took").Observe(time.Duration(i) * time.Microsecond)
		}
	})
	for _, d := range w.datagrams {
		a.Add([]byte(d))
	}
	took, _ := a.Snapshot().Find("took", "")
	if took.Life.Count != 100_001 || took.Life.Max != 100*time.Millisecond {
		t.Errorf("the server computes %d with maximum %v, want 100001 and 100ms", took.Life.Count, took.Life.Max)
	}
	if p50 := took.Life.P50; p50 < 40*time.Millisecond || p50 > 60*time.Millisecond {
		t.Errorf("the median of the sample is %v, want about 50ms", p50)
	}
}

// Nobody listens on the port: the host says so, and what it refused is counted.
func TestRefusedDatagramsAreCounted(t *testing.T) {
	addr := ports.For(t, 1).Addr(0)
	var log strings.Builder
	s, err := New(Config{Address: addr, FlushInterval: time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	hits := s.Counter("hits")
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for s.Dropped() < 5 {
		hits.Add(1)
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d dropped after a minute", s.Dropped())
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines of log, want one:\n%s", n, log.String())
	}
}

// A resolver that does not respond delays no caller; for ten seconds what is
// recorded waits for it, and after that it is counted.
func TestSlowResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		var answer atomic.Bool
		start := time.Now()
		s, err := New(Config{Dial: func(ctx context.Context) (io.WriteCloser, error) {
			if answer.Load() {
				return w, nil
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		if err != nil {
			t.Fatal(err)
		}
		s.Counter("hits").Add(1)
		s.Timer("took").Observe(time.Second)
		if took := time.Since(start); took != 0 {
			t.Errorf("recording took %v", took)
		}
		<-time.After(9 * time.Second)
		if got := s.Dropped(); got != 0 {
			t.Errorf("%d dropped within ten seconds", got)
		}
		<-time.After(11 * time.Second)
		if got := s.Dropped(); got != 2 {
			t.Errorf("%d dropped after a minute, want 2", got)
		}
		answer.Store(true)
		<-time.After(time.Minute)
		s.Counter("hits").Add(4)
		<-time.After(time.Second)
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		lines := w.lines()
		if !slices.Equal(lines, []string{"hits:4|c", "metrics.dropped:2|c"}) || s.Dropped() != 2 {
			t.Errorf("sent %q, dropped %d", lines, s.Dropped())
		}
	})
}

func TestResolverThatAnswersInTimeLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		s, err := New(Config{Dial: func(ctx context.Context) (io.WriteCloser, error) {
			<-time.After(4 * time.Second)
			return w, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		s.Counter("hits").Add(1)
		<-time.After(5 * time.Second)
		if got := w.lines(); !slices.Equal(got, []string{"hits:1|c"}) {
			t.Errorf("sent %q", got)
		}
		if err := s.Close(t.Context()); err != nil || s.Dropped() != 0 {
			t.Errorf("%v, %d dropped", err, s.Dropped())
		}
	})
}

func TestDialIsRetriedWithBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials []time.Time
		s, err := New(Config{Dial: func(ctx context.Context) (io.WriteCloser, error) {
			dials = append(dials, time.Now())
			return nil, errors.New("no such host")
		}})
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Minute)
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(dials); n < 20 || n > 50 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		for i := 1; i < len(dials); i++ {
			if gap := dials[i].Sub(dials[i-1]); gap < firstBackoff/2 || gap > maxBackoff+time.Second {
				t.Errorf("attempt %d came after %v", i, gap)
			}
		}
	})
}

func TestBrokenConnectionIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken, good := newWire(), newWire()
		broken.fail = errors.New("network is unreachable")
		dials := 0
		s, err := New(Config{Dial: func(context.Context) (io.WriteCloser, error) {
			if dials++; dials == 1 {
				return broken, nil
			}
			return good, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		s.Counter("hits").Add(1)
		<-time.After(200 * time.Millisecond)
		<-time.After(time.Second)
		s.Counter("hits").Add(2)
		<-time.After(time.Second)
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := good.lines(); !slices.Equal(got, []string{"hits:2|c", "metrics.dropped:1|c"}) || s.Dropped() != 1 {
			t.Errorf("sent %q, dropped %d", got, s.Dropped())
		}
	})
}

// A server that takes nothing holds up the recorder's goroutine for a second a
// flush, and callers not at all.
func TestBlackHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		s, err := New(Config{Dial: func(context.Context) (io.WriteCloser, error) { return ours, nil }})
		if err != nil {
			t.Fatal(err)
		}
		hits, took := s.Counter("hits"), s.Timer("took")
		start := time.Now()
		for range 100_000 {
			hits.Add(1)
			took.Observe(time.Millisecond)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("recording took %v", d)
		}
		<-time.After(3 * time.Second)
		if got := s.Dropped(); got != 1+1+8192 {
			t.Errorf("%d dropped, want 8194", got)
		}
		hits.Add(1)
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.Dropped(); got != 1+1+8192+1 {
			t.Errorf("%d dropped after Close, want 8195", got)
		}
	})
}

func TestCloseGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{Dial: func(ctx context.Context) (io.WriteCloser, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		if err != nil {
			t.Fatal(err)
		}
		s.Counter("hits").Add(1)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close returned %v", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("Close took %v", d)
		}
		if s.Dropped() != 1 {
			t.Errorf("%d dropped, want 1", s.Dropped())
		}
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("the second Close returned %v", err)
		}
		s.Counter("late").Add(1)
		s.Timer("late").Observe(1)
	})
}
