package redis_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/penstock-go/penstock/internal/sourcetest"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/redis"
)

// BenchmarkDeliver delivers to subscribers of another node of the same process, 1,000 at
// a time, and waits for the reports.
func BenchmarkDeliver(b *testing.B) {
	c := newCluster(b)
	near, _, _ := runHub(b, c.config("a"))
	far, _, _ := runHub(b, c.config("b"))
	topics := make([]string, 1000)
	for i := range topics {
		topics[i] = fmt.Sprint("user:", i)
		if _, err := far.Subscribe(topics[i], taker(nil)); err != nil {
			b.Fatal(err)
		}
	}
	far.Settle(b.Context(), topics[len(topics)-1])
	payload, err := pubsub.Encode(map[string]string{"text": fmt.Sprintf("%0200d", 1)})
	if err != nil {
		b.Fatal(err)
	}
	var group sync.WaitGroup
	done := func(r pubsub.Report) {
		if r.Err != nil {
			b.Errorf("report: %v", r.Err)
		}
		group.Done()
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		group.Add(1)
		if err := near.Deliver(context.Background(), topics[n%len(topics)], "push", payload, done); err != nil {
			b.Fatal(err)
		}
		if n++; n%len(topics) == 0 {
			group.Wait()
		}
	}
	group.Wait()
}

// BenchmarkJoin measures what a topic that a node wants costs, without the server's part.
func BenchmarkJoin(b *testing.B) {
	_, r, _ := runHub(b, redis.Config{Node: "a", Prefix: newPrefix(), Options: at(sourcetest.Server(b, "redis"))})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	begin := time.Now()
	for b.Loop() {
		r.Join(fmt.Sprint("user:", n))
		n++
	}
	if err := r.Sync(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(n)/time.Since(begin).Seconds(), "topics/s")
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/topic")
}
