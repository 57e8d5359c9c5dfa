package kafka_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/producer/kafka"
	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
)

// Orders are priced exactly once: what is written and the offsets that are committed are
// one transaction.
func ExampleNewTransactor() {
	broker, err := embeddedkafka.Start(embeddedkafka.Config{Topics: map[string]int32{"orders": 1, "priced": 1}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer broker.Close()
	writer, err := kafka.NewWriter(kafka.WriterConfig{Brokers: broker.Addrs(), Topic: "orders"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := writer.Write(context.Background(), &kgo.Record{Value: []byte("tea")}, &kgo.Record{Value: []byte("cake")}); err != nil {
		fmt.Println(err)
	}
	if err := writer.Close(context.Background()); err != nil {
		fmt.Println(err)
	}

	pricing, err := kafka.NewTransactor(kafka.TransactorConfig{
		Brokers: broker.Addrs(),
		Topics:  []string{"orders"},
		Group:   "pricing",
		ID:      "pricing-0", // the first of the processes that share the group
		Topic:   "priced",
		Transform: func(_ context.Context, batch []*kgo.Record) (priced []*kgo.Record, _ error) {
			for _, order := range batch {
				priced = append(priced, &kgo.Record{Key: order.Key, Value: append(bytes.Clone(order.Value), ": 3 euros"...)})
			}
			return priced, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- pricing.Run(ctx) }()

	reader, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.ConsumeTopics("priced"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer reader.Close()
	for n := 0; n < 2; {
		for _, r := range reader.PollFetches(context.Background()).Records() {
			fmt.Println(string(r.Value))
			n++
		}
	}
	cancel() // Run finishes the batch under way
	fmt.Println("ended:", <-ended)
	// Output:
	// tea: 3 euros
	// cake: 3 euros
	// ended: <nil>
}
