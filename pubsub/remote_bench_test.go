package pubsub_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

// BenchmarkDeliverBetweenNodes delivers to subscribers of another node, 1,000 at a
// time, and waits for the reports.
func BenchmarkDeliverBetweenNodes(b *testing.B) {
	net := pubsubtest.NewNetwork()
	near, _ := net.Hub(b, "a", pubsub.Config{})
	far, _ := net.Hub(b, "b", pubsub.Config{})
	topics := make([]string, 1000)
	for i := range topics {
		topics[i] = fmt.Sprint("user:", i)
		if _, err := far.Subscribe(topics[i], pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
			t := m.Tally()
			t.Take()
			t.Report(time.Now(), nil)
			return true
		})); err != nil {
			b.Fatal(err)
		}
		far.Settle(b.Context(), topics[i])
	}
	payload, err := pubsub.Encode(map[string]string{"text": fmt.Sprintf("%0200d", 1)})
	if err != nil {
		b.Fatal(err)
	}
	var group sync.WaitGroup
	deliver := func(topic string) (err error) {
		group.Add(1)
		return near.Deliver(context.Background(), topic, "push", payload, func(r pubsub.Report) {
			if r.Err != nil {
				b.Errorf("report: %v", r.Err)
			}
			group.Done()
		})
	}
	for range 100 { // until the nodes have connected
		if _, err := near.Broadcast(b.Context(), "none", "e", nil); err == nil {
			break
		}
		<-time.After(time.Millisecond)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if err := deliver(topics[n%len(topics)]); err != nil {
			b.Fatal(err)
		}
		if n++; n%len(topics) == 0 {
			group.Wait()
		}
	}
	group.Wait()
}
