package consumer_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

func TestForEach(t *testing.T) {
	var got log
	src := &tracked{counter{limit: 10}}
	err := run(t, src, stage.Must(consumer.ForEach(func(_ context.Context, v int) error {
		got.add(v)
		if v == 6 {
			return errOops
		}
		return nil
	})), stage.SubscribeConfig{MaxDemand: 4})
	if !errors.Is(err, errOops) || !slices.Equal(got.all(), ints(0, 7)) {
		t.Error(err, got.all())
	}
	for v, outcome := range src.outcomes(t) {
		if v >= 6 && outcome == receipt.Done {
			t.Error(v, outcome)
		}
	}
}
