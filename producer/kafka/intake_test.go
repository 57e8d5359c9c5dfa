package kafka

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/stage"
)

// fetched counts the bytes of the responses to fetches.
type fetched struct{ bytes atomic.Int64 }

func (f *fetched) OnBrokerRead(_ kgo.BrokerMetadata, key int16, n int, _, _ time.Duration, _ error) {
	if key == int16(kmsg.Fetch) {
		f.bytes.Add(int64(n))
	}
}

// fill writes n records of 100 bytes to a partition.
func (w *world) fill(partition int32, n int, opts ...kgo.Opt) {
	w.t.Helper()
	client, err := kgo.NewClient(append(append(w.options(), opts...), kgo.SeedBrokers(w.addrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	for i := range n {
		value := make([]byte, 100)
		copy(value, fmt.Sprintf("%d %x", i, uint64(i)*0x9E3779B97F4A7C15))
		client.Produce(context.Background(), &kgo.Record{Topic: w.topic, Partition: partition, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				w.t.Error(err)
			}
		})
	}
	if err := client.Flush(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// bareBytes returns what a bare client with the producer's sizes fetches to read n records.
func (w *world) bareBytes(n int, cfg Config[string]) int64 {
	w.t.Helper()
	cfg = cfg.withDefaults()
	var f fetched
	client, err := kgo.NewClient(append(w.options(), kgo.SeedBrokers(w.addrs()...), kgo.ConsumeTopics(w.topic), kgo.WithHooks(&f),
		kgo.FetchMaxBytes(cfg.FetchMaxBytes), kgo.FetchMaxPartitionBytes(cfg.FetchMaxPartitionBytes))...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	for n > 0 {
		n -= client.PollFetches(context.Background()).NumRecords()
	}
	return f.bytes.Load()
}

// backlog reads n records of one partition, of two, behind fair and before a pool that is
// slower than the broker: windows are full most of the time, and there is demand. Records
// are fetched once and come without gaps. backlog returns by how much the longest gap is longer
// than it may be, 0 or less if it is not.
func backlog(t *testing.T, w *world, cfg Config[string], n, window int, work time.Duration, hooks ...kgo.Hook) (over time.Duration) {
	t.Helper()
	w.fill(0, n)
	cfg.Window = window
	bare := w.bareBytes(n, cfg)
	var f fetched
	cfg.Options = append(cfg.Options, kgo.WithHooks(append(hooks, &f)...))
	var handled, last, gap atomic.Int64
	stopped := lateness(t.Context())
	begun := time.Now()
	m := w.joinWith(cfg, func(m *member) []stage.Stage {
		users := stage.Must(fair.New(func(e string) string { return e[len(e)-2:] }, fair.Config[string]{}))
		pool := stage.Must(consumer.NewSupervisor(func(context.Context, string) error {
			if work > 0 {
				time.Sleep(work)
			}
			at := time.Since(begun).Nanoseconds()
			if before := last.Swap(at); before > 0 && at-before > gap.Load() {
				gap.Store(at - before)
			}
			handled.Add(1)
			return nil
		}, consumer.SupervisorConfig[string]{}))
		source := stage.Must(stage.NewProducer(m.producer, stage.ProducerConfig[string]{Name: "source", Dispatcher: users}))
		end := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{Name: "pool"}))
		subscribe(t, end, source, stage.SubscribeConfig{})
		return []stage.Stage{source, end}
	})
	w.wait("all records", func() bool {
		w.finishUpTo(0, int64(n))
		return handled.Load() == int64(n)
	})
	ratio, took, late := float64(f.bytes.Load())/float64(bare), time.Since(begun), stopped()
	m.leave()
	t.Logf("%d records in %v, fetched %.2f times, longest gap %v, a goroutine was late by %v", n, took, ratio, time.Duration(gap.Load()), late)
	if ratio > 1.1 {
		t.Errorf("fetched %.2f times what a bare client fetches", ratio)
	}
	return time.Duration(gap.Load()) - 500*time.Millisecond - late
}

// lateness measures for how long the machine keeps a goroutine that waits for nothing but
// time from running, until ctx is done. The function that it returns ends it and returns
// the longest time.
func lateness(ctx context.Context) (stop func() time.Duration) {
	const every = 10 * time.Millisecond
	end, longest := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		var most time.Duration
		for last := time.Now(); ; {
			select {
			case <-end:
				longest <- most
				return
			case <-ctx.Done():
				return
			case <-time.After(every):
			}
			now := time.Now()
			most, last = max(most, now.Sub(last)-every), now
		}
	}()
	return func() time.Duration { close(end); return <-longest }
}

// finishUpTo has the world not check the commits below an offset. mu is held.
func (w *world) finishUpTo(partition int32, offset int64) {
	if w.finished[name(partition, 0)] {
		return
	}
	for o := range offset {
		w.finished[name(partition, o)] = true
	}
}

// latePoller delays the end of each poll with records, until the client has the response of
// its next fetch.
type latePoller struct{ last time.Time }

func (l *latePoller) OnFetchRecordUnbuffered(*kgo.Record, bool) {
	if time.Since(l.last) > 0 {
		time.Sleep(5 * time.Millisecond)
		l.last = time.Now()
	}
}

// Also if the poller is late each time, as on a machine with much to do: then the client has
// fetched more of a partition before that is paused.
func TestBacklogIsFetchedOnce(t *testing.T) {
	const n = 60_000
	for _, window := range []int{1000, 10_000} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("window %d, late %t", window, late), func(t *testing.T) {
				virtually(t, 2, func(t *testing.T, w *world) {
					w.mu.Lock()
					w.finishUpTo(0, n)
					w.mu.Unlock()
					cfg := w.config()
					var hooks []kgo.Hook
					if late {
						// More responses than one, each of which could be lost.
						cfg.FetchMaxPartitionBytes, cfg.FetchMaxBytes = 64<<10, 64<<10
						hooks = append(hooks, &latePoller{})
					}
					if over := backlog(t, w, cfg, n, window, 2*time.Millisecond, hooks...); over > 0 {
						t.Errorf("nothing was delivered for longer than 500ms, by %v", over)
					}
				})
			})
		}
	}
}

// otherTopics has a healthy topic read together with others that fail, and returns the
// times from writing a record to handling it, sorted.
func otherTopics(t *testing.T, w *world, bad []string, during time.Duration) (times []time.Duration) {
	cfg := w.config()
	cfg.Topics = append(bad, w.topic)
	m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
	w.produce(1, 0)
	w.waitAll()
	clock := w.clock()
	for begun := time.Now(); time.Since(begun) < during; time.Sleep(300 * time.Millisecond) {
		at := clock()
		w.produce(1, 0)
		w.waitAll()
		times = append(times, clock()-at)
	}
	m.leave()
	w.check()
	slices.Sort(times)
	return times
}

// A topic that fails does not slow down another one: neither one that does not exist, nor
// one that this member may not read.
func TestFailingTopicSlowsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, embeddedkafka.Config{Topics: map[string]int32{topic: 1, "forbidden": 3}, Virtual: true})
		w.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "forbidden", Err: kerr.TopicAuthorizationFailed, Count: -1})
		fetches := w.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1})
		d := slices.Max(otherTopics(t, w, []string{"forbidden", "missing"}, time.Minute))
		t.Logf("a record took %v at most, %d fetches", d, fetches.Hits())
		if d > 50*time.Millisecond {
			t.Errorf("a record of the healthy topic took %v", d)
		}
		if n := fetches.Hits(); n > 1500 {
			t.Errorf("%d fetches in a minute", n)
		}
	})
}

// While Decode takes 50 ms for each record, a second member gets its share at once, no member
// is thrown out, and a drain is quick.
func slowDecode(t *testing.T, w *world) {
	w.produce(1000, 0, 1)
	cfg := w.config()
	cfg.Options = append(cfg.Options, kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(500*time.Millisecond))
	var slow atomic.Bool
	cfg.Decode = func(r *kgo.Record) (string, error) {
		if slow.Load() {
			time.Sleep(50 * time.Millisecond)
		}
		return decodeName(r)
	}
	first := w.join(cfg, w.handler("first"), stage.SubscribeConfig{})
	w.wait("the first records", func() bool { return len(w.handled) == 2000 })
	slow.Store(true)
	clock := w.clock()
	begun := clock()
	w.produce(2000, 0, 1)
	w.wait("some slow ones", func() bool { return len(w.handled) > 2010 })
	if d := clock() - begun; d > 3*time.Second {
		t.Errorf("the first slow ones came after %v", d)
	}
	begun = clock()
	second := w.join(cfg, w.handler("second"), stage.SubscribeConfig{})
	w.wait("the second member", func() bool { return len(w.order["second"]) > 0 })
	if d := clock() - begun; d > 8*time.Second {
		t.Errorf("the second member got its first record after %v", d)
	}
	if n := first.producer.Snapshot().LeftInFlight; n != 0 {
		t.Errorf("%d were left in flight", n)
	}
	begun = clock()
	second.leave()
	if d := clock() - begun; d > 2*time.Second {
		t.Errorf("the drain took %v", d)
	}
	slow.Store(false)
	w.waitAll()
	first.leave()
	if repeated := w.check(); repeated != 0 {
		t.Errorf("%d were delivered twice", repeated)
	}
}

func TestSlowDecode(t *testing.T) { virtually(t, 2, slowDecode) }

// Decode that panics or ends its goroutine makes its record poison; the others are
// delivered, and the member ends.
func decodeThatEndsItsGoroutine(t *testing.T, w *world) {
	w.produce(200, 0, 1)
	cfg := w.config()
	cfg.Decode = func(r *kgo.Record) (string, error) {
		switch {
		case r.Offset%50 == 3:
			runtime.Goexit()
		case r.Offset%50 == 4:
			panic("cannot stand it")
		}
		return decodeName(r)
	}
	var texts atomic.Pointer[string]
	cfg.OnPoison = func(r *kgo.Record, err error) {
		text := err.Error()
		texts.Store(&text)
		w.done("poison", recordName(r))
		if r.Offset == 53 {
			runtime.Goexit()
		}
	}
	m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{MaxDemand: 10})
	w.waitAll()
	m.leave()
	w.check()
	if s := m.producer.Snapshot(); s.Poison != 16 || s.Records != 400 {
		t.Errorf("stats are %+v", s)
	}
	if text := *texts.Load(); !strings.Contains(text, "cannot stand it") {
		t.Errorf("the last one failed with %q", text)
	}
	for p, o := range w.committed() {
		if o != 200 {
			t.Errorf("partition %s is committed up to %d", p, o)
		}
	}
}

func TestDecodeThatEndsItsGoroutine(t *testing.T) { virtually(t, 2, decodeThatEndsItsGoroutine) }

// zeros writes n records of 1 MiB of zeros, which compress to almost nothing.
func (w *world) zeros(n int) {
	w.t.Helper()
	client, err := kgo.NewClient(append(w.options(), kgo.SeedBrokers(w.addrs()...), kgo.DefaultProduceTopic(w.topic),
		kgo.ProducerBatchMaxBytes(2<<20), kgo.ProducerBatchCompression(kgo.ZstdCompression()))...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	value := make([]byte, 1<<20)
	for n > 0 {
		records := make([]*kgo.Record, min(n, 50))
		for i := range records {
			records[i] = &kgo.Record{Value: value}
		}
		if err := client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
		n -= len(records)
	}
}

// unpacked reads zeros, at first without demand, and returns the most memory in use above
// that before, in bytes, in both phases.
func unpacked(t *testing.T, w *world, n int) (idle, busy int64) {
	idle, busy, _ = unpackedWith(t, w, n, w.config(), 2)
	return idle, busy
}

// unpackedWith is unpacked with a configuration and a demand. In the first phase no handler
// returns; window is how many records of the first partition are unfinished at its end.
func unpackedWith(t *testing.T, w *world, n int, cfg Config[string], demand int) (idle, busy int64, window int) {
	w.zeros(n)
	heap := func() int64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	before := heap()
	done, release := 0, make(chan struct{})
	m := w.join(cfg, stage.ConsumerFunc[string](func(_ context.Context, events []string) error {
		<-release
		if done += len(events); done%20 < len(events) {
			busy = max(busy, heap()-before)
		}
		w.done("a", events...)
		return nil
	}), stage.SubscribeConfig{MaxDemand: demand, MinDemand: stage.None})
	for range 20 {
		time.Sleep(100 * time.Millisecond)
		idle = max(idle, heap()-before)
	}
	window = m.producer.Snapshot().Partitions[0].Window
	close(release)
	w.wait("all records", func() bool { return len(w.handled) == n })
	m.leave()
	return idle, busy, window
}

// mostUnpacked is the formula of the package comment, for a broker, batches of 1 MiB, and no
// partition with a full window.
const mostUnpacked = 2 * (24 + 1) << 20

func TestUnpackedBytesAreBounded(t *testing.T) {
	w := newWorld(t, embeddedkafka.Config{})
	idle, busy := unpacked(t, w, 400)
	t.Logf("%d MiB without demand, %d MiB with", idle>>20, busy>>20)
	// The decompressor's own buffers come on top.
	if most := int64(mostUnpacked + 16<<20); idle > most || busy > most {
		t.Errorf("%d MiB without demand, %d MiB with, %d are allowed", idle>>20, busy>>20, most>>20)
	}
}

// With a full window, and demand, what was fetched of its partition is kept as well.
func TestUnpackedBytesAreBoundedBehindAFullWindow(t *testing.T) {
	const window = 10
	w := newWorld(t, embeddedkafka.Config{})
	cfg := w.config()
	cfg.Window = window
	idle, busy, full := unpackedWith(t, w, 200, cfg, 1000)
	t.Logf("%d MiB while nothing is finished, %d MiB then", idle>>20, busy>>20)
	if full != window {
		t.Errorf("%d records are unfinished, not %d", full, window)
	}
	// The window's records are in flight, and the decompressor has buffers of its own.
	if most := int64(mostUnpacked + (2*24+1)<<20 + (window+16)<<20); idle > most || busy > most {
		t.Errorf("%d MiB while nothing is finished, %d MiB then, %d are allowed", idle>>20, busy>>20, most>>20)
	}
}
