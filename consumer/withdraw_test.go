package consumer_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// lender is a source that can ask its events back.
type lender struct {
	tracked
	self *stage.Handle
}

func (l *lender) HandleStart(_ context.Context, self *stage.Handle) error {
	l.self = self
	return nil
}

// Events that pause before another attempt go back at once, and give their places to
// others; what a worker has ends as usual, and an event that its source has not asked back
// has its next attempt in time.
func TestSupervisorGivesBackWhatPauses(t *testing.T) {
	for _, demand := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			src := &lender{}
			src.limit = 100
			var mu sync.Mutex
			completed, attempts := map[int]int{}, map[int]int{}
			pool := stage.Must(consumer.NewSupervisor(func(_ context.Context, v int) error {
				mu.Lock()
				attempts[v]++
				first := attempts[v] == 1
				mu.Unlock()
				time.Sleep(10 * time.Millisecond)
				if first && v < 2*demand {
					return errOops
				}
				mu.Lock()
				completed[v]++
				mu.Unlock()
				return nil
			}, config{MaxDemand: demand, MaxDeferred: demand, Retry: retry.Policy{MaxAttempts: 2, Backoff: time.Hour}}))
			startWith(t, src, stage.ProducerConfig[int]{Name: "source"}, pool, stage.SubscribeConfig{})
			time.Sleep(time.Second)
			if s := pool.Snapshot(); s.Pausing == 0 || len(completed) > 0 {
				t.Fatalf("%+v, %d completed: nothing pauses", s, len(completed))
			}
			// One stays.
			src.self.Withdraw(stage.Span{First: 1, Count: 10})
			time.Sleep(time.Second)
			if demand == 1 {
				// The only one is event 0.
				src.self.Withdraw(stage.Span{First: 0, Count: 1})
			}
			time.Sleep(3 * time.Hour)
			back := 0
			for v, o := range src.outcomes(t) {
				switch {
				case o == receipt.Withdrawn && completed[v] == 0:
					back++
				case o != receipt.Done || completed[v] != 1:
					t.Errorf("with a demand of %d event %d ended as %v, completed %d times", demand, v, o, completed[v])
				}
			}
			if len(src.outcomes(t)) != 100 || back == 0 || demand > 1 && completed[0] != 1 {
				t.Errorf("with a demand of %d: %d ends, %d came back, the one that stays was completed %d times", demand, len(src.outcomes(t)), back, completed[0])
			}
			if s := pool.Snapshot(); s.Pausing+s.Waiting+s.Busy != 0 {
				t.Errorf("%+v is left", s)
			}
		})
	}
}
