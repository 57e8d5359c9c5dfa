package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// An event costs no allocation, on the stage's goroutine or in the pool, with middleware or
// without.
func TestStepAllocatesNothing(t *testing.T) {
	pass := func(ctx context.Context, _ int, next func(context.Context) error) error { return next(ctx) }
	split := func(_ context.Context, v int, emit func(int)) error { emit(v); return nil }
	for _, receipts := range []bool{false, true} {
		for _, cfg := range []StepConfig[int]{
			{}, {Workers: 3}, {Workers: 3, Unordered: true},
			{Workers: 3, Key: func(v int) string { return "abcdefgh"[v&7 : v&7+1] }},
			{Workers: 3, Use: []Middleware[int]{pass, pass}},
		} {
			for name, step := range map[string]stage.ProducerConsumer[int, int]{
				"map": newMapStep(double, cfg.defaults(), testPlace(nil)), "flat-map": newFlatMapStep(split, cfg.defaults(), testPlace(nil)),
			} {
				const n = 300_000
				source := &numbersOnly{n: n}
				var from stage.Producer[int] = source
				if !receipts {
					from = stage.ProducerFunc[int](source.HandleDemand)
				}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				seen := 0
				err := runInto(t, t.Context(), from, step, stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
					seen += len(events)
					return nil
				}))
				runtime.ReadMemStats(&after)
				if err != nil || seen != n {
					t.Fatalf("%v, %d events", err, seen)
				}
				if each := float64(after.Mallocs-before.Mallocs) / n; each > 0.02 {
					t.Errorf("%s, receipts %v, %+v: %.3f allocations an event", name, receipts, cfg.Workers, each)
				}
			}
		}
	}
}

// numbersOnly is a source of numbers that takes receipts and keeps none.
type numbersOnly struct{ n, next int }

func (s *numbersOnly) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	for ; n > 0 && s.next < s.n; n-- {
		emit.Emit(s.next)
		s.next++
	}
	if s.next == s.n {
		return stage.ErrDone
	}
	return nil
}

func (s *numbersOnly) HandleReceipts(context.Context, []stage.Receipt) error { return nil }

// Failures are in the log, once and at most one line a second.
func TestFailuresAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		f := func(_ context.Context, v int) (int, error) {
			if v%2 == 0 {
				return 0, retry.Never(fmt.Errorf("event %d", v))
			}
			return v, nil
		}
		at := testPlace(nil)
		at.logger = logger
		step := newMapStep(f, StepConfig[int]{}.defaults(), at)
		from := stage.Must(stage.NewProducer(&numbers{n: 100}, stage.ProducerConfig[int]{Logger: quiet}))
		via := stage.Must(stage.NewProducerConsumer(step, stage.ProducerConfig[int]{Logger: logger}))
		to := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(context.Context, []int) error { return nil }), stage.ConsumerConfig{Logger: quiet}))
		stage.Must(via.Subscribe(from, stage.SubscribeConfig{}))
		stage.Must(to.Subscribe(via, stage.SubscribeConfig{}))
		if err := stage.Run(t.Context(), from, via, to); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "failures=1 ") || !strings.Contains(lines[1], "failures=49 ") {
			t.Errorf("%d lines:\n%s", len(lines), log.String())
		}
	})
}
