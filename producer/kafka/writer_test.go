package kafka

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/stage"
)

func TestWriterAnswersWhenDurable(t *testing.T) {
	b, err := embeddedkafka.Start(embeddedkafka.Config{Topics: map[string]int32{topic: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	w, err := NewWriter(WriterConfig{Brokers: b.Addrs(), Topic: topic})
	if err != nil {
		t.Fatal(err)
	}
	// Retries must not repeat a record.
	b.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicasAfterAppend, Count: 1})
	for i := range 20 {
		if err := w.Write(t.Context(), &kgo.Record{Key: []byte("k"), Value: []byte{byte(i)}}); err != nil {
			t.Fatal(err)
		}
		if got := b.Cluster.PartitionInfo(topic, 0).HighWatermark; got != int64(i+1) {
			t.Fatalf("after write %d the partition has %d records", i+1, got)
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), &kgo.Record{}); err == nil {
		t.Error("a closed writer writes")
	}
}

func TestWriterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network kfake.VirtualNetwork
		w, err := NewWriter(WriterConfig{
			Brokers: []string{"127.0.0.1:9092"}, Topic: topic, Timeout: 5 * time.Second,
			Options: []kgo.Opt{kgo.Dialer(network.DialContext)},
		})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := w.Write(t.Context(), &kgo.Record{Value: []byte("x")}); err == nil {
			t.Error("a write to no broker returns no error")
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("the write took %v", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if err := w.Write(ctx, &kgo.Record{Value: []byte("x")}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Write returns %v", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("the write took %v", d)
		}
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestWriterConfigIsChecked(t *testing.T) {
	good := WriterConfig{Brokers: []string{"b:1"}, Topic: topic}
	for option, change := range map[string]func(*WriterConfig){
		"Brokers":     func(c *WriterConfig) { c.Brokers = nil },
		"Topic":       func(c *WriterConfig) { c.Topic = "" },
		"MaxBuffered": func(c *WriterConfig) { c.MaxBuffered = -1 },
		"Timeout":     func(c *WriterConfig) { c.Timeout = time.Millisecond },
		"Linger":      func(c *WriterConfig) { c.Linger = time.Minute },
	} {
		cfg := good
		change(&cfg)
		_, err := NewWriter(cfg)
		if got, ok := errors.AsType[*stage.OptionError](err); !ok || got.Option != option {
			t.Errorf("a bad %s gives %v", option, err)
		}
	}
	good.Linger = NoLinger
	w, err := NewWriter(good)
	if err != nil {
		t.Fatal(err)
	}
	w.client.Close()
	good.Options = []kgo.Opt{kgo.MaxBufferedRecords(-5)}
	if _, err := NewWriter(good); err == nil {
		t.Error("a bad client option is accepted")
	}
}

func TestTryWriteNeverWaits(t *testing.T) {
	b, err := embeddedkafka.Start(embeddedkafka.Config{Topics: map[string]int32{topic: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	w, err := NewWriter(WriterConfig{Brokers: b.Addrs(), Topic: topic, MaxBuffered: 1, Linger: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	first, second := make(chan error, 1), make(chan error, 1)
	w.TryWrite(&kgo.Record{Value: []byte("x")}, func(err error) { first <- err }) // lingers
	w.TryWrite(&kgo.Record{Value: []byte("y")}, func(err error) { second <- err })
	if err := <-second; !errors.Is(err, kgo.ErrMaxBuffered) {
		t.Errorf("without room TryWrite returns %v", err)
	}
	if n := w.Buffered(); n != 1 {
		t.Errorf("%d are buffered, want 1", n)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-first; err != nil {
		t.Errorf("the first record was not acknowledged: %v", err)
	}
}
