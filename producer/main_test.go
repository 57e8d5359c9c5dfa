package producer_test

import (
	"context"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/penstock-go/penstock/stage"
)

func TestMain(m *testing.M) {
	stage.PoisonBatches(true)
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			println(err.Error())
			code = 1
		}
	}
	os.Exit(code)
}

// collector is a consumer that keeps what it gets and can be waited for.
type collector[T any] struct {
	mu    sync.Mutex
	cond  sync.Cond
	got   []T
	sizes []int
	over  error
	ended bool
}

func newCollector[T any]() *collector[T] {
	c := new(collector[T])
	c.cond.L = &c.mu
	return c
}

func (c *collector[T]) HandleEvents(_ context.Context, events []T) error {
	c.mu.Lock()
	c.got = append(c.got, events...)
	c.sizes = append(c.sizes, len(events))
	c.mu.Unlock()
	c.cond.Broadcast()
	return nil
}

func (c *collector[T]) HandleCancel(_ context.Context, _ stage.SubscriptionInfo, reason error) error {
	c.mu.Lock()
	c.over, c.ended = reason, true
	c.mu.Unlock()
	c.cond.Broadcast()
	return nil
}

// await returns the events once there are n of them.
func (c *collector[T]) await(n int) []T {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.got) < n && !c.ended {
		c.cond.Wait()
	}
	return append([]T(nil), c.got...)
}

// end returns the reason once the subscription has ended.
func (c *collector[T]) end() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.ended {
		c.cond.Wait()
	}
	return c.over
}

// pipe is a source and a collector that are started and ended by hand.
type pipe[T any] struct {
	*collector[T]
	src  *stage.ProducerStage[T]
	sink *stage.ConsumerStage[T]
	sub  *stage.Subscription[T]
}

func startPipe[T any](t *testing.T, p stage.Producer[T], cfg stage.SubscribeConfig) *pipe[T] {
	t.Helper()
	x := &pipe[T]{collector: newCollector[T](), src: stage.Must(stage.NewProducer(p, stage.ProducerConfig[T]{Name: "source"}))}
	cfg.Cancel = stage.Temporary
	x.sink = stage.Must(stage.NewConsumer(x.collector, stage.ConsumerConfig{Name: "sink"}))
	sub, err := x.sink.Subscribe(x.src, cfg)
	if err != nil {
		t.Fatal(err)
	}
	x.sub = sub
	for _, s := range []stage.Stage{x.src, x.sink} {
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(x.stop)
	return x
}

func (x *pipe[T]) stop() {
	x.sink.Stop(nil)
	x.src.Stop(nil)
	<-x.sink.Stopped()
	<-x.src.Stopped()
}

func ints(from, to int) []int {
	var s []int
	for i := from; i < to; i++ {
		s = append(s, i)
	}
	return s
}
