package metrics

import (
	"context"
	"io"
	"testing"
	"time"
)

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }

func benchmark(b *testing.B, f func(*StatsD) func()) {
	s, err := NewStatsD(StatsDConfig{Dial: func(context.Context) (io.WriteCloser, error) { return discard{}, nil }})
	if err != nil {
		b.Fatal(err)
	}
	once := f(s)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			once()
		}
	})
	b.StopTimer()
	if err := s.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	if s.Dropped() != 0 {
		b.Errorf("%d dropped", s.Dropped())
	}
}

func BenchmarkCounter(b *testing.B) {
	benchmark(b, func(s *StatsD) func() {
		c := s.Counter("hits", Tag{"k", "v"})
		return func() { c.Add(1) }
	})
}

func BenchmarkGauge(b *testing.B) {
	benchmark(b, func(s *StatsD) func() {
		g := s.Gauge("depth")
		return func() { g.Set(1.5) }
	})
}

// BenchmarkTimer includes the flushes that go on beside it.
func BenchmarkTimer(b *testing.B) {
	benchmark(b, func(s *StatsD) func() {
		t := s.Timer("took", Tag{"k", "v"})
		return func() { t.Observe(1500 * time.Microsecond) }
	})
}
