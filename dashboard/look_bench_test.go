package dashboard

import (
	"context"
	"strconv"
	"testing"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

// BenchmarkLook is one look at a pipeline of a thousand stages, each of which has handled an
// event since the one before.
func BenchmarkLook(b *testing.B) {
	const ends = 1000
	p, f := pipeline.New(pipeline.Config{Name: "many", Logger: quiet}), &feed{}
	in := pipeline.From[int](p, f, pipeline.SourceConfig[int]{Name: "source"})
	done := make(chan struct{}, 2*ends)
	for i, end := range pipeline.Partition(in, ends, func(v int) uint64 { return uint64(v) }) {
		pipeline.Each(end, func(context.Context, int) error { done <- struct{}{}; return nil }, pipeline.StepConfig[int]{Name: "end-" + strconv.Itoa(i)})
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Run(context.Background()) }()
	d := stage.Must(New(Config{Logger: quiet}, Pipeline(p)))
	r := newRun(d)
	for {
		r.look()
		f.mu.Lock()
		ready := f.self != nil
		f.mu.Unlock()
		if ready {
			break
		}
	}
	size := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		f.push(ends)
		for range ends {
			<-done
		}
		b.StartTimer()
		r.look()
		size = len(r.patch)
	}
	b.ReportMetric(float64(size), "bytes/patch")
	r.cancel()
	p.Stop(nil)
	<-ended
}
