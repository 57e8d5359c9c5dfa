package delivery_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
	"github.com/penstock-go/penstock/stage"
)

// BenchmarkPush pushes to 64 users, each with one client over a pipe in memory:
// through the pipeline (a queue, the fair dispatcher, receipts), with Deliver
// alone, and as a broadcast without a report. The payload is encoded beforehand.
func BenchmarkPush(b *testing.B) {
	const users = 64
	encoded, err := pubsub.Encode(map[string]string{"text": "a push of a couple of dozen bytes"})
	if err != nil {
		b.Fatal(err)
	}
	var pushes [users]push
	var topics [users]string
	for i := range users {
		pushes[i] = push{User: fmt.Sprint(i)}
		topics[i] = topicOf(pushes[i])
	}
	open := func(b *testing.B) (*websocket.Endpoint, *atomic.Int64) {
		endpoint, err := websocket.NewEndpoint(websocket.EndpointConfig{})
		if err != nil {
			b.Fatal(err)
		}
		socket := websocket.NewSocket(websocket.SocketConfig[struct{}]{
			Connect: func(context.Context, *websocket.ConnectRequest) (struct{}, error) { return struct{}{}, nil },
		})
		socket.Channel("user:*", func(struct{}, string) websocket.Handler {
			return websocket.HandlerFunc(func(context.Context, *websocket.Channel, websocket.Payload) (any, error) { return nil, nil })
		})
		if err := endpoint.Mount("/socket", socket, websocket.MountConfig{}); err != nil {
			b.Fatal(err)
		}
		read := new(atomic.Int64)
		for i := range users {
			c := channeltest.Connect(b, endpoint, "/socket/websocket")
			c.Join(topics[i], nil)
			c.Discard(read)
		}
		return endpoint, read
	}
	await := func(n *atomic.Int64, want int) {
		for n.Load() < int64(want) {
			runtime.Gosched()
		}
	}
	b.Run("pipeline", func(b *testing.B) {
		endpoint, read := open(b)
		var topic any = encoded
		sockets, err := delivery.New(endpoint, delivery.Config[push]{
			Topic: func(p push) string { return p.User }, Event: "push",
			Payload:  func(push) (any, error) { return topic, nil },
			Enqueued: func(p push) time.Time { return p.At },
		})
		if err != nil {
			b.Fatal(err)
		}
		queue := stage.Must(producer.NewQueue(producer.QueueConfig[push]{}))
		source := stage.Must(stage.NewProducer(queue, stage.ProducerConfig[push]{Dispatcher: stage.Must(fair.New(func(p push) string { return p.User }, fair.Config[push]{}))}))
		sink := stage.Must(stage.NewConsumer(sockets, stage.ConsumerConfig{}))
		if _, err := sink.Subscribe(source, stage.SubscribeConfig{}); err != nil {
			b.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- stage.Run(ctx, source, sink) }()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%1024 == 1023 {
				await(read, i-4096) // within what the dispatcher holds
			}
			if err := queue.Push(ctx, push{User: topics[i%users]}); err != nil {
				b.Fatal(err)
			}
		}
		await(read, b.N)
		b.StopTimer()
		stop()
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
	})
	b.Run("deliver", func(b *testing.B) {
		endpoint, read := open(b)
		var reported atomic.Int64
		done := func(websocket.Report) { reported.Add(1) }
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%1024 == 1023 {
				await(&reported, i)
			}
			if err := endpoint.Deliver(b.Context(), topics[i%users], "push", encoded, done); err != nil {
				b.Fatal(err)
			}
		}
		await(read, b.N)
	})
	b.Run("broadcast", func(b *testing.B) {
		endpoint, read := open(b)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%1024 == 1023 {
				await(read, i)
			}
			if _, err := endpoint.Broadcast(b.Context(), topics[i%users], "push", encoded); err != nil {
				b.Fatal(err)
			}
		}
		await(read, b.N)
	})
}
