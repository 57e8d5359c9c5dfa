package main

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/penstock-go/penstock/bench/internal/report"
)

var watermillRouter = contestant{
	name: "watermill router", kind: report.Peer, module: "github.com/ThreeDotsLabs/watermill",
	comment: "Retry, PoisonQueue and Throttle on its gochannel, which hands a subscriber one message at a time",
	runs: map[string]runner{
		"P1": func(n int) (time.Duration, []sum, error) { return route(n, 0) },
		"P2": func(n int) (time.Duration, []sum, error) { return route(n, slowRate) },
		"P3": func(n int) (time.Duration, []sum, error) { return route(n, fastRate) },
	},
}

// route sends n events through a router: P1 without a rate, otherwise P2 or P3.
func route(n int, rate int64) (time.Duration, []sum, error) {
	pubsub := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 1000, BlockPublishUntilSubscriberAck: true}, watermill.NopLogger{})
	defer pubsub.Close()
	r, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return 0, nil, err
	}
	defer r.Close()
	sums := make([]sum, 1)
	work := func(v int) (int, error) { return v + 1, nil }
	var left atomic.Int64
	left.Store(int64(n))
	done := make(chan struct{})
	end := func() {
		if left.Add(-1) == 0 {
			close(done)
		}
	}
	if rate > 0 {
		r.AddMiddleware(middleware.NewThrottle(rate, time.Second).Middleware)
	} else {
		sums, work = make([]sum, 2), task(n)
		poison, err := middleware.PoisonQueue(pubsub, "poison")
		if err != nil {
			return 0, nil, err
		}
		r.AddMiddleware(poison, middleware.Retry{
			MaxRetries: attempts - 1, InitialInterval: time.Nanosecond, MaxInterval: time.Nanosecond, Multiplier: 1,
		}.Middleware)
		r.AddConsumerHandler("dead", "poison", pubsub, func(m *message.Message) error {
			sums[1].add(int(binary.LittleEndian.Uint64(m.Payload)))
			end()
			return nil
		})
	}
	r.AddConsumerHandler("step", "in", pubsub, func(m *message.Message) error {
		v, err := work(int(binary.LittleEndian.Uint64(m.Payload)))
		if err != nil {
			return err
		}
		sums[0].add(v)
		end()
		return nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	failed := make(chan error, 1)
	go func() { failed <- r.Run(ctx) }()
	select {
	case <-r.Running():
	case err := <-failed:
		return 0, nil, err
	}
	begin := time.Now()
	for v := range n {
		if err := publish(pubsub, "in", v); err != nil {
			return 0, nil, err
		}
	}
	<-done
	return time.Since(begin), sums, nil
}
