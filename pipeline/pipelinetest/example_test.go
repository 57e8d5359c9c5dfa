package pipelinetest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/pipeline/pipelinetest"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

var quiet = slog.New(slog.DiscardHandler)

// build makes the pipeline of a program, which passes its source and the function that
// stores the numbers.
func build(p *pipeline.Pipeline, source stage.Producer[string], store func(context.Context, int) error) {
	lines := pipeline.From(p, source, pipeline.SourceConfig[string]{Name: "lines"})
	numbers := pipeline.Map(lines, func(_ context.Context, line string) (int, error) {
		n, err := strconv.Atoi(line)
		return n, retry.Never(err)
	}, pipeline.StepConfig[string]{Name: "parse"})
	pipeline.Each(numbers, store, pipeline.StepConfig[int]{Name: "store"})
}

// The test of a whole pipeline pushes events in place of the source. In a test,
// pipelinetest.Run(t, p) takes the place of the two lines with Run and Close.
func ExampleNewSource() {
	source, letters := pipelinetest.NewSource[string](), &pipelinetest.Letters{}
	sink := pipelinetest.NewSink[int](nil)
	p := pipeline.New(pipeline.Config{DeadLetters: letters, Logger: quiet})
	build(p, source, sink.Each)
	ended := make(chan error)
	ctx := context.Background()
	go func() { ended <- p.Run(ctx) }()

	fmt.Println(source.Push("12").Wait(ctx))
	fmt.Println(source.Push("x").Wait(ctx))
	fmt.Println(sink.Events())
	for _, letter := range letters.All() {
		fmt.Printf("%s %s: %s\n", letter.Stage, letter.Event, letter.Error)
	}

	source.Close()
	fmt.Println(<-ended)
	// Output:
	// done <nil>
	// failed <nil>
	// [12]
	// parse "x": strconv.Atoi: parsing "x": invalid syntax
	// <nil>
}

// A sink records what it gets; its function says which events fail.
func ExampleNewSink() {
	sink := pipelinetest.NewSink(func(_ context.Context, v int) error {
		if v == 13 {
			return errors.New("no")
		}
		return nil
	})
	fmt.Println(sink.Each(context.Background(), 12), sink.Each(context.Background(), 13))
	fmt.Println(sink.Batch(context.Background(), []int{1, 2}))
	fmt.Println(sink.Events(), sink.Batches())
	// Output:
	// <nil> no
	// <nil>
	// [12 1 2] [[1 2]]
}
