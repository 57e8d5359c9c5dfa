package producer_test

import (
	"testing"

	"github.com/penstock-go/penstock/internal/sourcetest"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// TestSource runs those of the cases of all sources that a queue in memory can do: it is full
// before its pipeline begins, and acknowledges nothing.
func TestSource(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Backend {
		q := stage.Must(producer.NewQueue(producer.QueueConfig[sourcetest.Event]{Capacity: 10_000}))
		pushed := 0
		return sourcetest.Backend{
			Ordered: true, Memory: true,
			Append: func(t testing.TB, events []sourcetest.Event, _ ...string) {
				pushed += len(events)
				for _, e := range events {
					if err := q.Push(t.Context(), e); err != nil {
						t.Fatal(err)
					}
				}
			},
			Source: func(testing.TB, sourcetest.Options) stage.Producer[sourcetest.Event] { return q },
			Left:   func(testing.TB) int { return q.Snapshot().Waiting },
			Taken:  func(stage.Producer[sourcetest.Event]) int { return pushed - q.Snapshot().Waiting },
		}
	})
}
