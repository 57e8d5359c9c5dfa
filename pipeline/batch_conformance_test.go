package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
)

// described runs EachBatch over numbers and returns its batches with their triggers.
func described(t *testing.T, events []int, cfg batchConfig) (got []string) {
	t.Helper()
	source := newFeed(events...)
	source.drained = true
	err := write(t, source, func(ctx context.Context, events []int) error {
		info, _ := pipeline.BatchInfoOf(ctx)
		got = append(got, fmt.Sprint(events, " ", info.Trigger))
		return nil
	}, cfg)
	if err != nil {
		t.Error(err)
	}
	return got
}

// The inputs of Broadway's tests of batchers.
func TestBatchConformance(t *testing.T) {
	sixteen := func(events []int) bool {
		sum := 0
		for _, v := range events {
			sum += v
		}
		return sum >= 16
	}
	for name, tc := range map[string]struct {
		events []int
		cfg    batchConfig
		want   []string
	}{
		"B17 splitter": {[]int{40, 1, 13, 3}, batchConfig{Cut: sixteen}, []string{"[40] cut", "[1 13 3] cut"}},
		"B18 keys": {
			[]int{16, 17, 18, 19, 20, 21, 22, 23}, batchConfig{Size: 2, Key: modulo(2)},
			[]string{"[16 18] size", "[17 19] size", "[20 22] size", "[21 23] size"},
		},
		"B19 bulk": {[]int{1, 2, 3, 4, 5}, batchConfig{Size: 2, Timeout: 20 * time.Millisecond}, []string{"[1 2] size", "[3 4] size", "[5] flush"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := described(t, tc.events, tc.cfg)
				slices.Sort(got) // between keys there is no order
				slices.Sort(tc.want)
				if !slices.Equal(got, tc.want) {
					t.Errorf("%q, want %q", got, tc.want)
				}
			})
		})
	}
}
