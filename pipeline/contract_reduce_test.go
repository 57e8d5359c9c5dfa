package pipeline_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/metrics/metricstest"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/pipeline/pipelinetest"
	"github.com/penstock-go/penstock/receipt"
)

// The zero value is one summary of all events each second, of the key "".
func TestZeroReduceConfigIsOneSummaryASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newFeed(1, 2, 3)
		out, p, done := reduced(t, in, pipeline.ReduceConfig[int]{})
		time.Sleep(999 * time.Millisecond)
		out.want(t)
		time.Sleep(2 * time.Millisecond)
		out.want(t, ": 6 of 3")
		ended(t, p, done)
	})
}

// An event has its receipt when its summary has one: not while that is worked on, and it has
// failed if that has.
func TestReceiptOfAReducedEventIsThatOfItsSummary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, gate := newFeed(1, 2, 3), make(chan struct{})
		p := pipeline.New(pipeline.Config{Logger: quiet, Retry: once})
		flow := pipeline.Reduce(pipeline.From(p, in, sourceConfig{}), pipeline.ReduceConfig[int]{Key: parity}, addTo, show)
		pipeline.Each(flow, func(_ context.Context, s string) error {
			<-gate
			if strings.HasPrefix(s, "odd") {
				return errWrite
			}
			return nil
		}, pipeline.StepConfig[string]{})
		done := started(t, p)
		time.Sleep(time.Minute)
		if n := len(in.ends()); n > 0 {
			t.Errorf("%d receipts before those of the summaries", n)
		}
		close(gate)
		ended(t, p, done)
		ends := in.ends()
		if ends[1] != receipt.Failed || ends[2] != receipt.Done || ends[3] != receipt.Failed {
			t.Error(ends)
		}
	})
}

// An event for which add returns an error or panics fails at once, without a retry or a dead
// letter, and the key that it would have begun has no summary.
func TestReduceFailsAnEventWithoutRetryOrLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, letters, out, calls := newFeed(-1, -2000), new(pipelinetest.Letters), new(texts), 0
		p := pipeline.New(pipeline.Config{Logger: quiet, DeadLetters: letters, Retry: exact(3)})
		add := func(s *sum, v int) error { calls++; return addTo(s, v) }
		flow := pipeline.Reduce(pipeline.From(p, in, sourceConfig{}), pipeline.ReduceConfig[int]{}, add, show)
		pipeline.Each(flow, out.add, pipeline.StepConfig[string]{})
		done := started(t, p)
		synctest.Wait() // no time passes
		if ends := in.ends(); ends[-1] != receipt.Failed || ends[-2000] != receipt.Failed || calls != 2 {
			t.Errorf("%v after %d calls", ends, calls)
		}
		ended(t, p, done)
		out.want(t)
		if n := len(letters.All()); n > 0 {
			t.Errorf("%d letters", n)
		}
	})
}

// With Totals the key that has not changed for longest loses its state when another one
// comes, which is counted and logged.
func TestTotalThatIsForgottenIsTheOldestAndIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder, lines, in, out := metricstest.New(), &logs{}, newFeed(10, 21), new(texts)
		p := pipeline.New(pipeline.Config{Logger: slog.New(slog.NewTextHandler(lines, nil)), Metrics: recorder})
		cfg := pipeline.ReduceConfig[int]{Name: "sums", MaxKeys: 2, Totals: true, Key: modulo(10)}
		pipeline.Each(pipeline.Reduce(pipeline.From(p, in, sourceConfig{}), cfg, addTo, show), out.add, pipeline.StepConfig[string]{})
		done := started(t, p)
		for _, v := range []int{30, 2, 40, 1} { // key 0 changes after key 1, so that 2 takes the place of 1
			time.Sleep(1100 * time.Millisecond)
			in.push(v)
		}
		time.Sleep(1100 * time.Millisecond)
		out.want(t, "0: 10 of 1", "1: 21 of 1", "0: 40 of 2", "2: 2 of 1", "0: 80 of 3", "1: 1 of 1")
		ended(t, p, done)
		if n := recorder.Total("pipeline.keys_forgotten"); n != 2 || !strings.Contains(lines.String(), "a total was forgotten") {
			t.Errorf("%d forgotten: %s", n, lines)
		}
	})
}

// A step that is made anew has no states: running totals begin anew.
func TestReduceThatIsMadeAnewHasNoTotals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newFeed(1, 2)
		out, p, done := reduced(t, in, pipeline.ReduceConfig[int]{Totals: true})
		time.Sleep(1100 * time.Millisecond)
		out.want(t, ": 3 of 2")
		if err := step(t, p, "sums").Restart(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		in.push(5)
		time.Sleep(1100 * time.Millisecond)
		out.want(t, ": 5 of 1")
		ended(t, p, done)
	})
}

// What summary makes is the event of the next step: one that fails there is a letter of that
// step, once, whatever the number of events that it is of.
func TestSummaryThatFailsIsOneLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, letters := complete(5), new(pipelinetest.Letters)
		p := pipeline.New(pipeline.Config{Logger: quiet, DeadLetters: letters, Retry: once})
		flow := pipeline.Reduce(pipeline.From(p, in, sourceConfig{}), pipeline.ReduceConfig[int]{}, addTo, show)
		pipeline.Each(flow, func(context.Context, string) error { return errors.New("no") }, pipeline.StepConfig[string]{})
		run(t, p)
		if got := letters.All(); len(got) != 1 || string(got[0].Event) != `": 10 of 5"` {
			t.Errorf("%v", got)
		}
		in.haveFailed(t, 5, upTo(5)...)
	})
}
