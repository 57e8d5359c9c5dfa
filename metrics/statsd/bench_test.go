package statsd

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/penstock-go/penstock/metrics"
)

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }

func benchmark(b *testing.B, f func(*Recorder) func()) {
	s, err := New(Config{Dial: func(context.Context) (io.WriteCloser, error) { return discard{}, nil }})
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
	benchmark(b, func(s *Recorder) func() {
		c := s.Counter("hits", metrics.Tag{Key: "k", Value: "v"})
		return func() { c.Add(1) }
	})
}

func BenchmarkGauge(b *testing.B) {
	benchmark(b, func(s *Recorder) func() {
		g := s.Gauge("depth")
		return func() { g.Set(1.5) }
	})
}

// BenchmarkTimer includes the flushes that go on beside it.
func BenchmarkTimer(b *testing.B) {
	benchmark(b, func(s *Recorder) func() {
		t := s.Timer("took", metrics.Tag{Key: "k", Value: "v"})
		return func() { t.Observe(1500 * time.Microsecond) }
	})
}
