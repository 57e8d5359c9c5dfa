package kafka

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/sourcetest"
	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/stage"
)

// TestSource runs the cases of all sources on the embedded broker. Those that kill processes
// and brokers are in the tests with Apache Kafka.
func TestSource(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Backend {
		broker, err := embeddedkafka.Start(embeddedkafka.Config{Topics: map[string]int32{"events": 3}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(broker.Close)
		return sourcetest.Backend{
			Ordered: true,
			Append: func(t testing.TB, events []sourcetest.Event, more ...string) {
				t.Helper()
				w, err := NewWriter(WriterConfig{Brokers: broker.Addrs(), Topic: "events"})
				if err != nil {
					t.Fatal(err)
				}
				var records []*kgo.Record
				for _, e := range events {
					records = append(records, &kgo.Record{Key: []byte(e.Key), Value: []byte(e.Text())})
				}
				for _, text := range more {
					records = append(records, &kgo.Record{Key: []byte(text), Value: []byte(text)})
				}
				if err := w.Write(t.Context(), records...); err != nil {
					t.Fatal(err)
				}
				if err := w.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
			},
			Source: func(t testing.TB, o sourcetest.Options) stage.Producer[sourcetest.Event] {
				return stage.Must(NewProducer(Config[sourcetest.Event]{
					Brokers: broker.Addrs(), Topics: []string{"events"}, Group: "group", Window: o.Window, DeadLetters: o.DeadLetters,
					CommitInterval: 50 * time.Millisecond,
					Decode:         func(r *kgo.Record) (sourcetest.Event, error) { return sourcetest.Parse(string(r.Value)) },
				}))
			},
			Left: func(testing.TB) (n int) {
				for i := range int32(3) {
					n += int(broker.Cluster.PartitionInfo("events", i).HighWatermark)
				}
				if group := broker.Cluster.GroupInfo("group"); group != nil {
					for _, c := range group.Commits["events"] {
						n -= int(c.Offset)
					}
				}
				return n
			},
			Taken: func(source stage.Producer[sourcetest.Event]) int {
				return int(source.(*Producer[sourcetest.Event]).Snapshot().Records)
			},
		}
	})
}
