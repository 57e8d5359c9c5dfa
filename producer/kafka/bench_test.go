package kafka

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/stage"
)

// BenchmarkSource takes records of 100 bytes through a stage to a consumer that
// counts them. The broker runs in the same process and replies to every fetch with
// the same batch, so that its share of the work is small.
func BenchmarkSource(b *testing.B) {
	broker, err := embeddedkafka.Start(embeddedkafka.Config{
		Topics:  map[string]int32{topic: 4},
		Options: []kfake.Opt{kfake.SyntheticFetch(kfake.SyntheticBatch{Records: 1000, RecordBytes: 100})},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer broker.Close()
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	p := stage.Must(NewProducer(Config[int64]{
		Brokers: broker.Addrs(), Topics: []string{topic}, Group: "g",
		Decode: func(r *kgo.Record) (int64, error) { return r.Offset, nil },
	}))
	source := stage.Must(stage.NewProducer(p, stage.ProducerConfig[int64]{BufferSize: stage.Unlimited}))
	sink := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int64](func(_ context.Context, events []int64) error {
		if n == 0 {
			b.ResetTimer()
		}
		if n += len(events); n >= b.N {
			b.StopTimer()
			cancel()
		}
		return nil
	}), stage.ConsumerConfig{}))
	if _, err := sink.Subscribe(source, stage.SubscribeConfig{MaxDemand: 4000}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	if err := stage.Run(ctx, source, sink); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkClient is the same without us: the client alone, polled for as many
// records at a time.
func BenchmarkClient(b *testing.B) {
	broker, err := embeddedkafka.Start(embeddedkafka.Config{
		Topics:  map[string]int32{topic: 4},
		Options: []kfake.Opt{kfake.SyntheticFetch(kfake.SyntheticBatch{Records: 1000, RecordBytes: 100})},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer broker.Close()
	cfg := Config[int64]{Brokers: broker.Addrs(), Topics: []string{topic}, Group: "g"}.withDefaults()
	client, err := kgo.NewClient(cfg.options(nil)...)
	if err != nil {
		b.Fatal(err)
	}
	defer client.CloseAllowingRebalance()
	b.ReportAllocs()
	n := 0
	for n < b.N {
		fetches := client.PollFetches(context.Background())
		client.AllowRebalance()
		if n == 0 {
			b.ResetTimer()
		}
		n += fetches.NumRecords()
	}
	b.StopTimer()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
}
