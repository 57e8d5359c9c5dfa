package stage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// badError is an error of a program with a mistake.
type badError struct{ text *string }

func (e badError) Error() string { return *e.text }

// The receipt of an event that has failed has the text of its error, cut off where it is long,
// also from a stage further down.
func TestReceiptOfAFailureHasItsError(t *testing.T) {
	long := strings.Repeat("ä", 1000)
	first := map[int]error{1: errors.New("refused"), 2: errors.New(long), 3: errors.New("refused"), 4: errors.New("refused"), 5: badError{}}
	second := map[int]error{7: fmt.Errorf("down there: %w", errors.New("full")), 8: stage.Discard(receipt.Duplicate)}
	synctest.Test(t, func(t *testing.T) {
		src := &acking{source{counting: true, limit: 10}}
		up := stage.Must(stage.NewProducer(src, stage.ProducerConfig[int]{}))
		pass := func(fails map[int]error) stage.ProducerConsumerFunc[int, int] {
			return func(_ context.Context, list []int, emit *stage.Emitter[int]) error {
				for i, e := range list {
					if err := fails[e]; err != nil {
						emit.Fail(i, err)
						continue
					}
					emit.From(i)
					emit.Emit(e)
				}
				return nil
			}
		}
		a := stage.Must(stage.NewProducerConsumer(pass(first), stage.ProducerConfig[int]{}))
		b := stage.Must(stage.NewProducerConsumer(pass(second), stage.ProducerConfig[int]{}))
		end := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(context.Context, []int) error { return nil }), stage.ConsumerConfig{}))
		stage.Must(a.Subscribe(up, stage.SubscribeConfig{}))
		stage.Must(b.Subscribe(a, stage.SubscribeConfig{}))
		stage.Must(end.Subscribe(b, stage.SubscribeConfig{}))
		if err := stage.Run(t.Context(), up, a, b, end); err != nil {
			t.Fatal(err)
		}
		got := map[uint64]stage.Receipt{}
		for _, r := range src.receipts {
			for seq := range r.Seqs() {
				got[seq] = r
			}
		}
		for seq, want := range []string{"", "refused", long[:1024], "refused", "refused", "an error whose method Error panics", "", "down there: full", "", ""} {
			r := got[uint64(seq)]
			if r.Error != want || (want != "") != (r.Outcome == receipt.Failed) || (r.Reason != "") != (seq == 8) || r.Count == 0 {
				t.Errorf("%d: %+v", seq, r)
			}
		}
		if got[3].Count != 2 {
			t.Errorf("two that failed alike: %+v", got[3])
		}
	})
}
