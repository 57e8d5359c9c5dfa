package kafka

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/stage"
)

// TestConformance holds the cases that broadway_kafka's tests make of a Kafka
// source, by their numbers. Cases that do not apply here:
//
//   - K5 and K11, which worker a partition goes to: any dispatcher may stand
//     after the source; order for each key is fair.Dispatcher's or
//     dispatcher.Partition's.
//   - K6, refusing partition_by: there is no such option.
//   - K9's shared client: a producer's client is always its own.
func TestConformance(t *testing.T) {
	t.Run("K1_begins_where_the_first_record_is", func(t *testing.T) {
		tr := filled(10, 10)
		if tr.head != 10 || tr.window() != 1 || tr.open != 1 {
			t.Errorf("head %d, window %d, open %d", tr.head, tr.window(), tr.open)
		}
		if tr.finishRun(9, 1) != 0 || tr.finishRun(11, 1) != 0 || tr.finishRun(10, 1) != 1 || tr.finishRun(10, 1) != 0 || tr.head != 11 || tr.open != 0 {
			t.Errorf("head %d, open %d after finishing", tr.head, tr.open)
		}
	})
	// The numbers of the cases are of the last finished record; head is one
	// more.
	for name, steps := range map[string][]struct {
		finish []int64
		head   int64
	}{
		"K2_all":         {{upTo(9, 19), 20}},
		"K2_front_first": {{[]int64{10, 13, 14}, 11}, {append([]int64{11, 12}, upTo(15, 19)...), 20}},
		"K2_front_last":  {{[]int64{13, 14}, 10}, {append([]int64{11, 12}, upTo(15, 19)...), 10}, {[]int64{10}, 20}},
		"K2_gap_inside":  {{[]int64{13, 14}, 10}, {[]int64{10, 11, 12, 15, 16, 18, 19}, 17}, {[]int64{17}, 20}},
	} {
		t.Run(name, func(t *testing.T) {
			tr := filled(10, 19)
			for i, s := range steps {
				for _, o := range s.finish {
					tr.finishRun(o, 1)
				}
				if tr.head != s.head {
					t.Errorf("step %d: head is %d, want %d", i, tr.head, s.head)
				}
			}
			if tr.open != 0 || tr.window() != 0 {
				t.Errorf("%d open, window %d at the end", tr.open, tr.window())
			}
		})
	}
	t.Run("K4_random_splits_end_drained", func(t *testing.T) {
		for seed := range uint64(200) {
			r := rand.New(rand.NewPCG(seed, 4))
			tr := filled(10, 99)
			all := upTo(10, 99)
			r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			for _, o := range all {
				if tr.finishRun(o, 1) != 1 {
					t.Fatalf("seed %d: finishRun(%d, 1) does not return 1", seed, o)
				}
			}
			if tr.open != 0 || tr.head != 100 {
				t.Fatalf("seed %d: %d open, head %d", seed, tr.open, tr.head)
			}
		}
	})
	t.Run("K17_ten_thousand_over_three_partitions", func(t *testing.T) {
		tenThousandOverThreePartitions(t, newWorld(t, embeddedkafka.Config{Topics: map[string]int32{topic: 3}, Brokers: 2}))
	})
	t.Run("K10_polls_no_more_than_demand", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, virtual(1))
			w.produce(25, 0)
			sizes := make(chan int)
			m := w.join(w.config(), stage.ConsumerFunc[string](func(_ context.Context, events []string) error {
				sizes <- len(events)
				w.done("a", events...)
				return nil
			}), stage.SubscribeConfig{MaxDemand: 10, MinDemand: stage.None})
			pause := func() { <-time.After(time.Minute); synctest.Wait() } // longer than the group's session timeout
			for i, want := range []int{10, 10, 5} {
				pause() // however long the consumer waits, no more is polled
				if s := m.producer.Snapshot(); s.Records != int64(min(10*(i+1), 25)) {
					t.Errorf("before handler call %d, %d records were polled", i, s.Records)
				}
				if got := <-sizes; got != want {
					t.Errorf("call %d got %d events, want %d", i, got, want)
				}
			}
			w.waitAll()
			m.leave()
			w.check()
		})
	})
	t.Run("K16_options_are_checked", func(t *testing.T) {
		good := Config[string]{Brokers: []string{"b:1"}, Topics: []string{topic}, Group: "g", Decode: decodeName}
		for option, change := range map[string]func(*Config[string]){
			"Brokers":        func(c *Config[string]) { c.Brokers = nil },
			"Topics":         func(c *Config[string]) { c.Topics = nil },
			"Group":          func(c *Config[string]) { c.Group = "" },
			"Decode":         func(c *Config[string]) { c.Decode = nil },
			"Limits":         func(c *Config[string]) { c.Limits.Headers = -1 },
			"Start":          func(c *Config[string]) { c.Start = 7 },
			"Reset":          func(c *Config[string]) { c.Reset = 7 },
			"Window":         func(c *Config[string]) { c.Window = -1 },
			"CommitInterval": func(c *Config[string]) { c.CommitInterval = time.Millisecond },
			"CommitTimeout":  func(c *Config[string]) { c.CommitTimeout = time.Hour },
			"RevokeTimeout":  func(c *Config[string]) { c.RevokeTimeout = time.Minute },
			"CloseTimeout":   func(c *Config[string]) { c.CloseTimeout = time.Nanosecond },
			"StartTimeout":   func(c *Config[string]) { c.StartTimeout = -1 },
			"FetchMaxBytes":  func(c *Config[string]) { c.FetchMaxBytes = 1 },
			"Protocol":       func(c *Config[string]) { c.Protocol = 7 },
			"StartAgo":       func(c *Config[string]) { c.StartAgo = -1 },
			"ResetAgo":       func(c *Config[string]) { c.ResetAgo = -1 },
			"TopicPatterns":  func(c *Config[string]) { c.TopicPatterns = []string{"a"} },
			"NotTopics":      func(c *Config[string]) { c.NotTopics = []string{"a"} },
			"TopicPatterns[1]": func(c *Config[string]) {
				c.Topics, c.TopicPatterns = nil, []string{"a", "("}
			},
			"FetchMaxUnpackedBytes": func(c *Config[string]) { c.FetchMaxUnpackedBytes = -1 },
		} {
			cfg := good
			change(&cfg)
			_, err := NewProducer(cfg)
			if got, ok := errors.AsType[*OptionError](err); !ok || got.Option != option {
				t.Errorf("a bad %s gives %v", option, err)
			}
		}
		for _, change := range []func(*Config[string]){
			func(*Config[string]) {},
			func(c *Config[string]) { c.Start, c.Reset = Newest, Newest },
			func(c *Config[string]) { c.RevokeTimeout = stage.None },
			func(c *Config[string]) { c.Window = 1_000_000 },
			func(c *Config[string]) { c.Protocol, c.ReadCommitted = ServerProtocol, true },
			func(c *Config[string]) { c.StartAt, c.ResetAgo = time.Now(), time.Hour },
			func(c *Config[string]) { c.Topics, c.TopicPatterns, c.NotTopics = nil, []string{"a.*"}, []string{"ab"} },
		} {
			cfg := good
			change(&cfg)
			cfg = cfg.withDefaults()
			if err := cfg.validate(); err != nil {
				t.Errorf("%v", err)
			}
			client, err := kgo.NewClient(cfg.options(nil)...)
			if err != nil {
				t.Errorf("the client refuses: %v", err)
				continue
			}
			client.Close()
		}
	})
	t.Run("K16_the_clients_own_options", func(t *testing.T) {
		cfg := Config[string]{Brokers: []string{"b:1"}, Topics: []string{topic}, Group: "g", Decode: decodeName,
			Options: []kgo.Opt{kgo.SessionTimeout(-1)}}
		_, err := NewProducer(cfg)
		if got, ok := errors.AsType[*OptionError](err); !ok || got.Option != "Options" {
			t.Errorf("NewProducer returns %v", err)
		}
	})
	t.Run("K7_records_reach_decode_whole", func(t *testing.T) { virtually(t, 2, recordsReachDecodeWhole) })
	t.Run("K8_one_and_several_partitions", func(t *testing.T) {
		for _, partitions := range []int32{1, 4} {
			virtually(t, partitions, fiveOfEach)
		}
	})
	t.Run("K9_the_client_is_gone_at_the_end", func(t *testing.T) { virtually(t, 1, theClientIsGoneAtTheEnd) })
	// K12 and K13 are also tried by every other test: the world that they run
	// in fails for a commit that goes back or passes an unfinished record.
	t.Run("K12_commits_in_order", func(t *testing.T) { virtually(t, 2, commitsInOrder) })
	t.Run("K13_goes_on_after_revoke_and_stops_after_drain", func(t *testing.T) { virtually(t, 2, goesOnAfterRevokeAndStopsAfterDrain) })
	t.Run("K14_goes_on_when_the_connection_is_back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, virtual(2))
			w.produce(50, 0, 1)
			m := w.join(w.config(), w.slowly("a", 10*time.Millisecond), stage.SubscribeConfig{MaxDemand: 10})
			for _, down := range []time.Duration{time.Second, 2 * time.Minute} { // within the session timeout and beyond it
				w.waitAll()
				m.cable.cut()
				<-time.After(down)
				m.cable.mend()
				w.produce(50, 0, 1)
			}
			w.waitAll()
			m.leave()
			w.check()
		})
	})
}

func recordsReachDecodeWhole(t *testing.T, w *world) {
	client, err := kgo.NewClient(append(w.options(), kgo.SeedBrokers(w.addrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	// Not of long ago: a broker deletes what is older than its retention, before it is read.
	at := time.UnixMilli(time.Now().Add(-time.Hour).UnixMilli())
	if err := client.ProduceSync(t.Context(), &kgo.Record{
		Topic: w.topic, Partition: 1, Key: []byte("k"), Value: []byte("v"), Timestamp: at,
		Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("x")}},
	}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	cfg := w.config()
	cfg.Decode = func(r *kgo.Record) (string, error) {
		if r.Topic != w.topic || r.Partition != 1 || r.Offset != 0 || string(r.Key) != "k" || string(r.Value) != "v" ||
			!r.Timestamp.Equal(at) || len(r.Headers) != 1 || r.Headers[0].Key != "h" || string(r.Headers[0].Value) != "x" {
			t.Errorf("the record is %+v", r)
		}
		return decodeName(r)
	}
	m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
	w.wait("the record", func() bool { return len(w.handled) == 1 })
	m.leave()
}

func theClientIsGoneAtTheEnd(t *testing.T, w *world) {
	w.produce(1, 0)
	m := w.join(w.config(), w.handler("a"), stage.SubscribeConfig{})
	w.waitAll()
	m.leave()
	if n := w.groupSize(); n != 0 {
		t.Errorf("the group has %d members", n)
	}
}

func commitsInOrder(t *testing.T, w *world) {
	w.produce(100, 0, 1)
	cfg := w.config()
	cfg.CommitInterval = 100 * time.Millisecond
	m := w.join(cfg, w.slowly("a", 100*time.Millisecond), stage.SubscribeConfig{MaxDemand: 20})
	w.waitAll()
	m.leave()
	w.check()
	if s := m.producer.Snapshot(); s.Commits < 5 {
		t.Errorf("stats are %+v", s)
	}
}

func goesOnAfterRevokeAndStopsAfterDrain(t *testing.T, w *world) {
	w.produce(50, 0, 1)
	first := w.join(w.config(), w.handler("first"), stage.SubscribeConfig{})
	second := w.join(w.config(), w.handler("second"), stage.SubscribeConfig{})
	w.waitAll()
	w.wait("two members", func() bool {
		return len(first.producer.Snapshot().Partitions) == 1 && len(second.producer.Snapshot().Partitions) == 1
	})
	second.leave()
	polled := second.producer.Snapshot().Records
	w.wait("both partitions", func() bool { return len(first.producer.Snapshot().Partitions) == 2 })
	w.produce(50, 0, 1)
	w.waitAll()
	first.leave()
	if again := second.producer.Snapshot().Records; again != polled {
		t.Errorf("after the drain %d records were polled", again-polled)
	}
	w.check()
}

func tenThousandOverThreePartitions(t *testing.T, w *world) {
	w.produce(3334, 0, 1, 2)
	m := w.join(w.config(), w.handler("a"), stage.SubscribeConfig{})
	w.waitAll()
	m.leave()
	if repeated := w.check(); repeated != 0 {
		t.Errorf("%d were delivered twice", repeated)
	}
	for p, o := range w.committed() {
		if o != 3334 {
			t.Errorf("partition %s is committed up to %d", p, o)
		}
	}
	if s := m.producer.Snapshot(); s.Records != 3*3334 || s.Poison != 0 || s.CommitErrors != 0 {
		t.Errorf("stats are %+v", s)
	}
}

func fiveOfEach(_ *testing.T, w *world) {
	for p := range w.partitions {
		w.produce(5, p)
	}
	m := w.join(w.config(), w.handler("a"), stage.SubscribeConfig{})
	w.waitAll()
	m.leave()
	w.check()
}
