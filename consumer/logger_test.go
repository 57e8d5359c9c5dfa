package consumer_test

import (
	"context"
	"errors"
	stdlog "log"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// defaultLog replaces the output of slog.Default during the test.
func defaultLog(t *testing.T) (text func() string) {
	t.Helper()
	var out syncedBuilder
	old, flags := stdlog.Writer(), stdlog.Flags()
	stdlog.SetOutput(&out)
	t.Cleanup(func() { stdlog.SetOutput(old); stdlog.SetFlags(flags) })
	return out.text
}

// syncedBuilder gathers what several goroutines write.
type syncedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncedBuilder) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncedBuilder) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestFailuresAreLoggedByDefault: without a Logger an event that has failed for good is
// not lost in silence. It is not parallel, since it replaces the default logger's output.
func TestFailuresAreLoggedByDefault(t *testing.T) {
	fails := errors.New("the third fails")
	one := func(_ context.Context, v int) error {
		if v == 3 {
			return fails
		}
		return nil
	}
	all := func(context.Context, []int) error { return fails }
	once := retry.Policy{MaxAttempts: 1}
	for name, handler := range map[string]stage.Consumer[int]{
		"forEach":    stage.Must(consumer.NewForEach(one, consumer.ForEachConfig[int]{Retry: once})),
		"Batch":      stage.Must(consumer.NewBatch(all, consumer.BatchConfig[int]{Retry: once})),
		"Supervisor": stage.Must(consumer.NewSupervisor(one, consumer.SupervisorConfig[int]{Retry: once})),
	} {
		t.Run(name, func(t *testing.T) {
			text := defaultLog(t)
			numbers := func(yield func(int) bool) { _ = yield(1) && yield(2) && yield(3) }
			source := stage.Must(stage.NewProducer(stage.Must(producer.NewSeq(numbers, producer.SeqConfig[int]{})), stage.ProducerConfig[int]{}))
			sink := stage.Must(stage.NewConsumer(handler, stage.ConsumerConfig{}))
			stage.Must(sink.Subscribe(source, stage.SubscribeConfig{}))
			if err := stage.Run(t.Context(), source, sink); err != nil {
				t.Fatal(err)
			}
			if got := text(); !strings.Contains(got, "failed stage="+name+"-") || !strings.Contains(got, fails.Error()) {
				t.Errorf("the log has %q", got)
			}
		})
	}
}
