package statsd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/metrics"
)

// A server that moves to another address is found within a minute: UDP to the old one
// reports nothing. That goes for a name, and for whatever Dial connects to.
func TestServerMoves(t *testing.T) {
	for _, address := range []string{"statsd.example:8125", ""} {
		t.Run(address, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				old, now := newWire(), newWire()
				moved := false
				s, err := New(Config{Address: address, Dial: func(context.Context) (io.WriteCloser, error) {
					if moved {
						return now, nil
					}
					return old, nil
				}})
				if err != nil {
					t.Fatal(err)
				}
				hits := s.Counter("hits")
				hits.Add(1)
				time.Sleep(10 * time.Minute)
				moved = true
				for range 120 {
					hits.Add(1)
					time.Sleep(time.Second)
				}
				if err := s.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				if n := len(now.lines()); n < 59 {
					t.Errorf("%d of 120 lines have arrived at the new address", n)
				}
			})
		})
	}
}

// A gauge that stays 0 is that of an owner that has ended. Others are sent on and on.
func TestGaugeOfAnOwnerThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		s, err := New(Config{Dial: w.dial})
		if err != nil {
			t.Fatal(err)
		}
		ended, steady := s.Gauge("ended"), s.Gauge("steady")
		ended.Set(5)
		steady.Set(7)
		time.Sleep(10 * time.Minute)
		ended.Set(0)
		time.Sleep(2 * time.Minute)
		before := w.lines()
		time.Sleep(time.Hour)
		later := w.lines()[len(before):]
		if i := slices.Index(before, "ended:0|g"); i < 0 {
			t.Error("the server was not told of the end")
		}
		if n := slices.IndexFunc(later, func(l string) bool { return l != "steady:7|g" }); n >= 0 || len(later) < 700 {
			t.Errorf("%d lines in an hour, among them %q", len(later), later[max(0, n)])
		}
		ended.Set(3) // it lives again
		time.Sleep(time.Second)
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(w.lines()[len(before)+len(later):], "ended:3|g") {
			t.Error("a gauge that was set again is not sent")
		}
	})
}

// To DogStatsD a negative gauge is one value. In the other dialects a sign is a
// difference, and it is told to begin at 0.
func TestNegativeGauge(t *testing.T) {
	for format, want := range map[TagFormat][]string{
		TagsOctothorpe: {"balance:-5|g"},
		TagsComma:      {"balance:0|g", "balance:-5|g"},
		TagsSemicolon:  {"balance:0|g", "balance:-5|g"},
	} {
		w := record(t, Config{Tags: format}, func(s *Recorder) { s.Gauge("balance").Set(-5) })
		if got := w.lines(); !slices.Equal(got, want) {
			t.Errorf("%v: %q", format, got)
		}
	}
}

// A tag that varies without end costs bounded memory, and is noticed.
func TestTagsThatVaryCostBoundedMemory(t *testing.T) {
	var log strings.Builder
	s, err := New(Config{MaxSeries: 1000, Dial: newWire().dial, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range 100_000 {
		tag := metrics.Tag{Key: "user", Value: fmt.Sprint(i)}
		s.Timer("took", tag).Observe(time.Second)
		s.Counter(fmt.Sprint("n", i%500), tag).Add(1)
	}
	if used := int64(heap()) - int64(before); used > 10<<20 {
		t.Errorf("%d KiB for 1,000 series", used>>10)
	}
	if snap := s.Snapshot(); snap.Series != 1000 || snap.Refused != 199_000 || snap.Dropped != 199_000 {
		t.Errorf("%+v", snap)
	}
	if n := strings.Count(log.String(), "series refused"); n != maxRefusedNames || strings.Count(log.String(), "name=took ") != 1 {
		t.Errorf("%d lines", n)
	}
}
