package pipeline

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

var epoch = time.Unix(1, 0)

var errBatch = errors.New("batch")

// exactly is a policy with pauses of 10, 20 and so on.
func exactly(attempts int) retry.Policy {
	return retry.Policy{MaxAttempts: attempts, Backoff: 10 * time.Millisecond, Jitter: retry.NoJitter}.WithDefaults()
}

// batchOf returns a closed batch of these numbers.
func batchOf(key string, events ...int) *gathered[int, int] {
	return &gathered[int, int]{key: key, events: events, places: slices.Clone(events)}
}

// endsText writes ends as a text such as "1 2 done,3 failed(2): oops".
func endsText(ends []batchEnd[int, int]) string {
	var list []string
	for _, e := range ends {
		what := "done"
		switch {
		case e.failed:
			what = fmt.Sprintf("failed(%d): %v", e.tries, e.err)
		case e.err != nil:
			what = "dropped"
		}
		list = append(list, strings.Trim(fmt.Sprint(e.events), "[]")+" "+what)
	}
	return strings.Join(list, ",")
}

// A batch of the numbers 1 to 4: each attempt's events and what it returns, and the ends
// and the pause that follow.
func TestBatchWorkJudgesAttempts(t *testing.T) {
	one := errors.New("one")
	type attempt struct {
		events string
		err    error
		ends   string
		pause  time.Duration // before the next one, in milliseconds
	}
	for name, tc := range map[string]struct {
		policy   retry.Policy
		split    bool
		attempts []attempt
	}{
		"handled":   {exactly(1), false, []attempt{{"1 2 3 4", nil, "1 2 3 4 done", 0}}},
		"done":      {exactly(1), false, []attempt{{"1 2 3 4", stage.ErrDone, "1 2 3 4 done", 0}}},
		"no errors": {exactly(1), false, []attempt{{"1 2 3 4", consumer.EventErrors{}, "1 2 3 4 done", 0}}},
		"dropped":   {exactly(3), false, []attempt{{"1 2 3 4", &stage.DiscardError{Reason: "old"}, "1 2 3 4 dropped", 0}}},
		"fails": {exactly(1), false, []attempt{
			{"1 2 3 4", errBatch, "1 2 3 4 failed(1): batch", 0},
		}},
		"is repeated": {exactly(3), false, []attempt{
			{"1 2 3 4", errBatch, "", 10},
			{"1 2 3 4", errBatch, "", 20},
			{"1 2 3 4", errBatch, "1 2 3 4 failed(3): batch", 0},
		}},
		"never": {exactly(3), false, []attempt{
			{"1 2 3 4", retry.Never(errBatch), "1 2 3 4 failed(1): batch", 0},
		}},
		"later does not count": {exactly(1), true, []attempt{
			{"1 2 3 4", retry.Later(errBatch, 50*time.Millisecond), "", 50},
			{"1 2 3 4", errBatch, "", 10},
			{"1 2", retry.Later(errBatch, 70*time.Millisecond), "", 70},
			{"1 2", nil, "1 2 done", 10},
			{"3 4", nil, "3 4 done", 0},
		}},
		"halves": {exactly(2), true, []attempt{
			{"1 2 3 4", errBatch, "", 10},
			{"1 2 3 4", errBatch, "", 10},
			{"1 2", nil, "1 2 done", 10},
			{"3 4", errBatch, "", 10},
			{"3", errBatch, "3 failed(4): batch", 10},
			{"4", nil, "4 done", 0},
		}},
		"single ones fail": {exactly(1), true, []attempt{
			{"1 2 3 4", consumer.EventErrors{1: one, 3: one}, "1 done,2 failed(1): one,3 done,4 failed(1): one", 0},
		}},
		"single ones are repeated": {exactly(2), true, []attempt{
			{"1 2 3 4", consumer.EventErrors{0: one, 1: one, 2: retry.Never(one), 3: nil}, "3 failed(1): one,4 done", 10},
			{"1 2", consumer.EventErrors{1: one}, "1 done,2 failed(2): one", 0},
		}},
		"single ones are repeated, some of them later": {exactly(2), false, []attempt{
			{"1 2 3 4", consumer.EventErrors{0: one, 1: retry.Later(one, 30*time.Millisecond)}, "3 4 done", 10},
			{"1", one, "1 failed(2): one", 30},
			{"2", one, "", 10},
			{"2", one, "2 failed(3): one", 0},
		}},
		"single ones are dropped": {exactly(3), false, []attempt{
			{"1 2 3 4", fmt.Errorf("wrapped: %w", consumer.EventErrors{2: &stage.DiscardError{Reason: "old"}}), "1 2 done,3 dropped,4 done", 0},
		}},
		"an index outside": {exactly(1), false, []attempt{
			{"1 2 3 4", consumer.EventErrors{4: one}, "1 2 3 4 failed(1): no event 4 in a batch of 4: event 4: one", 0},
		}},
		"joined": {exactly(1), false, []attempt{
			{"1 2 3 4", errors.Join(consumer.EventErrors{1: one}, errBatch), "1 2 3 4 failed(1): event 1: one\nbatch", 0},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			policy := batchPolicy{retry: tc.policy, split: tc.split}
			var w batchWork[int, int]
			w.begin(batchOf("", 1, 2, 3, 4))
			for i, a := range tc.attempts {
				if got := strings.Trim(fmt.Sprint(w.top().events), "[]"); got != a.events {
					t.Errorf("attempt %d is for %s, want %s", i, got, a.events)
				}
				w.judge(policy, epoch, a.err, 0)
				if got := endsText(w.ends); got != a.ends {
					t.Errorf("attempt %d: %s, want %s", i, got, a.ends)
				}
				w.ends = w.ends[:0]
				pause := time.Duration(0)
				if len(w.parts) > 0 {
					pause = w.top().pause
				}
				if pause != a.pause*time.Millisecond {
					t.Errorf("attempt %d: pause %v, want %v", i, pause, a.pause*time.Millisecond)
				}
			}
			if len(w.parts) > 0 {
				t.Error("something is left")
			}
		})
	}
}

// In random runs each event gets exactly one end, and work ends.
func TestBatchWorkModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	for run := range 2000 {
		policy := batchPolicy{retry: exactly(1 + rnd.IntN(3)), split: rnd.IntN(2) == 0}
		var w batchWork[int, int]
		n := 1 + rnd.IntN(20)
		w.begin(batchOf("", upTo(n)...))
		ended, laters := make(map[int]bool), 0
		for attempts := 0; len(w.parts) > 0; attempts++ {
			if attempts > 10*n+laters {
				t.Fatalf("run %d: %d attempts for %d events", run, attempts, n)
			}
			k, err := len(w.top().events), error(nil)
			switch rnd.IntN(4) {
			case 0:
				err = errBatch
			case 1:
				err = consumer.EventErrors{rnd.IntN(k): errBatch, rnd.IntN(k): retry.Later(errBatch, 5*time.Millisecond)}
				laters++
			}
			w.judge(policy, epoch, err, 0)
			for _, e := range w.ends {
				if !slices.Equal(e.events, e.places) {
					t.Fatalf("run %d: %v at %v", run, e.events, e.places)
				}
				for _, n := range e.events {
					if ended[n] {
						t.Fatalf("run %d: event %d ended twice", run, n)
					}
					ended[n] = true
				}
			}
			w.ends = w.ends[:0]
		}
		if len(ended) != n {
			t.Fatalf("run %d: %d of %d events ended", run, len(ended), n)
		}
	}
}

func TestBatchWorkIsGivenUp(t *testing.T) {
	var w batchWork[int, int]
	w.begin(batchOf("", 1, 2, 3, 4))
	w.judge(batchPolicy{retry: exactly(1), split: true}, epoch, errBatch, 0)
	w.giveUp(epoch, stage.ErrGoexit)
	if got := endsText(w.ends); got != "3 4 failed(2): handler called runtime.Goexit,1 2 failed(2): handler called runtime.Goexit" || w.failed != 4 {
		t.Error(got)
	}
	if w.wipe(); w.failed != 0 || len(w.ends) != 0 {
		t.Errorf("%+v", w)
	}
}
