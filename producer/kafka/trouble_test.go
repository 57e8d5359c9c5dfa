package kafka

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/stage"
)

// logged returns a config whose log is kept.
func (w *world) logged() (Config[string], *syncBuilder) {
	log := new(syncBuilder)
	cfg := w.config()
	cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	return cfg, log
}

// inTrouble waits until a member is not ready for a reason that has text, and checks that
// the log had it within five seconds, and has it no more than once in ten.
func (m *member) inTrouble(log *syncBuilder, text string, begun time.Time) {
	m.w.t.Helper()
	m.w.wait("a line of log: "+text, func() bool { return strings.Contains(log.String(), text) })
	if d := time.Since(begun); d > 5*time.Second {
		m.w.t.Errorf("%q was logged after %v", text, d)
	}
	s := m.producer.Snapshot()
	if !strings.Contains(fmt.Sprint(s.Troubles), text) || !strings.Contains(s.LastError, text) {
		m.w.t.Errorf("%q is not in the snapshot: %+v", text, s)
	}
	m.w.wait("not ready", func() bool {
		err := m.producer.Ready()
		_, ok := errors.AsType[*NotReadyError](err)
		return ok && strings.Contains(err.Error(), text) && m.producer.Snapshot().NotReady != ""
	})
	<-time.After(10 * time.Minute)
	if n := strings.Count(log.String(), text); n < 10 || n > 130 {
		m.w.t.Errorf("%d lines in ten minutes:\n%.2000s", n, log.String())
	}
	if m.producer.Ready() == nil {
		m.w.t.Error("ready")
	}
}

func TestMissingTopicIsTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(1))
		w.produce(5, 0)
		cfg, log := w.logged()
		cfg.Topics = []string{topic, "misspelt"}
		m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
		m.inTrouble(log, "UNKNOWN_TOPIC_OR_PARTITION", time.Now())
		if w.waitAll(); !strings.Contains(log.String(), "topic=misspelt") {
			t.Errorf("the log is\n%.500s", log.String())
		}
		if err := w.broker.Cluster.CreateTopic("misspelt", 1, nil); err != nil {
			t.Fatal(err)
		}
		w.wait("ready", func() bool { return m.producer.Ready() == nil })
		if s := m.producer.Snapshot(); len(s.Troubles) != 0 || s.NotReady != "" {
			t.Errorf("%+v", s)
		}
		m.leave()
	})
}

func TestFetchesThatFailAreTrouble(t *testing.T) {
	for _, reason := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.TopicAuthorizationFailed, kerr.KafkaStorageError} {
		t.Run(reason.Message, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, virtual(1))
				w.produce(50, 0)
				fault := w.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Err: reason, Count: -1})
				cfg, log := w.logged()
				m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
				m.inTrouble(log, reason.Message, time.Now())
				if s := m.producer.Snapshot(); s.Partitions[0].Lag != 50 || s.Troubles[0].Partition != 0 {
					t.Errorf("%+v", s)
				}
				fault.Remove()
				w.waitAll()
				w.wait("ready", func() bool { return m.producer.Ready() == nil })
				m.leave()
				w.check()
			})
		})
	}
}

func TestWrongPasswordIsTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, embeddedkafka.Config{Topics: map[string]int32{topic: 1}, Virtual: true,
			Options: []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "admin", "right")}})
		cfg, log := w.logged()
		cfg.Options = append(cfg.Options, kgo.SASL(plain.Auth{User: "admin", Pass: "wrong"}.AsMechanism()))
		m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
		m.inTrouble(log, "reaching a broker", time.Now())
		m.leave()
	})
}

func TestGroupThatRefusesIsTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(1))
		fault := w.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, TopLevel: true, Err: kerr.InvalidSessionTimeout, Count: -1})
		cfg, log := w.logged()
		m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
		m.inTrouble(log, "INVALID_SESSION_TIMEOUT", time.Now())
		fault.Remove()
		w.wait("ready", func() bool { return m.producer.Ready() == nil })
		m.leave()
	})
}

func TestAbsentBrokerIsTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(1))
		w.produce(5, 0)
		cfg, log := w.logged()
		m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
		w.waitAll()
		if err := m.producer.Ready(); err != nil {
			t.Error(err)
		}
		m.cable.cut()
		m.inTrouble(log, errCut.Error(), time.Now())
		m.cable.mend()
		w.produce(5, 0)
		w.waitAll()
		w.wait("ready", func() bool { return m.producer.Ready() == nil })
		m.leave()
		if err := m.producer.Ready(); err == nil {
			t.Error("ready after the end")
		}
	})
}

func TestTopicMadeAgainGoesOn(t *testing.T) {
	for _, gap := range []time.Duration{0, 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, virtual(2))
			w.produce(50, 0, 1)
			cfg, log := w.logged()
			m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
			w.waitAll()
			w.wait("commits", func() bool { return w.commits["0"] == 50 && w.commits["1"] == 50 })
			w.remake(gap)
			begun := time.Now()
			w.produce(70, 0, 1)
			w.waitAll()
			if d := time.Since(begun); d > time.Minute {
				t.Errorf("it went on after %v", d)
			}
			w.wait("ready", func() bool { return m.producer.Ready() == nil })
			w.wait("commits", func() bool { return w.commits["0"] == 70 && w.commits["1"] == 70 })
			if s := m.producer.Snapshot(); s.Recreated != 1 || !strings.Contains(log.String(), "made again") {
				t.Errorf("%+v\n%s", s, log.String())
			}
			m.leave()
			w.check()
		})
	}
}

// remake deletes the topic and makes it again, and forgets what was in it.
func (w *world) remake(gap time.Duration) {
	w.t.Helper()
	var old [16]byte
	if w.real != nil {
		w.real.Delete(w.topic)
		<-time.After(gap)
		w.real.Create(w.topic, 2)
	} else {
		old = w.broker.Cluster.TopicInfo(topic).TopicID
		if err := w.broker.Cluster.DeleteTopic(topic); err != nil {
			w.t.Fatal(err)
		}
		<-time.After(gap)
		if err := w.broker.Cluster.CreateTopic(topic, 2, nil); err != nil {
			w.t.Fatal(err)
		}
	}
	w.mu.Lock()
	w.gone[old] = old != [16]byte{}
	clear(w.produced)
	clear(w.handled)
	clear(w.finished)
	clear(w.commits)
	clear(w.order)
	w.mu.Unlock()
}

// putBatch writes a batch of n records whose content is body, in a compression.
func (w *world) putBatch(partition int32, n int, codec int16, body []byte) {
	w.t.Helper()
	client, err := kgo.NewClient(append(w.broker.Options(), kgo.SeedBrokers(w.broker.Addrs()...))...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	putBatch(w.t, client, topic, partition, n, codec, body)
}

func putBatch(t testing.TB, client *kgo.Client, topic string, partition int32, n int, codec int16, body []byte) {
	t.Helper()
	batch := kmsg.RecordBatch{
		Length: int32(49 + len(body)), PartitionLeaderEpoch: -1, Magic: 2, Attributes: codec, LastOffsetDelta: int32(n - 1),
		FirstTimestamp: time.Now().UnixMilli(), MaxTimestamp: time.Now().UnixMilli(), ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: int32(n), Records: body,
	}
	raw := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	ask := kmsg.NewPtrMetadataRequest()
	name := kmsg.NewMetadataRequestTopic()
	name.Topic = kmsg.StringPtr(topic)
	ask.Topics = []kmsg.MetadataRequestTopic{name}
	known, err := ask.RequestWith(context.Background(), client)
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 5000
	list := kmsg.NewProduceRequestTopic()
	list.Topic, list.TopicID = topic, known.Topics[0].TopicID
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition, part.Records = partition, raw
	list.Partitions = []kmsg.ProduceRequestTopicPartition{part}
	req.Topics = []kmsg.ProduceRequestTopic{list}
	resp, err := client.Broker(int(known.Topics[0].Partitions[partition].Leader)).Request(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
}

// bomb returns what has more bytes than are read of a batch, compressed.
func bomb(t testing.TB) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	zeros := make([]byte, 1<<20)
	for range maxDecompressed>>20 + 1 {
		if _, err := z.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const gzipped = 1

func TestBatchThatCannotBeReadIsSkipped(t *testing.T) {
	for name, body := range map[string][]byte{"damaged": []byte("this is not gzip"), "too large": bomb(t)} {
		for _, last := range []bool{false, true} {
			if raceOn && len(body) > 100 && last {
				continue // 64 MiB are unpacked several times, for 20 s
			}
			t.Run(fmt.Sprint(name, ", the last one: ", last), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, virtual(2))
					w.produce(50, 0, 1)
					w.putBatch(0, 7, gzipped, body)
					for o := 50; o < 57; o++ {
						w.finished[fmt.Sprintf("0/%d", o)] = true
					}
					if !last {
						w.produce(50, 0, 1)
					}
					cfg, log := w.logged()
					var got []string
					cfg.OnPoison = func(r *kgo.Record, err error) {
						bad, ok := errors.AsType[*BatchError](err)
						got = append(got, fmt.Sprint(r.Offset, " ", ok && bad.Offset == 50 && bad.Next == 57, " ", len(r.Value) > len(body)))
					}
					m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
					begun := time.Now()
					w.wait("a line", func() bool { return strings.Contains(log.String(), "offsets 50 to 56 cannot be read") })
					if d := time.Since(begun); d > 5*time.Second {
						t.Errorf("logged after %v", d)
					}
					end := int64(107)
					if last {
						end = 57
					}
					w.wait("the commit", func() bool { return w.commits["0"] == end })
					w.waitAll()
					if d := time.Since(begun); d > time.Minute {
						t.Errorf("it went on after %v", d)
					}
					w.wait("ready", func() bool { return m.producer.Ready() == nil })
					if s := m.producer.Snapshot(); s.Unreadable != 1 || s.Poison != 1 || fmt.Sprint(got) != "[56 true true]" || s.Partitions[0].Lag != 0 {
						t.Errorf("%+v, poison %q", s, got)
					}
					if n := strings.Count(log.String(), "batch skipped"); n != 1 {
						t.Errorf("%d lines:\n%s", n, log.String())
					}
					m.leave()
					w.check()
				})
			})
		}
	}
}

func TestPartitionStopsAtABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(2))
		w.produce(50, 0, 1)
		// It is read again and again: one that is too large would be unpacked each time.
		w.putBatch(0, 7, gzipped, []byte("this is not gzip"))
		w.produce(50, 0, 1)
		cfg, log := w.logged()
		cfg.BadBatches = StopPartition
		m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
		m.inTrouble(log, "offsets 50 to 56 cannot be read", time.Now())
		if n := len(w.handled); n != 150 {
			t.Errorf("%d handled", n)
		}
		if s := m.producer.Snapshot(); !s.Partitions[0].Stopped || s.Partitions[1].Stopped || s.Unreadable != 1 || s.Poison != 0 || s.Partitions[0].Committed != 50 {
			t.Errorf("%+v", s)
		}
		m.leave()
		for id := range w.produced {
			if w.handled[id] == 0 {
				delete(w.produced, id)
			}
		}
		w.check()
	})
}
