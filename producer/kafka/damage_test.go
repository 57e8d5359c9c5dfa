package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/stage"
)

// fragile is the value of a record that is damaged on its way.
const fragile = "fragile, this side up"

// damaging is a connection that damages such records.
type damaging struct{ net.Conn }

func (d damaging) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	if at := bytes.Index(b[:n], []byte(fragile)); at >= 0 {
		b[at] ^= 1
	}
	return n, err
}

// A batch whose checksum is wrong is counted, logged with its offsets and its error, and
// skipped as one poison record; the records around it and other partitions are read.
func TestBatchWithAWrongChecksumIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(2))
		w.wire = func(c net.Conn) net.Conn { return damaging{c} }
		w.produce(50, 0, 1)
		w.produceFragile(0, 3)
		w.produce(50, 0, 1)
		cfg, log := w.logged()
		var got []string
		cfg.OnPoison = func(r *kgo.Record, err error) {
			bad, ok := errors.AsType[*BatchError](err)
			got = append(got, fmt.Sprint(r.Offset, " ", ok && bad.Offset == 50 && bad.Next == 53, " ", strings.Contains(err.Error(), "crc")))
		}
		m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
		begun := time.Now()
		w.wait("a line", func() bool { return strings.Contains(log.String(), "offsets 50 to 52 cannot be read") })
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("logged after %v", d)
		}
		w.wait("the commit", func() bool { return w.commits["0"] == 103 })
		w.waitAll()
		w.wait("ready", func() bool { return m.producer.Ready() == nil })
		if s := m.producer.Snapshot(); s.Unreadable != 1 || s.Poison != 1 || fmt.Sprint(got) != "[52 true true]" || s.Partitions[0].Lag != 0 {
			t.Errorf("%+v, poison %q\n%.2000s", s, got, log.String())
		}
		m.leave()
		w.check()
	})
}

// produceFragile writes n records, of one batch, that are damaged on their way to members.
func (w *world) produceFragile(partition int32, n int) {
	w.t.Helper()
	client, err := kgo.NewClient(append(w.options(), kgo.SeedBrokers(w.addrs()...), kgo.DefaultProduceTopic(w.topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Partition: partition, Value: []byte(fragile)}
	}
	for _, r := range client.ProduceSync(context.Background(), records...) {
		if r.Err != nil {
			w.t.Fatal(r.Err)
		}
		w.finished[name(partition, r.Record.Offset)] = true
	}
}
