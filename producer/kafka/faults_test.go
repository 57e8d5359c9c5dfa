package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/metrics/metricstest"
	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/stage"
)

func TestPoisonIsSetAsideAndThePartitionGoesOn(t *testing.T) {
	for name, onPoison := range map[string]func(){
		"taken": func() {}, "panics": func() { panic("over") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, virtual(1))
				w.produce(300, 0)
				seen := metricstest.New()
				var got []string
				cfg := w.config()
				cfg.Window = 20 // much of which is poison
				cfg.Metrics = seen
				cfg.Decode = func(r *kgo.Record) (string, error) {
					switch {
					case r.Offset >= 100 && r.Offset < 200:
						return "", fmt.Errorf("offset %d is not wanted", r.Offset)
					case r.Offset == 50:
						panic("cannot stand 50")
					}
					return decodeName(r)
				}
				cfg.OnPoison = func(r *kgo.Record, err error) {
					got = append(got, fmt.Sprint(r.Offset, " ", err))
					w.done("poison", recordName(r))
					onPoison()
				}
				m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{MaxDemand: 10})
				w.waitAll()
				m.leave()
				w.check()
				if len(got) != 101 || got[0] != "50 panic: cannot stand 50" || got[1] != "100 offset 100 is not wanted" {
					t.Errorf("%d poison records, first %q", len(got), got[:2])
				}
				if s := m.producer.Snapshot(); s.Poison != 101 || seen.Count("kafka.poison") != 101 || seen.Count("kafka.records") != 300 {
					t.Errorf("stats are %+v, metrics\n%v", s, seen)
				}
				if c := w.committed()["0"]; c != 300 {
					t.Errorf("committed up to %d", c)
				}
			})
		})
	}
}

func recordName(r *kgo.Record) string { return name(r.Partition, r.Offset) }

// TestSecurity holds the row of docs/security.md that is about this package.
func TestSecurity(t *testing.T) { t.Run("S22_records", hostileRecords) }

// hostileRecords is what may come from a hostile producer.
func hostileRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(1))
		client, err := kgo.NewClient(append(w.broker.Options(), kgo.SeedBrokers(w.broker.Addrs()...),
			kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(8<<20))...)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		many := make([]kgo.RecordHeader, 10_000)
		for i := range many {
			many[i] = kgo.RecordHeader{Key: "k", Value: nil}
		}
		records := []*kgo.Record{
			{},
			{Key: nil, Value: nil, Headers: []kgo.RecordHeader{{}}},
			{Key: make([]byte, 1<<20), Value: []byte("1 MiB key")},
			{Headers: many},
			{Headers: []kgo.RecordHeader{{Key: strings.Repeat("h", 70<<10)}}},
			{Value: make([]byte, 1<<20+1)},
			{Value: []byte("1970"), Timestamp: time.UnixMilli(0)},
			{Value: []byte("before"), Timestamp: time.UnixMilli(-1 << 40)},
			{Value: []byte("2100"), Timestamp: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)},
			{Value: []byte("a:1|c\n\x00\xff\u202e")},
		}
		if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		limits := map[string]int{}
		var skewed atomic.Int32
		cfg := w.config()
		cfg.Decode = func(r *kgo.Record) (string, error) {
			now := time.Now()
			if at, bad := ProducedAt(r, now); bad {
				skewed.Add(1)
				if !at.Equal(now) {
					t.Errorf("%v gives %v", r.Timestamp, at)
				}
			}
			return decodeName(r)
		}
		cfg.OnPoison = func(r *kgo.Record, err error) {
			if e, ok := errors.AsType[*LimitError](err); ok {
				limits[e.Limit]++
			}
			w.done("poison", recordName(r))
		}
		m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
		w.wait("the end", func() bool { return len(w.handled) == len(records) })
		m.leave()
		if w.check(); fmt.Sprint(limits) != "map[HeaderBytes:1 Headers:1 KeyBytes:1 ValueBytes:1]" || skewed.Load() != 3 {
			t.Errorf("limits %v, %d skewed", limits, skewed.Load())
		}
	})
}

// One record that is never finished stops its own partition when the window is
// full, and no other.
func TestWindowStopsOnlyItsPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(2))
		w.produce(500, 0, 1)
		release := make(chan struct{})
		pool := stage.Must(consumer.NewSupervisor(func(_ context.Context, e string) error {
			if e == "0/7" {
				<-release
			}
			w.done("pool", e)
			return nil
		}, consumer.SupervisorConfig[string]{MaxDemand: 16}))
		cfg := w.config()
		cfg.Window = 100
		m := w.join(cfg, pool, stage.SubscribeConfig{})
		w.wait("the other partition", func() bool {
			n := 0
			for e := range w.handled {
				if strings.HasPrefix(e, "1/") {
					n++
				}
			}
			return n == 500
		})
		<-time.After(5 * time.Second)
		synctest.Wait()
		s := m.producer.Snapshot()
		if p := s.Partitions[0]; p.Head != 7 || p.Committed != 7 || p.Window < 80 || p.Window > 100 || !p.Paused {
			t.Errorf("the stuck partition is %+v", p)
		}
		if p := s.Partitions[1]; p.Head != 500 || p.Committed != 500 || p.Paused {
			t.Errorf("the other partition is %+v", p)
		}
		close(release)
		w.waitAll()
		m.leave()
		w.mu.Lock()
		w.order = nil // a pool keeps none
		w.mu.Unlock()
		if repeated := w.check(); repeated != 0 {
			t.Errorf("%d were delivered twice", repeated)
		}
	})
}

// A consumer that dies leaves records without a receipt; they are read again.
func TestAbandonedRecordsAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(2))
		w.produce(300, 0, 1)
		p := stage.Must(NewProducer(w.config()))
		source := stage.Must(stage.NewProducer(p, stage.ProducerConfig[string]{Name: "source"}))
		calls := 0
		mortal := stage.Must(stage.NewConsumer(stage.ConsumerFunc[string](func(_ context.Context, events []string) error {
			if calls++; calls > 2 {
				return errors.New("dies")
			}
			w.done("mortal", events...)
			return nil
		}), stage.ConsumerConfig{Name: "mortal"}))
		heir := stage.Must(stage.NewConsumer(w.slowly("heir", 100*time.Millisecond), stage.ConsumerConfig{Name: "heir"}))
		for _, c := range []*stage.ConsumerStage[string]{mortal, heir} {
			if _, err := c.Subscribe(source, stage.SubscribeConfig{MaxDemand: 40}); err != nil {
				t.Fatal(err)
			}
		}
		pipeline := stage.Must(stage.NewPipeline(stage.PipelineConfig{KeepRunning: true}, source, mortal, heir))
		ended := make(chan error, 1)
		go func() { ended <- pipeline.Run(context.Background()) }()
		w.waitAll()
		pipeline.Drain()
		<-ended
		w.mu.Lock()
		w.order = nil // two consumers
		w.mu.Unlock()
		w.check()
		if s := p.Snapshot(); s.Abandoned == 0 {
			t.Errorf("stats are %+v", s)
		}
		for part, c := range w.committed() {
			if c != 300 {
				t.Errorf("partition %s is committed up to %d", part, c)
			}
		}
	})
}

// K15: commits that fail are reported, and go along with a later one.
func TestFailingCommitsAreMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(1))
		w.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.GroupAuthorizationFailed, Count: 5})
		w.produce(50, 0)
		var log syncBuilder
		cfg := w.config()
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
		w.waitAll()
		<-time.After(3500 * time.Millisecond)
		if s := m.producer.Snapshot(); s.CommitErrors != 3 || s.Commits != 0 || !strings.Contains(s.LastError, "committing") {
			t.Errorf("stats are %+v", s)
		}
		<-time.After(5 * time.Second)
		if s := m.producer.Snapshot(); s.CommitErrors != 5 || s.Commits != 1 || w.committed()["0"] != 50 {
			t.Errorf("stats are %+v, committed %v", s, w.committed())
		}
		if n := strings.Count(log.String(), "committing failed"); n != 1 {
			t.Errorf("%d lines of log:\n%s", n, log.String())
		}
		m.leave()
		w.check()
	})
}

type syncBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuilder) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuilder) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestAbsentBrokerFailsTheStartIfAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network kfake.VirtualNetwork
		var dials atomic.Int32
		cfg := Config[string]{
			Brokers: []string{"127.0.0.1:9092"}, Topics: []string{topic}, Group: "g", Decode: decodeName, StartTimeout: 30 * time.Second,
			Options: []kgo.Opt{kgo.Dialer(func(ctx context.Context, n, a string) (net.Conn, error) {
				dials.Add(1)
				return network.DialContext(ctx, n, a)
			})},
		}
		source := stage.Must(stage.NewProducer(stage.Must(NewProducer(cfg)), stage.ProducerConfig[string]{Name: "source"}))
		start := time.Now()
		err := stage.Run(context.Background(), source)
		if err == nil || !strings.Contains(err.Error(), "no broker of [127.0.0.1:9092] responded within 30s") {
			t.Errorf("Run returns %v", err)
		}
		if d := time.Since(start); d > 35*time.Second {
			t.Errorf("it took %v", d)
		}
		if n := dials.Load(); n < 5 || n > 200 {
			t.Errorf("%d attempts in 30 s", n)
		}
	})
}

// Without StartTimeout a broker that comes later is found, and waiting for it
// is no busy loop.
func TestBrokerThatComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network kfake.VirtualNetwork
		var dials atomic.Int32
		dial := kgo.Dialer(func(ctx context.Context, n, a string) (net.Conn, error) {
			dials.Add(1)
			return network.DialContext(ctx, n, a)
		})
		got := make(chan string, 10)
		p := stage.Must(NewProducer(Config[string]{
			Brokers: []string{"127.0.0.1:9092"}, Topics: []string{topic}, Group: "g", Decode: decodeName, Options: []kgo.Opt{dial},
		}))
		source := stage.Must(stage.NewProducer(p, stage.ProducerConfig[string]{Name: "source"}))
		sink := stage.Must(stage.NewConsumer(stage.ConsumerFunc[string](func(_ context.Context, events []string) error {
			for _, e := range events {
				got <- e
			}
			return nil
		}), stage.ConsumerConfig{Name: "sink"}))
		if _, err := sink.Subscribe(source, stage.SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- stage.Run(ctx, source, sink) }()
		<-time.After(time.Minute)
		if n := dials.Load(); n < 5 || n > 400 {
			t.Errorf("%d attempts in a minute", n)
		}
		b, err := embeddedkafka.Start(embeddedkafka.Config{
			Topics:  map[string]int32{topic: 1},
			Options: []kfake.Opt{kfake.Ports(9092), kfake.ListenFn(network.Listen)},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		w, err := NewWriter(WriterConfig{Brokers: b.Addrs(), Topic: topic, Options: []kgo.Opt{dial}})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(t.Context(), &kgo.Record{Value: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		if e := <-got; e != "0/0" {
			t.Errorf("got %s", e)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := w.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// A stage whose broker is gone ends in CloseTimeout.
func TestEndWithoutABroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(1))
		w.produce(10, 0)
		cfg := w.config()
		cfg.CommitInterval = time.Minute
		m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
		w.waitAll()
		m.cable.cut()
		start := time.Now()
		m.leave()
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("the end took %v", d)
		}
	})
}
