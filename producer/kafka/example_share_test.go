package kafka_test

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/producer/kafka"
	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/stage"
)

// A member of a share group accepts jobs one by one. The group begins behind the newest
// record, so that the job is written when the member is there.
func ExampleNewShare() {
	broker, err := embeddedkafka.Start(embeddedkafka.Config{Topics: map[string]int32{"jobs": 1}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer broker.Close()
	writer, err := kafka.NewWriter(kafka.WriterConfig{Brokers: broker.Addrs(), Topic: "jobs"})
	if err != nil {
		fmt.Println(err)
		return
	}
	jobs := stage.Must(kafka.NewShare(kafka.ShareConfig[string]{
		Brokers: broker.Addrs(),
		Topics:  []string{"jobs"},
		Group:   "workers",
		Decode:  func(r *kgo.Record) (string, error) { return string(r.Value), nil },
	}))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	source := stage.Must(stage.NewProducer(jobs, stage.ProducerConfig[string]{}))
	worker := stage.Must(stage.NewConsumer(stage.ConsumerFunc[string](func(_ context.Context, events []string) error {
		cancel() // drains
		return nil
	}), stage.ConsumerConfig{}))
	if _, err := worker.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		fmt.Println(err)
		return
	}
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		for ctx.Err() == nil {
			if err := writer.Write(context.Background(), &kgo.Record{Value: []byte("resize")}); err != nil {
				fmt.Println(err)
			}
		}
	}()
	fmt.Println("ended:", stage.Run(ctx, source, worker))
	<-writing
	fmt.Println("closed:", writer.Close(context.Background()))
	s := jobs.Snapshot()
	fmt.Println("accepted:", s.Accepted > 0, "unfinished:", s.Unfinished)
	// Output:
	// ended: <nil>
	// closed: <nil>
	// accepted: true unfinished: 0
}
