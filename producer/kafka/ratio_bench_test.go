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
// alone, which has the same options, decodes and commits as well: they take turns in one
// run, in changing order, and the ratios of each turn have their median. It reads from the
// embedded broker, which is in the same process and so in all figures of the processor, and
// from Apache Kafka if PENSTOCK_KAFKA has its address:
//
//	go test ./producer/kafka -run '^$' -bench Ratios -benchtime 1x
//
// batch/client and fair/client are speeds, cpu-… the processor's time. …-cpu-ns/record is
// the least time of the processor for a record, which other programs disturb the least, and
// cpu-…-least their ratios; allocs-… are allocations for an event beyond the client's.
// PENSTOCK_REPEAT is the number of turns, 9 by default. Beside Apache Kafka it prints which
// goals are met.
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
		goals(b, ratios(b, 1_000_000, func() Config[int64] {
			return Config[int64]{Brokers: cluster.Addrs(), Topics: []string{name}, Group: cluster.Group()}
		}))
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

// rivals are the ways of reading; the first is what the others are compared with.
var rivals = []struct {
	name string
	read func(*testing.B, int64, Config[int64]) cost
}{{"client", alone}, {"batch", toBatch}, {"fair", toFairPool}}

// goals prints, for each goal, whether the figures meet it. They fail nothing: on a machine
// that others use they say little.
func goals(b *testing.B, medians map[string]float64) {
	for _, g := range []struct {
		name        string
		least, most float64 // 0: no bound
	}{
		{name: "batch/client", least: 0.9},
		{name: "fair/client", least: 0.6},
		{name: "cpu-batch/client", most: 1.5},
		{name: "cpu-fair/client", most: 1.5},
		{name: "allocs-batch", most: 0.1}, // by the poll, not by the event
		{name: "allocs-fair", most: 0.1},
	} {
		v, verdict, bound := medians[g.name], "met", fmt.Sprint("at least ", g.least)
		if g.most > 0 {
			bound = fmt.Sprint("at most ", g.most)
		}
		if v < g.least || g.most > 0 && v > g.most {
			verdict = "missed"
		}
		b.Logf("goal %s: %s %.2f, %s", verdict, g.name, v, bound)
	}
}

// ratios measures and reports, and returns the medians.
func ratios(b *testing.B, n int64, config func() Config[int64]) map[string]float64 {
	turns := 9
	if v, err := strconv.Atoi(os.Getenv("PENSTOCK_REPEAT")); err == nil {
		turns = v
	}
	figures := map[string][]float64{}
	note := func(name string, v float64) { figures[name] = append(figures[name], v) }
	least := map[string]float64{}
	for turn := range b.N * turns {
		costs := make([]cost, len(rivals))
		for i := range rivals {
			k := (turn + i) % len(rivals)
			cfg := config()
			cfg.Decode = func(r *kgo.Record) (int64, error) { return r.Offset, nil }
			runtime.GC() // what the one before has left is not on this one's account
			costs[k] = rivals[k].read(b, n, cfg)
		}
		client := costs[0]
		for i, r := range rivals {
			c := costs[i]
			perRecord := float64(c.cpu.Nanoseconds()) / float64(n)
			if v, ok := least[r.name]; !ok || perRecord < v {
				least[r.name] = perRecord
			}
			if i == 0 {
				note("client-records/s", float64(n)/client.time.Seconds())
				continue
			}
			note(r.name+"/client", client.time.Seconds()/c.time.Seconds())
			note("cpu-"+r.name+"/client", c.cpu.Seconds()/client.cpu.Seconds())
			note("allocs-"+r.name, (float64(c.mallocs)-float64(client.mallocs))/float64(n))
		}
	}
	b.ReportMetric(0, "ns/op")
	medians := map[string]float64{}
	for name, list := range figures {
		slices.Sort(list)
		medians[name] = list[len(list)/2]
		b.ReportMetric(medians[name], name)
	}
	for _, r := range rivals {
		b.ReportMetric(least[r.name], r.name+"-cpu-ns/record")
		if r.name != rivals[0].name {
			b.ReportMetric(least[r.name]/least[rivals[0].name], "cpu-"+r.name+"-least")
		}
	}
	return medians
}

func (m *meter) cost() cost {
	c := now()
	return cost{c.time - m.begun.time, c.cpu - m.begun.cpu, c.mallocs - m.begun.mallocs}
}

// alone is the client alone: it decodes the records of each poll into a batch, and commits
// what it has read as often as the source.
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
	var events []int64
	committed := time.Now()
	for m.n.Load() < n {
		fetches := client.PollFetches(context.Background())
		events = events[:0]
		for it := fetches.RecordIter(); !it.Done(); {
			event, err := cfg.Decode(it.Next())
			if err != nil {
				b.Fatal(err)
			}
			events = append(events, event)
		}
		if len(events) > 0 {
			m.count(len(events))
		}
		if time.Since(committed) >= cfg.CommitInterval {
			committed = time.Now()
			if err := client.CommitUncommittedOffsets(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
		client.AllowRebalance()
	}
	return c
}

// measured runs a pipeline until the meter has counted n records.
func measured(b *testing.B, n int64, cfg Config[int64], out stage.ProducerConfig[int64], sink func(*meter) stage.Consumer[int64]) (c cost) {
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
