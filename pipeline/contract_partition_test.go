package pipeline_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

// While the step of a partition is made anew, the events of that partition wait for it, and
// those of the others go on.
func TestEventsOfAPartitionWaitForItsStepThatIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f, even, odd, lives := pipeline.New(pipeline.Config{Logger: quiet}), newFeed(), &list{}, &list{}, 0
		flows := pipeline.Partition(pipeline.From(p, f, sourceConfig{}), 2, func(v int) uint64 { return uint64(v) })
		pipeline.Each(flows[0], even.add, stepConfig{})
		pipeline.To(flows[1], func() (stage.Consumer[int], error) {
			if lives++; lives > 1 && lives < 4 {
				return nil, errDead // it takes a while
			}
			return stage.ConsumerFunc[int](func(ctx context.Context, events []int) error {
				if lives == 1 {
					return errDead
				}
				for _, v := range events {
					_ = odd.add(ctx, v)
				}
				return nil
			}), nil
		}, pipeline.StageConfig{Restart: pipeline.Restart{Backoff: time.Minute, MaxRestarts: 10}})
		done := started(t, p)
		synctest.Wait()
		f.push(upTo(20)...)
		time.Sleep(time.Second)
		if len(even.all()) != 10 || len(odd.all()) > 0 {
			t.Errorf("while it is made anew: %v, %v", even.all(), odd.all())
		}
		time.Sleep(time.Hour)
		drained(t, p, done)
		if got := odd.all(); len(got) != 10 || !slices.IsSorted(got) {
			t.Error(got)
		}
		f.allDone(t, 20)
	})
}
