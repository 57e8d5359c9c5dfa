package embeddedkafka_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRetentionBoundsAPartition(t *testing.T) {
	b, err := embeddedkafka.Start(embeddedkafka.Config{Topics: map[string]int32{"t": 1}, RetentionBytes: 100 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 50 {
		if err := client.ProduceSync(t.Context(), kgo.SliceRecord(make([]byte, 10<<10))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	b.Cluster.ApplyRetention()
	if info := b.Cluster.PartitionInfo("t", 0); info.NumBytes > 100<<10 || info.LogStartOffset == 0 || info.HighWatermark != 50 {
		t.Errorf("the partition is %+v", info)
	}
}

// TestRetentionFreesMemory: what is no longer kept takes no memory either.
func TestRetentionFreesMemory(t *testing.T) {
	const retention, written = 1 << 20, 48 << 20
	b, err := embeddedkafka.Start(embeddedkafka.Config{Topics: map[string]int32{"t": 1}, RetentionBytes: retention})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for range written / (256 << 10) {
		if err := client.ProduceSync(t.Context(), kgo.SliceRecord(make([]byte, 256<<10))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	b.Cluster.ApplyRetention()
	grown := heap() - before
	t.Logf("%d bytes of heap for %d that are kept of %d", grown, retention, written)
	if grown > 12<<20 {
		t.Errorf("%d bytes of heap for %d that are kept of %d", grown, retention, written)
	}
}

func TestStartReportsABusyPort(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	b, err := embeddedkafka.Start(embeddedkafka.Config{Options: []kfake.Opt{kfake.Ports(busy.Addr().(*net.TCPAddr).Port)}})
	if err == nil {
		b.Close()
		t.Error("Start returns no error")
	}
}

func ExampleStart() {
	broker, err := embeddedkafka.Start(embeddedkafka.Config{Topics: map[string]int32{"pushes": 3}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer broker.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	err = client.ProduceSync(context.Background(), &kgo.Record{Topic: "pushes", Value: []byte("hello")}).FirstErr()
	fmt.Println("acknowledged:", err == nil)
	// Output: acknowledged: true
}
