package pipeline_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// Lines are gathered into batches of two for each level. What is left when the source has
// ended is passed on at once.
func ExampleBatch() {
	lines := strings.SplitSeq("info: up,error: disk,info: ready,info: request,error: net,info: bye", ",")
	source := stage.Must(producer.NewSeq(lines, producer.SeqConfig[string]{}))

	p := pipeline.New(pipeline.Config{})
	in := pipeline.From(p, source, pipeline.SourceConfig[string]{})
	batches := pipeline.Batch(in, pipeline.BatchConfig[string]{
		Size: 2,
		Key:  func(line string) string { level, _, _ := strings.Cut(line, ":"); return level },
	})
	pipeline.Each(batches, func(_ context.Context, batch []string) error {
		fmt.Println(strings.Join(batch, " | "))
		return nil
	}, pipeline.StepConfig[[]string]{})
	if err := p.Run(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// info: up | info: ready
	// error: disk | error: net
	// info: request | info: bye
}
