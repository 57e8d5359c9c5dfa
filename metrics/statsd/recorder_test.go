package statsd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cactus/go-statsd-client/v5/statsd/statsdtest"

	"github.com/penstock-go/penstock/metrics"
)

// wire is a way to a server that keeps what was written.
type wire struct {
	*statsdtest.RecordingSender
	mu        sync.Mutex
	datagrams []string
	fail      error
}

func newWire() *wire { return &wire{RecordingSender: statsdtest.NewRecordingSender()} }

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return 0, w.fail
	}
	w.datagrams = append(w.datagrams, string(p))
	return w.Send(p)
}

func (w *wire) Close() error { return nil }

func (w *wire) dial(context.Context) (io.WriteCloser, error) { return w, nil }

func (w *wire) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, d := range w.datagrams {
		all = append(all, strings.Split(d, "\n")...)
	}
	return all
}

// record runs use with a recorder of cfg and returns what has been sent when
// the recorder was closed.
func record(t *testing.T, cfg Config, use func(*Recorder)) *wire {
	t.Helper()
	w := newWire()
	cfg.Dial = w.dial
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	use(s)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestLinesOfEachDialect(t *testing.T) {
	use := func(s *Recorder) {
		s.Counter("joins", metrics.Tag{Key: "status", Value: "ok"}, metrics.Tag{Key: "channel", Value: "user:1|c"}).Add(2)
		s.Counter("joins", metrics.Tag{Key: "channel", Value: "user:1|c"}, metrics.Tag{Key: "status", Value: "ok"}).Add(1)
		s.Gauge("depth").Set(2.5)
		s.Gauge("temperature").Set(-3)
		s.Timer("took", metrics.Tag{Key: "a", Value: "b"}).Observe(1234567 * time.Nanosecond)
		s.Timer("took", metrics.Tag{Key: "a", Value: "b"}).Observe(-time.Second)
		s.Counter("never used")
	}
	for _, c := range []struct {
		name string
		cfg  Config
		want []string
	}{
		{"octothorpe", Config{Prefix: "app"}, []string{
			"app.joins:3|c|#channel:user_1_c,status:ok", "app.depth:2.5|g", "app.temperature:-3|g",
			"app.took:1.234567|ms|#a:b", "app.took:0|ms|#a:b"}},
		{"distribution", Config{Timers: TimerDistribution}, []string{
			"joins:3|c|#channel:user_1_c,status:ok", "depth:2.5|g", "temperature:-3|g",
			"took:1.234567|d|#a:b", "took:0|d|#a:b"}},
		{"histogram", Config{Timers: TimerHistogram}, []string{
			"joins:3|c|#channel:user_1_c,status:ok", "depth:2.5|g", "temperature:-3|g",
			"took:1.234567|h|#a:b", "took:0|h|#a:b"}},
		{"comma", Config{Tags: TagsComma}, []string{
			"joins,channel=user_1_c,status=ok:3|c", "depth:2.5|g", "temperature:0|g", "temperature:-3|g",
			"took,a=b:1.234567|ms", "took,a=b:0|ms"}},
		{"semicolon", Config{Tags: TagsSemicolon}, []string{
			"joins;channel=user_1_c;status=ok:3|c", "depth:2.5|g", "temperature:0|g", "temperature:-3|g",
			"took;a=b:1.234567|ms", "took;a=b:0|ms"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.FlushInterval = time.Minute
			w := record(t, c.cfg, use)
			if got := w.lines(); !slices.Equal(got, c.want) {
				t.Errorf("sent\n%q\nwant\n%q", got, c.want)
			}
		})
	}
}

func TestClientsOwnRecorderUnderstands(t *testing.T) {
	w := record(t, Config{FlushInterval: time.Minute, TimerSamples: 4}, func(s *Recorder) {
		s.Counter("hits").Add(5)
		for range 9 {
			s.Timer("took").Observe(time.Millisecond)
		}
	})
	sent := w.GetSent()
	if hits := sent.CollectNamed("hits"); len(hits) != 1 || hits[0].Value != "5" || hits[0].Tag != "c" {
		t.Errorf("hits are %v", hits)
	}
	took := sent.CollectNamed("took")
	if len(took) != 5 {
		t.Fatalf("%d lines of the timer, want 4 and the largest", len(took))
	}
	for i, one := range took {
		if want := []string{"", "0.500000"}[min(i, 1)]; !one.Parsed || one.Value != "1" || one.Tag != "ms" || one.Rate != want {
			t.Errorf("line %d is %q, want rate %q", i, one.Raw, want)
		}
	}
}

func TestDatagramsAreFullAndNeverTooLarge(t *testing.T) {
	for _, size := range []int{256, 1432} {
		w := record(t, Config{FlushInterval: time.Minute, MaxDatagram: size}, func(s *Recorder) {
			for i := range 3000 {
				s.Timer("pipeline.push_delivered", metrics.Tag{Key: "k", Value: "v"}).Observe(time.Duration(i) * time.Microsecond)
			}
		})
		if got := len(w.lines()); got != 3000 {
			t.Errorf("size %d: %d lines, want 3000", size, got)
		}
		for i, d := range w.datagrams {
			if len(d) > size || len(d) < size-64 && i < len(w.datagrams)-1 {
				t.Errorf("size %d: datagram %d of %d has %d bytes", size, i, len(w.datagrams), len(d))
			}
		}
	}
}

func TestLineTooLongIsCounted(t *testing.T) {
	var s *Recorder
	w := record(t, Config{FlushInterval: time.Minute, MaxDatagram: 256}, func(made *Recorder) {
		s = made
		s.Counter(strings.Repeat("n", 150), metrics.Tag{Key: "k", Value: strings.Repeat("v", 150)}).Add(1)
		s.Counter("short").Add(1)
	})
	if got := w.lines(); !slices.Equal(got, []string{"short:1|c", "metrics.dropped:1|c"}) || s.Dropped() != 1 {
		t.Errorf("sent %q and counted %d", got, s.Dropped())
	}
}

func TestFlushesOnItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := record(t, Config{}, func(s *Recorder) {
			s.Counter("hits").Add(1)
			s.Gauge("depth").Set(1)
			<-time.After(150 * time.Millisecond)
			s.Counter("hits").Add(2)
			<-time.After(100 * time.Millisecond)
			<-time.After(6 * time.Second) // the gauge is sent again
		})
		want := []string{"hits:1|c", "depth:1|g", "hits:2|c", "depth:1|g"}
		if got := w.lines(); !slices.Equal(got, want) {
			t.Errorf("sent %q, want %q", got, want)
		}
	})
}

func TestSeriesAreBounded(t *testing.T) {
	var s *Recorder
	w := record(t, Config{FlushInterval: time.Minute, MaxSeries: 2}, func(made *Recorder) {
		s = made
		for i := range 5 {
			s.Counter(fmt.Sprint("n", i)).Add(1)
		}
		s.Gauge("g").Set(1)
		s.Timer("t").Observe(1)
	})
	if got := w.lines(); !slices.Equal(got, []string{"n0:1|c", "n1:1|c", "metrics.dropped:5|c"}) || s.Dropped() != 5 {
		t.Errorf("sent %q and counted %d", got, s.Dropped())
	}
}

func TestImpossibleValuesAreCounted(t *testing.T) {
	var s *Recorder
	w := record(t, Config{FlushInterval: time.Minute}, func(made *Recorder) {
		s = made
		s.Counter("c").Add(-1)
		s.Gauge("g").Set(math.NaN())
		s.Gauge("g").Set(math.Inf(1))
	})
	if got := w.lines(); !slices.Equal(got, []string{"metrics.dropped:3|c"}) {
		t.Errorf("sent %q", got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for option, cfg := range map[string]Config{
		"Address":       {Address: "nowhere"},
		"Tags":          {Tags: 9},
		"Timers":        {Timers: TimerDistribution, Tags: TagsComma},
		"FlushInterval": {FlushInterval: time.Hour},
		"TimerSamples":  {TimerSamples: -1},
		"MaxDatagram":   {MaxDatagram: 10},
		"MaxSeries":     {MaxSeries: -1},
	} {
		_, err := New(cfg)
		if got, ok := errors.AsType[*OptionError](err); !ok || got.Option != option {
			t.Errorf("a bad %s returned %v", option, err)
		}
	}
	if _, err := New(Config{Timers: 9}); err == nil {
		t.Error("an unknown Timers is accepted")
	}
}

func TestUsingAnInstrumentAllocatesNothing(t *testing.T) {
	record(t, Config{FlushInterval: time.Minute, TimerSamples: 16}, func(s *Recorder) {
		c, g, o := s.Counter("c", metrics.Tag{Key: "k", Value: "v"}), s.Gauge("g"), s.Timer("t")
		if n := testing.AllocsPerRun(1000, func() {
			c.Add(1)
			g.Set(1.5)
			o.Observe(time.Millisecond)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
