package kafka_test

import (
	"context"
	"fmt"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/producer/kafka"
	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
)

// A sink for two rounds: a producer with a Delay of a minute reads the first topic, and one
// with a Delay of an hour the second one.
func ExampleNewRetries() {
	broker, err := embeddedkafka.Start(embeddedkafka.Config{Topics: map[string]int32{"pushes.retry-1m": 1, "pushes.retry-1h": 1, "pushes.dead": 1}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer broker.Close()
	sink, err := kafka.NewRetries(kafka.RetriesConfig{
		Brokers:   broker.Addrs(),
		Topics:    []string{"pushes.retry-1m", "pushes.retry-1h"},
		DeadTopic: "pushes.dead",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fresh := deadletter.Of("hello", nil)
	fresh.Error, fresh.Attempts = "no connection", 3
	tired := fresh // an event whose Trace says that it has been in both
	tired.Past = &deadletter.Past{Round: 2, Attempts: 6, Source: "pushes/3@1042"}
	err = sink.Write(context.Background(), []deadletter.Letter{fresh, tired})
	fmt.Println("durable:", err == nil)
	for _, topic := range []string{"pushes.retry-1m", "pushes.retry-1h", "pushes.dead"} {
		fmt.Println(topic, broker.Cluster.PartitionInfo(topic, 0).HighWatermark)
	}
	fmt.Println("closed:", sink.Close(context.Background()))
	// Output:
	// durable: true
	// pushes.retry-1m 1
	// pushes.retry-1h 0
	// pushes.dead 1
	// closed: <nil>
}
