package kafka

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/kafkatest"
)

// brokerClock measures time without that for which the broker, or the machine, has stood still:
// how long something takes is judged by it where other tests and programs run at the same time.
// It writes a record again and again, with a client and a topic of its own, and stands while a
// write takes longer than usual.
type brokerClock struct {
	begun time.Time

	mu    sync.Mutex
	wrote time.Time     // the last write
	still time.Duration // how long the clock has stood until then
}

const (
	betweenWrites = 20 * time.Millisecond
	usualWrite    = 100 * time.Millisecond // with the pause before it
)

// clock returns a clock of the world, from 0 on. It is the bubble's in a world that is not real.
func (w *world) clock() (now func() time.Duration) {
	w.t.Helper()
	if w.real == nil {
		begun := time.Now()
		return func() time.Duration { return time.Since(begun) }
	}
	return newBrokerClock(w.t, w.real).now
}

func newBrokerClock(t testing.TB, cluster *kafkatest.Cluster) *brokerClock {
	t.Helper()
	client := cluster.Client(kgo.DefaultProduceTopic(cluster.Topic(1)), kgo.ProducerLinger(0))
	begun := time.Now()
	c := &brokerClock{begun: begun, wrote: begun}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if client.ProduceSync(ctx, &kgo.Record{}).FirstErr() == nil {
				c.written()
			}
			select {
			case <-ctx.Done():
			case <-time.After(betweenWrites):
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if c.still == 0 && c.wrote.Equal(c.begun) {
			t.Error("the clock of the broker has never gone")
		}
	})
	return c
}

func (c *brokerClock) written() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.still, c.wrote = c.stood(now), now
}

// stood returns for how long the clock has stood until now. mu is held.
func (c *brokerClock) stood(now time.Time) time.Duration {
	return c.still + max(0, now.Sub(c.wrote)-usualWrite)
}

// stands returns for how long the clock has stood in all.
func (c *brokerClock) stands() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stood(time.Now())
}

func (c *brokerClock) now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return now.Sub(c.begun) - c.stood(now)
}
