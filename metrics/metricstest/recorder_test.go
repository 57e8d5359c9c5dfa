package metricstest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/metricstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTagsInAnyOrderAreOneSeries(t *testing.T) {
	r := metricstest.New()
	a, b := metrics.Tag{Key: "a", Value: "1"}, metrics.Tag{Key: "b", Value: "2"}
	r.Counter("hits", a, b).Add(1)
	r.Counter("hits", b, a).Add(2)
	r.Counter("hits").Add(4)
	r.Counter("hitsmore").Add(8)
	if got := r.Count("hits", b, a); got != 3 {
		t.Errorf("count is %d, want 3", got)
	}
	if got := r.Total("hits"); got != 7 {
		t.Errorf("total is %d, want 7", got)
	}
}

func TestGaugeKeepsTheLatest(t *testing.T) {
	r := metricstest.New()
	if _, ok := r.Value("depth"); ok {
		t.Error("a gauge that was never set has a value")
	}
	r.Gauge("depth").Set(3)
	r.Gauge("depth").Set(2)
	if v, ok := r.Value("depth"); v != 2 || !ok {
		t.Errorf("value is %v, %v, want 2, true", v, ok)
	}
}

func TestWait(t *testing.T) {
	r := metricstest.New()
	go r.Counter("hits").Add(2)
	if err := r.Wait(t.Context(), func() bool { return r.Count("hits") == 2 }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Wait(ctx, func() bool { return false }); err != context.Canceled {
		t.Errorf("Wait returned %v, want context.Canceled", err)
	}
}

func TestNegativeCounterPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	metricstest.New().Counter("hits").Add(-1)
}

func ExampleNew() {
	r := metricstest.New()
	r.Counter("channel_join", metrics.Tag{Key: "status", Value: "success"}).Add(1)
	r.Timer("pipeline.push_delivered").Observe(time.Millisecond)
	r.Timer("pipeline.push_delivered").Observe(-time.Millisecond)
	fmt.Print(r)
	// Output:
	// counter channel_join|status:success = 1
	// timer pipeline.push_delivered = [1ms 0s]
}
