package kafka

import (
	"crypto/rand"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
)

func TestWriterGoesOnWithATopicMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(2))
		writer, err := NewWriter(WriterConfig{Brokers: w.broker.Addrs(), Topic: topic, Options: w.broker.Options()})
		if err != nil {
			t.Fatal(err)
		}
		if err := writer.Write(t.Context(), &kgo.Record{Value: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		w.remake(0)
		if err := writer.Write(t.Context(), &kgo.Record{Value: []byte("y")}); err != nil {
			t.Errorf("Write returns %v", err)
		}
		w.remake(0)
		begun := time.Now()
		for {
			done := make(chan error, 1)
			writer.TryWrite(&kgo.Record{Value: []byte("z")}, func(err error) { done <- err })
			if err := <-done; err == nil {
				break
			}
			if time.Since(begun) > time.Minute {
				t.Fatal("TryWrite does not go on")
			}
			<-time.After(100 * time.Millisecond)
		}
		if err := writer.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A letter of a large record is kept whole if the topic allows it, and without the record
// otherwise.
func TestLettersOfLargeRecords(t *testing.T) {
	b, err := embeddedkafka.Start(embeddedkafka.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for name, limit := range map[string]string{"large": "4194304", "small": "1048588"} {
		if err := b.Cluster.CreateTopic(name, 1, map[string]string{"max.message.bytes": limit}); err != nil {
			t.Fatal(err)
		}
		writeLarge(t, b.Addrs(), name, name == "large")
	}
}

// writeLarge writes a letter of 2 MiB, and a small one, to a topic that has room for it or
// not.
func writeLarge(t *testing.T, addrs []string, topic string, room bool) {
	sink, err := NewDeadLetters(WriterConfig{Brokers: addrs, Topic: topic})
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	letters := []deadletter.Letter{{Source: "pushes/0@7", Error: "too large"}, {Source: "pushes/0@8", Error: "too large"}}
	body := make([]byte, 2<<20) // that is not compressed to less
	_, _ = rand.Read(body)
	letters[0].SetBytes(body)
	letters[1].SetBytes([]byte("small"))
	if err := sink.Write(t.Context(), letters); err != nil {
		t.Error(err)
	}
	whole, without := false, false
	for n := 0; n < 2; {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			n++
			l := LetterOf(r)
			whole = whole || len(r.Value) == 2<<20
			without = without || l.Source == "pushes/0@7" && strings.Contains(l.EncodeError, "2097152 bytes")
		}
	}
	if whole != room || without == room {
		t.Errorf("whole %t, without %t", whole, without)
	}
	if err := sink.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
