package stage_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// Events of several consumers that die together come back in their order.
func TestRedeliverAfterSeveralDeaths(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		bubble(t, func(t *testing.T) {
			src, last := &source{counting: true, limit: 20}, newSink()
			p := producer(src, stage.ProducerConfig[int]{})
			var dying []*stage.ConsumerStage[int]
			stages := []stage.Stage{p}
			for i := range 3 {
				c := consumer(pausing(1), fmt.Sprint("C", i))
				subscribe(t, c, p, stage.SubscribeConfig{MaxDemand: 2, Redeliver: true})
				dying = append(dying, c)
				stages = append(stages, c)
			}
			start(t, stages...)
			for _, i := range order {
				dying[i].Stop(nil)
			}
			synctest.Wait()
			rest := consumer(last, "rest")
			subscribe(t, rest, p, four)
			start(t, rest)
			equal(t, "events", last.events(), upTo(0, 20))
		})
	}
}

// An event over which a consumer dies is delivered once more, and abandoned when it
// ends that one as well.
func TestPoisonousEventEndsTwoConsumers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &acking{source{counting: true, limit: 10}}
		p := producer(src, stage.ProducerConfig[int]{})
		stages := []stage.Stage{p}
		var sinks []*sink
		for i := range 4 {
			dst := newSink()
			dst.onEvents = func(_ context.Context, events []int) error {
				if slices.Contains(events, 3) {
					return errOops
				}
				return nil
			}
			sinks = append(sinks, dst)
			c := consumer(dst, fmt.Sprint("C", i))
			subscribe(t, c, p, stage.SubscribeConfig{MaxDemand: 1, Redeliver: true})
			stages = append(stages, c)
		}
		start(t, stages...)
		dead := 0
		for _, s := range stages[1:] {
			if s.Err() != nil {
				dead++
			}
		}
		equal(t, "dead consumers", dead, 2)
		tried := 0
		for _, dst := range sinks {
			for _, v := range dst.events() {
				if v == 3 {
					tried++
				}
			}
		}
		equal(t, "attempts", tried, 2)
		for seq, outcome := range outcomes(src.receipts) {
			want := receipt.Done
			if seq == 3 {
				want = receipt.Abandoned
			}
			equal(t, fmt.Sprint("outcome of ", seq), outcome, want)
		}
		equal(t, "receipts", len(outcomes(src.receipts)), 10)
	})
}

// outcomes spreads receipts by sequence number.
func outcomes(receipts []stage.Receipt) map[uint64]receipt.Outcome {
	all := make(map[uint64]receipt.Outcome)
	for _, r := range receipts {
		for i := range r.Count {
			all[r.First+uint64(i)] = r.Outcome
		}
	}
	return all
}
