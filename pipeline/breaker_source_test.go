package pipeline_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/pipeline/pipelinetest"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// A source that has emitted all it had stays until they are finished: a step that dies over
// them is given them again.
func TestStepDiesWhenItsSourceHasEnded(t *testing.T) {
	for _, mapped := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := pipeline.New(pipeline.Config{})
			source, err := producer.NewSeq(slices.Values([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}), producer.SeqConfig[int]{})
			if err != nil {
				t.Fatal(err)
			}
			seen := make(map[int]bool)
			deaths := 0
			in := pipeline.From(p, source, pipeline.SourceConfig[int]{})
			if mapped {
				in = pipeline.Map(in, func(_ context.Context, v int) (int, error) { return v, nil }, pipeline.StepConfig[int]{})
			}
			pipeline.To(in, func() (stage.Consumer[int], error) {
				return stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
					time.Sleep(time.Second)
					if deaths++; deaths == 1 {
						return errBreaks
					}
					for _, v := range events {
						seen[v] = true
					}
					return nil
				}), nil
			}, pipeline.StageConfig{})
			if err := p.Run(t.Context()); err != nil || len(seen) != 10 {
				t.Errorf("mapped %v: %v: %v", mapped, err, seen)
			}
		})
	}
}

// An event over which steps have died again after they were made anew is a dead letter, since
// a source without receipts does not have it again. All others are handled.
func TestEventOverWhichStepsDie(t *testing.T) {
	for _, mapped := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			letters := new(pipelinetest.Letters)
			p := pipeline.New(pipeline.Config{Name: "p", DeadLetters: letters, Restart: pipeline.Restart{MaxRestarts: 100}})
			queue, err := producer.NewQueue(producer.QueueConfig[int]{})
			if err != nil {
				t.Fatal(err)
			}
			seen := make(map[int]bool)
			deaths := 0
			in := pipeline.From(p, queue, pipeline.SourceConfig[int]{Name: "in"})
			if mapped {
				in = pipeline.Map(in, func(_ context.Context, v int) (int, error) { return v, nil }, pipeline.StepConfig[int]{})
			}
			pipeline.To(in, func() (stage.Consumer[int], error) {
				return stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
					for _, v := range events {
						if v == 7 {
							deaths++
							return errBreaks
						}
						seen[v] = true
					}
					return nil
				}), nil
			}, pipeline.StageConfig{})
			done := make(chan error, 1)
			go func() { done <- p.Run(t.Context()) }()
			for i := range 100 {
				if err := queue.Push(t.Context(), i); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			time.Sleep(time.Minute)
			p.Drain()
			if err := <-done; err != nil || len(seen) != 99 {
				t.Errorf("mapped %v: %v: %d handled", mapped, err, len(seen))
			}
			all := letters.All()
			if len(all) != 1 || string(all[0].Event) != "7" || all[0].Pipeline != "p" || all[0].Stage != "in" || !strings.Contains(all[0].Error, errBreaks.Error()) {
				t.Errorf("mapped %v: %d deaths, letters %+v", mapped, deaths, all)
			}
		})
	}
}

// What was delivered when a pipeline is stopped, or drained, is no dead letter.
func TestStopGivesNoEventUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letters := new(pipelinetest.Letters)
		p := pipeline.New(pipeline.Config{DeadLetters: letters})
		in := pipeline.From(p, newFeed(1, 2, 3), pipeline.SourceConfig[int]{})
		deaths := 0
		pipeline.To(in, func() (stage.Consumer[int], error) {
			return stage.ConsumerFunc[int](func(ctx context.Context, _ []int) error {
				if deaths++; deaths == 1 {
					return errBreaks
				}
				<-ctx.Done()
				return ctx.Err()
			}), nil
		}, pipeline.StageConfig{})
		done := make(chan error, 1)
		go func() { done <- p.Run(t.Context()) }()
		time.Sleep(time.Minute)
		p.Stop(errBreaks)
		<-done
		if all := letters.All(); len(all) > 0 {
			t.Errorf("%+v", all)
		}
	})
}
