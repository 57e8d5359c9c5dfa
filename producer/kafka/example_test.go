package kafka_test

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/producer/kafka"
	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/stage"
)

func ExampleNewProducer() {
	broker, err := embeddedkafka.Start(embeddedkafka.Config{Topics: map[string]int32{"pushes": 1}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer broker.Close()
	writer, err := kafka.NewWriter(kafka.WriterConfig{Brokers: broker.Addrs(), Topic: "pushes"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{"one", "two", "", "three"} {
		if err := writer.Write(context.Background(), &kgo.Record{Key: []byte("user"), Value: []byte(text)}); err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := writer.Close(context.Background()); err != nil {
		fmt.Println(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	pushes := stage.Must(kafka.NewProducer(kafka.Config[string]{
		Brokers: broker.Addrs(),
		Topics:  []string{"pushes"},
		Group:   "push-pipeline",
		Decode: func(r *kgo.Record) (string, error) {
			if len(r.Value) == 0 {
				return "", fmt.Errorf("empty push")
			}
			return string(r.Value), nil
		},
	}))
	source := stage.Must(stage.NewProducer(pushes, stage.ProducerConfig[string]{}))
	sink := stage.Must(stage.NewConsumer(stage.ConsumerFunc[string](func(_ context.Context, events []string) error {
		for _, text := range events {
			fmt.Println(text)
			if text == "three" {
				cancel() // drains
			}
		}
		return nil // the receipt: these records may be committed
	}), stage.ConsumerConfig{}))
	if _, err := sink.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		fmt.Println(err)
		return
	}
	if err := stage.Run(ctx, source, sink); err != nil {
		fmt.Println(err)
	}
	stats := pushes.Snapshot()
	fmt.Println("records:", stats.Records, "poison:", stats.Poison)
	fmt.Println("committed:", broker.Cluster.GroupInfo("push-pipeline").Commits["pushes"][0].Offset)
	// Output:
	// one
	// two
	// three
	// records: 4 poison: 1
	// committed: 4
}

func ExampleNewWriter() {
	broker, err := embeddedkafka.Start(embeddedkafka.Config{Topics: map[string]int32{"pushes": 1}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer broker.Close()
	writer, err := kafka.NewWriter(kafka.WriterConfig{Brokers: broker.Addrs(), Topic: "pushes"})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = writer.Write(context.Background(), &kgo.Record{Key: []byte("7"), Value: []byte("hello")})
	fmt.Println("durable:", err == nil, broker.Cluster.PartitionInfo("pushes", 0).HighWatermark)
	fmt.Println("closed:", writer.Close(context.Background()))
	// Output:
	// durable: true 1
	// closed: <nil>
}

func ExampleNewDeadLetters() {
	broker, err := embeddedkafka.Start(embeddedkafka.Config{Topics: map[string]int32{"dead": 1}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer broker.Close()
	sink, err := kafka.NewDeadLetters(kafka.WriterConfig{Brokers: broker.Addrs(), Topic: "dead"})
	if err != nil {
		fmt.Println(err)
		return
	}
	letter := deadletter.Of("hello", nil)
	letter.Stage, letter.Error, letter.Attempts = "rows", "no such table", 3
	err = sink.Write(context.Background(), []deadletter.Letter{letter})
	fmt.Println("durable:", err == nil, broker.Cluster.PartitionInfo("dead", 0).HighWatermark)
	fmt.Println("closed:", sink.Close(context.Background()))
	// Output:
	// durable: true 1
	// closed: <nil>
}
