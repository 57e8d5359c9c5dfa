package pipeline_test

import (
	"context"
	"fmt"
	"log"
	"slices"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// Visits are counted by page. The counts come each second, and at the end those of the
// rest.
func ExampleReduce() {
	source := stage.Must(producer.NewSeq(slices.Values([]string{"/", "/about", "/", "/", "/about"}), producer.SeqConfig[string]{}))
	p := pipeline.New(pipeline.Config{})
	visits := pipeline.From(p, source, pipeline.SourceConfig[string]{})
	counts := pipeline.Reduce(visits, pipeline.ReduceConfig[string]{Key: func(page string) string { return page }},
		func(n *int, _ string) error { *n++; return nil },
		func(page string, n *int) string { return fmt.Sprint(page, " ", *n) })
	pipeline.Each(counts, func(_ context.Context, line string) error {
		fmt.Println(line)
		return nil
	}, pipeline.StepConfig[string]{})
	if err := p.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// / 3
	// /about 2
}

// Two of five events pass at once, and then ten a second.
func ExampleConfig_rate() {
	source := stage.Must(producer.NewSeq(slices.Values([]int{1, 2, 3, 4, 5}), producer.SeqConfig[int]{}))
	p := pipeline.New(pipeline.Config{Rate: pipeline.Rate{PerSecond: 10, Burst: 2}})
	pipeline.Each(pipeline.From(p, source, pipeline.SourceConfig[int]{}), func(_ context.Context, v int) error {
		fmt.Println(v)
		return nil
	}, pipeline.StepConfig[int]{})
	if err := p.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1
	// 2
	// 3
	// 4
	// 5
}
