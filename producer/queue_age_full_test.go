package producer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// TestOldestOfAFullQueue: pushes that are dropped do not make the first event younger.
func TestOldestOfAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{Capacity: 5, Overflow: producer.DropNewest}))
		defer q.Drain()
		for i := range 5 {
			if err := q.TryPush(i); err != nil {
				t.Fatal(err)
			}
		}
		q.Snapshot()
		for range 60 {
			time.Sleep(time.Minute)
			for i := range 100 {
				_ = q.TryPush(i)
			}
			q.Snapshot()
		}
		if age := q.Snapshot().Oldest; age != time.Hour {
			t.Errorf("the first event has waited %v, want an hour", age)
		}
	})
}
