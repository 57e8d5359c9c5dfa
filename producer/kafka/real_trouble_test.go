package kafka

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/stage"
)

// A missing topic is logged within five seconds, and is in the snapshot.
func TestRealMissingTopicIsTrouble(t *testing.T) {
	w := realWorld(t, 1)
	cfg, log := w.logged()
	cfg.Topics = append(cfg.Topics, "misspelt-"+w.topic)
	clock := w.clock()
	begun := clock()
	m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
	w.wait("a line", func() bool { return strings.Contains(log.String(), "UNKNOWN_TOPIC_OR_PARTITION") })
	if d := clock() - begun; d > 2*recovery {
		t.Errorf("logged after %v", d)
	}
	w.wait("not ready", func() bool { return m.producer.Ready() != nil && len(m.producer.Snapshot().Troubles) == 1 })
	m.leave()
}

// A topic that is deleted and made again is read on within a minute, and written by a Writer.
func TestRealTopicMadeAgainGoesOn(t *testing.T) {
	w := realWorld(t, 2)
	writer, err := NewWriter(WriterConfig{Brokers: w.real.Addrs(), Topic: w.topic})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := writer.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	if err := writer.Write(t.Context(), &kgo.Record{Value: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	cfg, log := w.logged()
	decode := cfg.Decode
	var read atomic.Bool // what was written once the topic was known to be a new one
	cfg.Decode = func(r *kgo.Record) (string, error) {
		if string(r.Value) == "new" {
			read.Store(true)
		}
		return decode(r)
	}
	m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
	w.wait("the first record", func() bool { return len(w.handled) == 1 })
	w.remake(0)
	begun := time.Now()
	write := func(value string) {
		for {
			err := writer.Write(t.Context(), &kgo.Record{Value: []byte(value)})
			if err == nil {
				return
			}
			if time.Since(begun) > time.Minute {
				t.Fatalf("the writer does not go on: %v\n%s", err, log.String())
			}
		}
	}
	// The broker may take records for the old topic for a moment after it has said that the
	// topic is deleted.
	for m.producer.Snapshot().Recreated == 0 {
		write("while the old one may be there")
		if time.Since(begun) > time.Minute {
			t.Fatalf("%+v\n%s", m.producer.Snapshot(), log.String())
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Logf("known after %v", time.Since(begun))
	write("new")
	w.wait("the new topic", read.Load)
	if d := time.Since(begun); d > time.Minute {
		t.Errorf("it went on after %v", d)
	}
	t.Logf("read after %v", time.Since(begun))
	m.leave()
}

// What has more than 64 MiB uncompressed is skipped as poison.
func TestRealBatchThatIsTooLargeIsSkipped(t *testing.T) {
	w := realWorld(t, 1)
	w.produce(20, 0)
	client, err := kgo.NewClient(kgo.SeedBrokers(w.real.Addrs()...), kgo.ProducerBatchMaxBytes(80<<20), kgo.ProducerBatchCompression(kgo.GzipCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topic, Value: make([]byte, maxDecompressed+1)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.finished[fmt.Sprintf("0/%d", 20)] = true
	w.produce(20, 0)
	cfg, log := w.logged()
	m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
	w.waitAll()
	if s := m.producer.Snapshot(); s.Unreadable != 1 || s.Poison != 1 || !strings.Contains(log.String(), "offsets 20 to 20 cannot be read") {
		t.Errorf("%+v\n%s", s, log.String())
	}
	m.leave()
	w.check()
}

// Topics of dead letters refuse what is larger than they allow: the letter is kept without it.
func TestRealLettersOfLargeRecords(t *testing.T) {
	w := realWorld(t, 1)
	writeLarge(t, w.real.Addrs(), w.real.Topic(1, "max.message.bytes=4194304"), true)
	writeLarge(t, w.real.Addrs(), w.real.Topic(1, "max.message.bytes=1048588"), false)
}
