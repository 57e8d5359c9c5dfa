package stage_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/stage"
)

// A run is the receipt for each of its events, with one outcome, in any order of runs.
// Events that have their receipt already are left out, as are those that never came.
func TestSettleRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, _, p, _, sub := pooled(t, stage.ProducerConfig[int]{})
		push(t, p, &src.source, 10, 11, 12, 13)
		sub.SettleRuns(0, stage.FinishedRun{First: 2, Count: 1, Err: errOops})
		synctest.Wait()
		equal(t, "receipts", ended(src.receipts), []string{"2 failed"})
		sub.SettleRuns(2, stage.FinishedRun{First: 0, Count: 3}, stage.FinishedRun{First: 3, Count: 1, Err: &stage.DiscardError{Reason: "late"}})
		synctest.Wait()
		equal(t, "receipts", ended(src.receipts), []string{"2 failed", "0 done", "1 done", "3 discarded late"})
		push(t, p, &src.source, 14, 15)
		sub.SettleRuns(0, stage.FinishedRun{First: 4, Count: 7})
		synctest.Wait()
		equal(t, "receipts", len(ended(src.receipts)), 6)
	})
}

// What MapFunc has emitted has its own receipts on either side of events that fail.
func TestMapFuncNamesEachInput(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newChain(t, stage.SubscribeConfig{}, stage.MapFunc[int, int](failsOverOdd))
		k.push(0, 1, 2, 4, 3, 6)
		k.want("1 failed", "4 failed")
		k.w.settle(k.sub, 0, nil, 1)
		k.want("2 done")
		k.w.settle(k.sub, 0, nil, 3, 0, 2)
		k.want("5 done", "0 done", "3 done")
	})
}

func failsOverOdd(_ context.Context, v int) (int, error) {
	if v%2 == 1 {
		return 0, errOops
	}
	return v, nil
}
