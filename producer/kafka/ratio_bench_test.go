package kafka

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/internal/kafkatest"
	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/stage"
)

// BenchmarkRatios compares ways to read a million records of 100 bytes with the client
// alone, which has the same options: they take turns in one run, and the ratios of each
// turn have their median. It reads from the embedded broker, which is in the same process,
// and from Apache Kafka if PENSTOCK_KAFKA has its address:
//
//	go test ./producer/kafka -run '^$' -bench Ratios -benchtime 1x
//
// batch/client and fair/client are speeds, cpu-… the processor's time, allocs-… allocations
// for an event beyond the client's. PENSTOCK_REPEAT is the number of turns, 9 by default.
func BenchmarkRatios(b *testing.B) {
	b.Run("embedded", func(b *testing.B) {
		broker, err := embeddedkafka.Start(embeddedkafka.Config{
			Topics:  map[string]int32{topic: 4},
			Options: []kfake.Opt{kfake.SyntheticFetch(kfake.SyntheticBatch{Records: 1000, RecordBytes: 100})},
		})
		if err != nil {
			b.Fatal(err)
		}
		defer broker.Close()
		group := 0
		ratios(b, 1_000_000, func() Config[int64] {
			group++
			return Config[int64]{Brokers: broker.Addrs(), Topics: []string{topic}, Group: fmt.Sprint("g", group)}
		})
	})
	b.Run("kafka", func(b *testing.B) {
		if os.Getenv(kafkatest.Variable) == "" {
			b.Skip(kafkatest.Variable + " is not set")
		}
		cluster := kafkatest.Shared(b)
		name := cluster.Topic(4)
		w := emptyWorld(b)
		w.real, w.topic = cluster, name
		for p := range int32(4) {
			w.fill(p, 250_000)
		}
		ratios(b, 1_000_000, func() Config[int64] {
			return Config[int64]{Brokers: cluster.Addrs(), Topics: []string{name}, Group: cluster.Group()}
		})
	})
}

// cost is what a way of reading has cost, from its first record on.
type cost struct {
	time, cpu time.Duration
	mallocs   uint64
}

// meter measures from the first record to the last.
type meter struct {
	n     atomic.Int64
	once  sync.Once
	begun cost
	total int64
	end   func()
}

func now() cost {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return cost{time.Duration(time.Now().UnixNano()), time.Duration(u.Utime.Nano() + u.Stime.Nano()), s.Mallocs}
}

// count counts records that have been read.
func (m *meter) count(n int) {
	m.once.Do(func() { m.begun = now() })
	if after := m.n.Add(int64(n)); after >= m.total && after-int64(n) < m.total {
		m.end()
	}
}

func ratios(b *testing.B, n int64, config func() Config[int64]) {
	turns := 9
	if v, err := strconv.Atoi(os.Getenv("PENSTOCK_REPEAT")); err == nil {
		turns = v
	}
	figures := map[string][]float64{}
	for range b.N * turns {
		client := alone(b, n, config())
		for name, read := range map[string]func(*testing.B, int64, Config[int64]) cost{"batch": toBatch, "fair": toFairPool} {
			c := read(b, n, config())
			figures[name+"/client"] = append(figures[name+"/client"], client.time.Seconds()/c.time.Seconds())
			figures["cpu-"+name+"/client"] = append(figures["cpu-"+name+"/client"], c.cpu.Seconds()/client.cpu.Seconds())
			figures["allocs-"+name] = append(figures["allocs-"+name], (float64(c.mallocs)-float64(client.mallocs))/float64(n))
		}
		figures["client-records/s"] = append(figures["client-records/s"], float64(n)/client.time.Seconds())
	}
	b.ReportMetric(0, "ns/op")
	for name, list := range figures {
		slices.Sort(list)
		b.ReportMetric(list[len(list)/2], name)
	}
}

func (m *meter) cost() cost {
	c := now()
	return cost{c.time - m.begun.time, c.cpu - m.begun.cpu, c.mallocs - m.begun.mallocs}
}

// alone is the client alone. It commits nothing.
func alone(b *testing.B, n int64, cfg Config[int64]) cost {
	cfg = cfg.withDefaults()
	client, err := kgo.NewClient(cfg.options(nil)...)
	if err != nil {
		b.Fatal(err)
	}
	defer client.CloseAllowingRebalance()
	var c cost
	m := &meter{total: n}
	m.end = func() { c = m.cost() }
	for m.n.Load() < n {
		fetches := client.PollFetches(context.Background())
		client.AllowRebalance()
		if k := fetches.NumRecords(); k > 0 {
			m.count(k)
		}
	}
	return c
}

// measured runs a pipeline until the meter has counted n records.
func measured(b *testing.B, n int64, cfg Config[int64], out stage.ProducerConfig[int64], sink func(*meter) stage.Consumer[int64]) (c cost) {
	cfg.Decode = func(r *kgo.Record) (int64, error) { return r.Offset, nil }
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m := &meter{total: n}
	m.end = func() { c = m.cost(); cancel() }
	source := stage.Must(stage.NewProducer(stage.Must(NewProducer(cfg)), out))
	end := stage.Must(stage.NewConsumer(sink(m), stage.ConsumerConfig{}))
	if _, err := end.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		b.Fatal(err)
	}
	if err := stage.Run(ctx, source, end); err != nil && !strings.Contains(err.Error(), "canceled") {
		b.Fatal(err)
	}
	return c
}

// toBatch is Demand, the default, before a Batch.
func toBatch(b *testing.B, n int64, cfg Config[int64]) cost {
	return measured(b, n, cfg, stage.ProducerConfig[int64]{}, func(m *meter) stage.Consumer[int64] {
		return stage.Must(consumer.NewBatch(func(_ context.Context, events []int64) error {
			m.count(len(events))
			return nil
		}, consumer.BatchConfig[int64]{Size: 1000, Timeout: time.Second}))
	})
}

// toFairPool is fair before a pool that does nothing.
func toFairPool(b *testing.B, n int64, cfg Config[int64]) cost {
	users := stage.Must(fair.New(func(e int64) int64 { return e % 1000 }, fair.Config[int64]{}))
	return measured(b, n, cfg, stage.ProducerConfig[int64]{Dispatcher: users}, func(m *meter) stage.Consumer[int64] {
		return stage.Must(consumer.NewSupervisor(func(context.Context, int64) error {
			m.count(1)
			return nil
		}, consumer.SupervisorConfig[int64]{}))
	})
}
