package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// Every failure is in some line of the log, also those of the last second of a stage.
func TestTheLogHasEveryFailure(t *testing.T) {
	const events = 500
	errDown := errors.New("down")
	retry := retry.Policy{MaxAttempts: 2, Backoff: retry.NoPause}
	for _, name := range []string{"batch", "for each", "supervisor"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lines bytes.Buffer
				fail := func(context.Context, int) error { return errDown }
				failAll := func(context.Context, []int) error { return errDown }
				c := map[string]stage.Consumer[int]{
					"batch":      stage.Must(consumer.NewBatch(failAll, batchConfig{Size: 1, Retry: retry, Logger: textLog(&lines)})),
					"for each":   stage.Must(consumer.NewForEach(fail, consumer.ForEachConfig[int]{Retry: retry, Logger: textLog(&lines)})),
					"supervisor": stage.Must(consumer.NewSupervisor(fail, consumer.SupervisorConfig[int]{Retry: retry, Logger: textLog(&lines)})),
				}[name]
				if err := run(t, &counter{limit: events}, c, stage.SubscribeConfig{}); err != nil {
					t.Fatal(err)
				}
				logged := map[string]int{}
				for _, m := range regexp.MustCompile(`again=(\w+) failures=(\d+)`).FindAllStringSubmatch(lines.String(), -1) {
					n, _ := strconv.Atoi(m[2])
					logged[m[1]] += n
				}
				if logged["true"] != events || logged["false"] != events {
					t.Errorf("%v failures in the log, want %d of each:\n%s", logged, events, &lines)
				}
			})
		})
	}
}

// A wrapper may fail before it calls HandleStart of the consumer in it, whose
// HandleTerminate is called all the same.
func TestTheEndWithoutAStart(t *testing.T) {
	nothing := func(context.Context, int) error { return nil }
	for name, c := range map[string]stage.Consumer[int]{
		"batch":      stage.Must(consumer.NewBatch(func(context.Context, []int) error { return nil }, batchConfig{})),
		"for each":   stage.Must(consumer.ForEach(nothing)),
		"supervisor": stage.Must(consumer.NewSupervisor(nothing, consumer.SupervisorConfig[int]{})),
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.(stage.TerminateHandler).HandleTerminate(t.Context(), errors.New("no license")); err != nil {
				t.Error(err)
			}
		})
	}
}
