package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/stage"
)

// recordsOf reads n records of a topic.
func recordsOf(t *testing.T, b *embeddedkafka.Broker, topic string, n int) (all []*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(append(b.Options(), kgo.SeedBrokers(b.Addrs()...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for len(all) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d of %d records: %v", len(all), n, err)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

func TestDeadLettersInATopic(t *testing.T) {
	b, err := embeddedkafka.Start(embeddedkafka.Config{Topics: map[string]int32{"dead": 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	sink, err := NewDeadLetters(WriterConfig{Brokers: b.Addrs(), Topic: "dead"})
	if err != nil {
		t.Fatal(err)
	}
	first := time.Now().Add(-time.Minute).Round(0)
	good := deadletter.Of(map[string]string{"a": "<b>"}, nil)
	good.Pipeline, good.Stage, good.Key, good.Error, good.Attempts = "p", "rows", "k", "no such table", 3
	good.First, good.Last, good.Source = first, first.Add(time.Second), "pushes/3@1042"
	binary := deadletter.Letter{Stage: "rows", Key: "\xff\x00", Error: strings.Repeat("ä", maxHeaderText)}
	binary.SetBytes([]byte{0, 255})
	broken := deadletter.Letter{Binary: true, Event: []byte("no base64")}
	b.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicasAfterAppend, Count: 1})
	if err := sink.Write(t.Context(), []deadletter.Letter{good, binary, broken}); err != nil {
		t.Fatal(err)
	}
	if n := b.Cluster.PartitionInfo("dead", 0).HighWatermark; n != 3 {
		t.Errorf("%d records are durable", n)
	}
	if err := sink.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	records := recordsOf(t, b, "dead", 3)
	if string(records[0].Value) != `{"a":"\u003cb\u003e"}` || string(records[0].Key) != "k" {
		t.Errorf("record %s: %s", records[0].Key, records[0].Value)
	}
	headers := map[string]string{}
	for _, h := range records[0].Headers {
		headers[h.Key] = string(h.Value)
	}
	if headers["dead-letter-error"] != "no such table" || headers["dead-letter-attempts"] != "3" || headers["dead-letter-source"] != "pushes/3@1042" || len(headers) != 7 {
		t.Errorf("headers %q", headers)
	}
	got := LetterOf(records[0])
	if !got.First.Equal(good.First) || !got.Last.Equal(good.Last) {
		t.Errorf("times %v and %v", got.First, got.Last)
	}
	got.First, got.Last = good.First, good.Last
	if fmt.Sprint(got) != fmt.Sprint(good) {
		t.Errorf("%+v, want %+v", got, good)
	}
	got = LetterOf(records[1])
	if data, err := got.Bytes(); string(data) != "\x00\xff" || err != nil || got.Key != binary.Key || len(got.Error) != maxHeaderText || !strings.HasPrefix(binary.Error, got.Error) {
		t.Errorf("%q, %v, key %q, %d bytes of the error", data, err, got.Key, len(got.Error))
	}
	if got := LetterOf(records[2]); got.EncodeError == "" {
		t.Errorf("%+v", got)
	}
	foreign := LetterOf(&kgo.Record{Value: []byte("x"), Headers: []kgo.RecordHeader{{Key: "dead-letter-attempts", Value: []byte("many")}}})
	if data, _ := foreign.Bytes(); string(data) != "x" || foreign.Attempts != 0 || foreign.Error != "" {
		t.Errorf("%+v", foreign)
	}
}

// keep is a sink that notes its letters as finished in the world.
type keep struct {
	w       *world
	broken  atomic.Bool
	mu      sync.Mutex
	stored  map[string]int // by source
	letters []deadletter.Letter
}

func (k *keep) Write(_ context.Context, letters []deadletter.Letter) error {
	if k.broken.Load() {
		return io.ErrClosedPipe
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range letters {
		k.stored[l.Source]++
		k.letters = append(k.letters, l)
		k.w.done("poison", strings.NewReplacer(topic+"/", "", "@", "/").Replace(l.Source))
	}
	return nil
}

// refuse makes every tenth record poison.
func refuse(r *kgo.Record) (string, error) {
	if r.Offset%10 == 3 {
		return "", fmt.Errorf("offset %d is not wanted", r.Offset)
	}
	return decodeName(r)
}

// While the sink fails no commit passes a record whose letter is not stored; the others of
// the partition go on up to the window.
func TestPoisonWaitsForItsLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(1))
		w.produce(100, 0)
		sink := &keep{w: w, stored: map[string]int{}}
		sink.broken.Store(true)
		offered := 0
		cfg := w.config()
		cfg.Decode, cfg.DeadLetters, cfg.Window = refuse, sink, 50
		cfg.OnPoison = func(*kgo.Record, error) { offered++ }
		m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{MaxDemand: 10})
		time.Sleep(time.Minute)
		if c := w.committed()["0"]; c != 3 {
			t.Errorf("committed up to %d", c)
		}
		s := m.producer.Snapshot()
		if n := s.DeadLetters.Waiting; n < 5 || n == 10 || s.Poison != int64(n) || offered != n || s.Partitions[0].Unfinished != n || s.DeadLetters.Stored != 0 {
			t.Errorf("%+v, %+v", s, s.DeadLetters)
		}
		sink.broken.Store(false)
		w.waitAll()
		m.leave()
		w.check()
		if c := w.committed()["0"]; c != 100 {
			t.Errorf("committed up to %d", c)
		}
		if s := m.producer.Snapshot(); s.DeadLetters.Stored != 10 || s.DeadLetters.Waiting+int(s.DeadLetters.Left) != 0 {
			t.Errorf("%+v", s.DeadLetters)
		}
		for i, l := range sink.letters {
			o := i*10 + 3
			if l.Source != fmt.Sprintf("pushes/0@%d", o) || l.Stage != "source" || l.Error != fmt.Sprintf("offset %d is not wanted", o) || string(l.Event) != `"x"` && l.Attempts != 1 {
				t.Errorf("letter %d: %+v", i, l)
			}
		}
	})
}

// At the end the letters that can be stored are, and what cannot be is not committed.
func TestPoisonAtTheEnd(t *testing.T) {
	for _, broken := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, virtual(1))
			w.produce(20, 0)
			sink := &keep{w: w, stored: map[string]int{}}
			sink.broken.Store(true)
			cfg := w.config()
			cfg.Decode, cfg.DeadLetters = refuse, sink
			m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
			w.wait("the others", func() bool { return len(w.handled) == 18 })
			sink.broken.Store(broken)
			m.leave()
			want := map[bool]int64{false: 20, true: 3}[broken]
			if c := w.committed()["0"]; c != want {
				t.Errorf("sink broken %t: committed up to %d", broken, c)
			}
			if s := m.producer.Snapshot().DeadLetters; s.Sent != s.Stored+s.Left || broken != (s.Left == 2) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// Members crash while the sink fails now and then: each record is handled or has a letter,
// and no commit passes one that has neither.
func TestNoPoisonIsLost(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 9))
			w := newWorld(t, virtual(2))
			w.produce(300, 0, 1)
			sink := &keep{w: w, stored: map[string]int{}}
			cfg := w.config()
			cfg.Decode, cfg.DeadLetters, cfg.Window, cfg.CommitInterval = refuse, sink, 40, 20*time.Millisecond
			stop := make(chan struct{})
			var reaper sync.WaitGroup
			reaper.Go(func() { w.expireSessions(stop) })
			defer reaper.Wait()
			defer close(stop)
			join := func() *member {
				return w.join(cfg, stage.ConsumerFunc[string](func(_ context.Context, events []string) error {
					time.Sleep(5 * time.Millisecond)
					w.done("a", events...)
					return nil
				}), stage.SubscribeConfig{MaxDemand: 7})
			}
			m := join()
			for range 4 {
				sink.broken.Store(r.IntN(2) == 0)
				time.Sleep(time.Duration(r.IntN(int(3 * time.Second))))
				m.kill()
				m = join()
			}
			sink.broken.Store(false)
			w.waitAll()
			m.leave()
			w.mu.Lock()
			w.order = nil // members overlap
			w.mu.Unlock()
			w.check()
			if n := len(sink.stored); n != 60 {
				t.Errorf("seed %d: letters of %d records", seed, n)
			}
			for p, c := range w.committed() {
				if c != 300 {
					t.Errorf("seed %d: partition %s is committed up to %d", seed, p, c)
				}
			}
		})
	}
}

func TestDeadLettersAreRefused(t *testing.T) {
	_, err := NewDeadLetters(WriterConfig{})
	if got, ok := errors.AsType[*OptionError](err); !ok || got.Owner != "kafka.DeadLetters" {
		t.Errorf("%v", err)
	}
	cfg := Config[string]{Brokers: []string{"b:1"}, Topics: []string{topic}, Group: "g", Decode: decodeName, DeadLetters: (*DeadLetters)(nil)}
	_, err = NewProducer(cfg)
	if got, ok := errors.AsType[*OptionError](err); !ok || got.Option != "DeadLetters" {
		t.Errorf("%v", err)
	}
}
