package bench

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/penstock-go/penstock/dashboard"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

// BenchmarkW1Dashboard is W1 through the builder with a dashboard that is mounted and has no
// viewer, beside the same without one.
func BenchmarkW1Dashboard(b *testing.B) {
	beside(b, func(n int) time.Duration { return dashboardW1(b, n) },
		func(n int) time.Duration { return pipelineW1(b, n) })
}

func dashboardW1(tb testing.TB, n int) time.Duration {
	sum := new(summer)
	p := pipeline.New(pipeline.Config{})
	in := pipeline.From[int](p, &counter{limit: n}, pipeline.SourceConfig[int]{})
	pipeline.To(in, func() (stage.Consumer[int], error) { return sum, nil }, stageConfig)
	d, err := dashboard.New(dashboard.Config{}, dashboard.Pipeline(p))
	if err != nil {
		tb.Fatal(err)
	}
	http.NewServeMux().Handle("/dashboard/", d)
	begin := time.Now()
	if err := p.Run(context.Background()); err != nil {
		tb.Fatal(err)
	}
	took := time.Since(begin)
	if err := d.Close(context.Background()); err != nil {
		tb.Fatal(err)
	}
	sum.check(tb, n)
	return took
}
