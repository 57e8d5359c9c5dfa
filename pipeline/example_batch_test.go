package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/retry"
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

// Rows are written by two workers, in batches of up to 100 or of what has come within
// 50 ms. Two rows fail alone and are tried again; one of them fails for good.
func ExampleEachBatch() {
	source := stage.Must(producer.NewSeq(slices.Values([]string{"a", "bad", "c", "late"}), producer.SeqConfig[string]{}))
	p := pipeline.New(pipeline.Config{Logger: slog.New(slog.DiscardHandler)})
	rows := pipeline.From(p, source, pipeline.SourceConfig[string]{})
	pipeline.EachBatch(rows, func(ctx context.Context, batch []string) error {
		info, _ := pipeline.BatchInfoOf(ctx)
		fmt.Println("attempt", info.Attempt, batch)
		failed := consumer.EventErrors{}
		for i, row := range batch {
			if row == "bad" || row == "late" && info.Attempt == 1 {
				failed[i] = errors.New("not stored")
			}
		}
		return failed
	}, pipeline.BatchConfig[string]{
		Size:    100,
		Timeout: 50 * time.Millisecond,
		Workers: 2,
		Retry:   retry.Policy{MaxAttempts: 2, Backoff: 10 * time.Millisecond},
	})
	if err := p.Run(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// attempt 1 [a bad c late]
	// attempt 2 [bad late]
}

// Names are looked up many at a time, and each event has its own result.
func ExampleMapBatch() {
	source := stage.Must(producer.NewSeq(slices.Values([]int{3, 1, 2}), producer.SeqConfig[int]{}))
	p := pipeline.New(pipeline.Config{})
	ids := pipeline.From(p, source, pipeline.SourceConfig[int]{})
	names := pipeline.MapBatch(ids, func(_ context.Context, ids []int) ([]string, error) {
		var list []string
		for _, id := range ids {
			list = append(list, fmt.Sprintf("user %d of %d", id, len(ids)))
		}
		return list, nil
	}, pipeline.BatchConfig[int]{Size: 2})
	pipeline.Each(names, func(_ context.Context, name string) error {
		fmt.Println(name)
		return nil
	}, pipeline.StepConfig[string]{})
	if err := p.Run(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// user 3 of 2
	// user 1 of 2
	// user 2 of 1
}
