package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/penstock-go/penstock/bench/internal/report"
)

var watermillChannel = contestant{
	name: "watermill gochannel", kind: report.Peer, module: "github.com/ThreeDotsLabs/watermill",
	comment: "Publish blocks until the message is acknowledged, without which it has neither order nor back-pressure",
	runs: map[string]runner{
		"W1": func(n int) (time.Duration, []sum, error) { return publishChain(n, 0) },
		"W2": func(n int) (time.Duration, []sum, error) { return publishChain(n, hops) },
		"W3": func(n int) (time.Duration, []sum, error) {
			return publishAll(n, parts, topic, func(v int) string { return topic(partOf(v)) })
		},
		"W5": func(n int) (time.Duration, []sum, error) {
			return publishAll(n, copies, func(int) string { return topic(0) }, func(int) string { return topic(0) })
		},
	},
}

func topic(i int) string { return fmt.Sprintf("topic-%d", i) }

func newPubSub() *gochannel.GoChannel {
	return gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 1000, BlockPublishUntilSubscriberAck: true}, watermill.NopLogger{})
}

func publish(p *gochannel.GoChannel, topic string, v int) error {
	return p.Publish(topic, message.NewMessage("", binary.LittleEndian.AppendUint64(nil, uint64(v))))
}

// receive calls f for each integer until the message without content.
func receive(messages <-chan *message.Message, f func(int) error) error {
	for m := range messages {
		m.Ack()
		if len(m.Payload) == 0 {
			return nil
		}
		if err := f(int(binary.LittleEndian.Uint64(m.Payload))); err != nil {
			return err
		}
	}
	return nil
}

func publishChain(n, between int) (time.Duration, []sum, error) {
	p := newPubSub()
	defer p.Close()
	sums, errs := make([]sum, 1), make([]error, between+1)
	var wg sync.WaitGroup
	for i := range between + 1 {
		messages, err := p.Subscribe(context.Background(), topic(i))
		if err != nil {
			return 0, nil, err
		}
		wg.Go(func() {
			if i == between {
				errs[i] = receive(messages, func(v int) error { sums[0].add(v); return nil })
				return
			}
			if errs[i] = receive(messages, func(v int) error { return publish(p, topic(i+1), v+1) }); errs[i] == nil {
				errs[i] = p.Publish(topic(i+1), message.NewMessage("", nil))
			}
		})
	}
	begin := time.Now()
	for v := range n {
		if err := publish(p, topic(0), v); err != nil {
			return 0, nil, err
		}
	}
	if err := p.Publish(topic(0), message.NewMessage("", nil)); err != nil {
		return 0, nil, err
	}
	wg.Wait()
	return time.Since(begin), sums, firstError(errs)
}

func publishAll(n, takers int, own func(int) string, to func(int) string) (time.Duration, []sum, error) {
	p := newPubSub()
	defer p.Close()
	sums, errs := make([]sum, takers), make([]error, takers)
	topics := make(map[string]bool)
	var wg sync.WaitGroup
	for i := range sums {
		topics[own(i)] = true
		messages, err := p.Subscribe(context.Background(), own(i))
		if err != nil {
			return 0, nil, err
		}
		wg.Go(func() { errs[i] = receive(messages, func(v int) error { sums[i].add(v); return nil }) })
	}
	begin := time.Now()
	for v := range n {
		if err := publish(p, to(v), v); err != nil {
			return 0, nil, err
		}
	}
	for t := range topics {
		if err := p.Publish(t, message.NewMessage("", nil)); err != nil {
			return 0, nil, err
		}
	}
	wg.Wait()
	return time.Since(begin), sums, firstError(errs)
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
