package statsd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/metrics"
)

// sums adds up the lines of each series, by everything before the value.
type sums struct {
	mu     sync.Mutex
	counts map[string]int64 // of counters; of timers, the lines
	gauges map[string]string
	keep   string // only names with this prefix are kept apart
	others int64
}

func newSums(keep string) *sums {
	return &sums{counts: make(map[string]int64), gauges: make(map[string]string), keep: keep}
}

func (s *sums) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range strings.SplitSeq(string(p), "\n") {
		name, rest, _ := strings.Cut(l, ":")
		value, kind, _ := strings.Cut(rest, "|")
		n, add := int64(1), true
		switch {
		case strings.HasPrefix(kind, "c"):
			n, _ = strconv.ParseInt(value, 10, 64)
		case strings.HasPrefix(kind, "g"):
			add = false
		}
		switch {
		case !strings.HasPrefix(name, s.keep) && add:
			s.others += n
		case add:
			s.counts[name] += n
		case strings.HasPrefix(name, s.keep):
			s.gauges[name] = value
		}
	}
	return len(p), nil
}

func (s *sums) Close() error                                 { return nil }
func (s *sums) dial(context.Context) (io.WriteCloser, error) { return s, nil }

// A million series of owners that end, or fall silent, leave room for others and cost no
// memory; nothing of them is lost, and nothing of the series that live on.
func TestAMillionShortLivedSeries(t *testing.T) {
	for name, c := range map[string]struct {
		series int // of two instruments each
		each   int // in a second
		flush  time.Duration
		ended  bool
	}{
		"ended": {series: 500_000, each: 10_000, flush: 100 * time.Millisecond, ended: true},
		"idle":  {series: 50_000, each: 20, flush: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSums("live")
				var log strings.Builder
				s, err := New(Config{Dial: w.dial, FlushInterval: c.flush, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				if err != nil {
					t.Fatal(err)
				}
				heap := func() int64 {
					runtime.GC()
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					return int64(m.HeapAlloc)
				}
				steady, rare := s.Gauge("live.steady"), s.Counter("live.rare")
				often, took := s.Counter("live.often"), s.Timer("live.took")
				steady.Set(7)
				c.series /= raceFactor
				var before int64
				seconds := 0
				for i := range c.series {
					tag := metrics.Tag{Key: "stage", Value: strconv.Itoa(i)}
					events := s.Counter("stage.events", tag)
					events.Add(2)
					depth := s.Gauge("stage.depth", tag)
					depth.Set(1)
					depth.Set(0)
					if c.ended {
						metrics.End(events, depth)
					}
					if i%c.each == 0 {
						seconds++
						often.Add(1)
						took.Observe(time.Millisecond)
						if seconds%1000 == 1 {
							rare.Add(1)
						}
					}
					if i%20 == 0 {
						time.Sleep(20 * time.Second / time.Duration(c.each))
					}
					if i == c.series/10 {
						before = heap()
					}
				}
				grown := heap() - before
				if err := s.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				snap := s.Snapshot()
				t.Logf("%+v, %d KiB more", snap, grown>>10)
				if snap.Refused != 0 || snap.Dropped != 0 || snap.Series > 4096 {
					t.Errorf("%+v", snap)
				}
				if grown > 4<<20 {
					t.Errorf("the heap has grown by %d KiB", grown>>10)
				}
				if w.others != int64(2*c.series) {
					t.Errorf("%d of %d counted by series that end", w.others, 2*c.series)
				}
				want := fmt.Sprintf("%d %d %d 7", seconds, seconds, (seconds+999)/1000)
				if got := fmt.Sprintln(w.counts["live.often"], w.counts["live.took"], w.counts["live.rare"], w.gauges["live.steady"]); got != want+"\n" {
					t.Errorf("the series that live have %v, want %v", got, want)
				}
				if n := strings.Count(log.String(), "\n"); n > 1 {
					t.Errorf("%d lines:\n%.500s", n, log.String())
				}
			})
		})
	}
}

// Series without use are removed, gauges that are not 0 are not, and each that is used
// again is sent again, also if another instrument has its name by then.
func TestRemovedSeriesAreUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSums("")
		s, err := New(Config{Dial: w.dial})
		if err != nil {
			t.Fatal(err)
		}
		c, g, steady, o := s.Counter("c"), s.Gauge("g"), s.Gauge("steady"), s.Timer("t")
		use := func(c metrics.Counter, g metrics.Gauge, o metrics.Timer, v float64) {
			c.Add(1)
			g.Set(v)
			o.Observe(time.Second)
		}
		use(c, g, o, 1)
		g.Set(0)
		steady.Set(1)
		time.Sleep(idleEnd + time.Minute)
		if snap := s.Snapshot(); snap.Series != 1 || snap.Removed != 3 {
			t.Errorf("after a pause: %+v", snap)
		}
		use(s.Counter("c"), s.Gauge("g"), s.Timer("t"), 2) // new ones
		use(c, g, o, 3)                                    // the former go there
		time.Sleep(time.Second)
		use(c, g, o, 0)
		time.Sleep(idleEnd + time.Minute)
		use(c, g, o, 5) // and are sent themselves, once there are no others
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if snap := s.Snapshot(); snap.Series != 4 || snap.Removed != 6 || snap.Dropped != 0 {
			t.Errorf("%+v", snap)
		}
		if got := fmt.Sprintln(w.counts["c"], w.counts["t"], w.gauges["g"], w.gauges["steady"]); got != "5 5 5 1\n" {
			t.Errorf("sent %s, want 5 5 5 1", got)
		}
	})
}

// An instrument that was refused works as soon as there is room for its series.
func TestARefusedInstrumentGetsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSums("")
		s, err := New(Config{Dial: w.dial, MaxSeries: 1})
		if err != nil {
			t.Fatal(err)
		}
		s.Counter("first").Add(1)
		second := s.Counter("second")
		second.Add(1)
		if snap := s.Snapshot(); snap.Refused != 1 || snap.Dropped != 1 {
			t.Errorf("%+v", snap)
		}
		time.Sleep(2 * idleFull)
		second.Add(2)
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w.counts["first"] != 1 || w.counts["second"] != 2 {
			t.Errorf("sent %v", w.counts)
		}
	})
}

// Users of an instrument and removals of its series at the same time lose nothing.
func TestRemovalsDuringUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSums("")
		s, err := New(Config{Dial: w.dial, FlushInterval: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		const users, rounds, uses = 4, 300, 100
		stop, removed := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(removed)
			for {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Microsecond):
				}
				for range 100 {
					s.mu.Lock()
					s.sweep(time.Now().Add(2 * idleEnd)) // all are idle by then
					s.mu.Unlock()
					runtime.Gosched()
				}
			}
		}()
		var wg sync.WaitGroup
		for range users {
			wg.Go(func() {
				c, o := s.Counter("c"), s.Timer("t")
				for round := range rounds {
					if round%10 == 0 {
						c, o = s.Counter("c"), s.Timer("t") // another user's may be attached
					}
					for i := range uses {
						c.Add(1)
						o.Observe(time.Duration(i))
						if i%10 == 0 {
							runtime.Gosched()
						}
					}
					time.Sleep(500 * time.Microsecond)
				}
			})
		}
		wg.Wait()
		close(stop)
		<-removed
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := s.Snapshot().Removed; n < rounds/10 {
			t.Errorf("%d series were removed", n)
		}
		if all := int64(users * rounds * uses); w.counts["c"] != all || w.counts["t"] != all {
			t.Errorf("of %d: counted %d, observed %d", all, w.counts["c"], w.counts["t"])
		}
	})
}

// counting is a log handler that counts its lines with a recorder.
type counting struct {
	slog.Handler
	by func() metrics.Recorder
}

func (c counting) Handle(ctx context.Context, r slog.Record) error {
	c.by().Counter("log.lines").Add(1)
	return c.Handler.Handle(ctx, r)
}

// A log handler may use the recorder whose lines it gets.
func TestALogHandlerUsesTheRecorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSums("")
		var log strings.Builder
		var s *Recorder
		handler := counting{slog.NewTextHandler(&log, nil), func() metrics.Recorder { return s }}
		s, err := New(Config{Dial: w.dial, MaxSeries: 1, Logger: slog.New(handler)})
		if err != nil {
			t.Fatal(err)
		}
		s.Counter("first").Add(1)
		s.Counter("second").Add(1) // is refused, which is logged, as is the counter of the lines
		time.Sleep(2 * idleFull)
		s.Counter("third").Add(1) // the first one gives way, which is logged too
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"name=second", "name=log.lines", "to make room"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("no %s in\n%s", want, log.String())
			}
		}
	})
}
