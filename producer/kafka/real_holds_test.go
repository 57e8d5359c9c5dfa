package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/internal/kafkatest"
	"github.com/penstock-go/penstock/stage"
)

// The tests of this file hold what a member does while brokers and group are well, on Apache
// Kafka: demand, commits, rebalances, static members, compacted topics, TLS and passwords.

// TestRealExactDemand: no more is polled than the stage has asked for, however long the
// consumer takes.
func TestRealExactDemand(t *testing.T) {
	w := realWorld(t, 1)
	w.produce(25, 0)
	sizes := make(chan int)
	m := w.join(w.config(), stage.ConsumerFunc[string](func(_ context.Context, events []string) error {
		sizes <- len(events)
		w.done("a", events...)
		return nil
	}), stage.SubscribeConfig{MaxDemand: 10, MinDemand: stage.None})
	for i, want := range []int{10, 10, 5} {
		polled := func() int { return int(m.producer.Snapshot().Records) }
		w.wait("what was asked for", func() bool { return polled() >= min(10*(i+1), 25) })
		time.Sleep(time.Second) // for what must not come
		if n := polled(); n != min(10*(i+1), 25) {
			t.Errorf("before call %d of the handler, %d records were polled", i, n)
		}
		if got := <-sizes; got != want {
			t.Errorf("call %d got %d events, want %d", i, got, want)
		}
	}
	w.waitAll()
	m.leave()
	w.check()
}

// TestRealCommitsAreContiguous has a pool finish records in a random order, with some that
// take three seconds: no commit passes one of them, and in the end all are committed.
func TestRealCommitsAreContiguous(t *testing.T) {
	w := realWorld(t, 3)
	w.produce(1000, 0, 1, 2)
	pool := stage.Must(consumer.NewSupervisor(func(_ context.Context, e string) error {
		if offsetOf(e)%300 == 150 {
			time.Sleep(3 * time.Second)
		} else {
			time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
		}
		w.done(e, e) // an order of its own for each event
		return nil
	}, consumer.SupervisorConfig[string]{MaxDemand: 200}))
	cfg := w.config()
	cfg.CommitInterval = 50 * time.Millisecond
	m := w.join(cfg, pool, stage.SubscribeConfig{})
	w.waitAll()
	w.wait("the last commit", func() bool { return w.commits["0"] == 1000 && w.commits["1"] == 1000 && w.commits["2"] == 1000 })
	m.leave()
	if repeated := w.check(); repeated != 0 {
		t.Errorf("%d were delivered twice", repeated)
	}
	if s := m.producer.Snapshot(); s.CommitErrors > 0 {
		t.Errorf("%+v", s)
	}
}

// TestRealStorm has members join and leave every half second while records come: nothing is
// lost, nothing is handled twice, and the group is never without a delivery for long.
func TestRealStorm(t *testing.T) {
	for name, balancer := range map[string]kgo.GroupBalancer{"cooperative": kgo.CooperativeStickyBalancer(), "eager": kgo.StickyBalancer()} {
		t.Run(name, func(t *testing.T) {
			w := worldOn(t, kafkatest.Shared(t), 6) // not in parallel: it measures gaps
			length := 10 * time.Second
			if long {
				length = time.Minute
			}
			seed := uint64(time.Now().UnixNano())
			r := rand.New(rand.NewPCG(seed, 3))
			clock := w.clock()
			var last, gap time.Duration
			sink := func(member string) stage.ConsumerFunc[string] {
				return func(_ context.Context, events []string) error {
					w.mu.Lock()
					now := clock()
					if last > 0 {
						gap = max(gap, now-last)
					}
					last = now
					w.mu.Unlock()
					w.done(member, events...)
					return nil
				}
			}
			join := func(i int) *member {
				cfg := w.config()
				cfg.Options = append(cfg.Options, kgo.Balancers(balancer))
				return w.join(cfg, sink(fmt.Sprint("m", i)), stage.SubscribeConfig{MaxDemand: 50})
			}
			stable := join(0)
			w.produce(1, 0, 1, 2, 3, 4, 5)
			w.waitAll()
			stop := make(chan struct{})
			var pouring sync.WaitGroup
			pouring.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(20 * time.Millisecond):
						w.produce(5, 0, 1, 2, 3, 4, 5)
					}
				}
			})
			others, changes := []*member{}, 0
			for end := time.Now().Add(length); time.Now().Before(end); changes++ {
				if len(others) < 2 || len(others) < 5 && r.IntN(2) == 0 {
					others = append(others, join(changes+1))
				} else {
					i := r.IntN(len(others))
					others[i].leave()
					others = append(others[:i], others[i+1:]...)
				}
				time.Sleep(500 * time.Millisecond)
			}
			w.mu.Lock()
			longest := gap
			w.mu.Unlock()
			close(stop)
			pouring.Wait()
			w.waitAll()
			for _, m := range append(others, stable) {
				m.leave()
			}
			repeated := w.check()
			t.Logf("%s, seed %d: %d joins and leaves, %d records, %d handled twice, longest gap %v", name, seed, changes, len(w.produced), repeated, longest.Round(time.Millisecond))
			bound := 4 * time.Second // less than the session; the machine may be shared
			if long {
				bound = 500 * time.Millisecond
			}
			if repeated != 0 || longest > bound {
				t.Errorf("%d handled twice, longest gap %v", repeated, longest)
			}
		})
	}
}

// TestRealStaticMembers restarts a static member within its session: it has its partitions
// back, and the other member keeps its own without a new assignment.
func TestRealStaticMembers(t *testing.T) {
	w := realWorld(t, 4)
	join := func(name string) *member {
		cfg := w.config()
		cfg.Options = append(cfg.Options, kgo.InstanceID(name), kgo.SessionTimeout(20*time.Second))
		return w.join(cfg, w.handler(name), stage.SubscribeConfig{})
	}
	a, b := join("a"), join("b")
	w.wait("both members", func() bool {
		return len(a.producer.Snapshot().Partitions) == 2 && len(b.producer.Snapshot().Partitions) == 2
	})
	w.produce(200, 0, 1, 2, 3)
	w.waitAll()
	before := b.producer.Snapshot().Partitions
	for range 3 {
		had := a.producer.Snapshot().Partitions
		a.leave()
		w.produce(200, 0, 1, 2, 3)
		a = join("a")
		w.waitAll()
		for i, p := range a.producer.Snapshot().Partitions {
			if len(had) != 2 || p.Partition != had[i].Partition {
				t.Errorf("partitions %+v after %+v", p, had)
			}
		}
	}
	for i, p := range b.producer.Snapshot().Partitions {
		if p.Partition != before[i].Partition || p.Epoch != before[i].Epoch {
			t.Errorf("the other member had %+v and has %+v", before[i], p)
		}
	}
	a.leave()
	b.leave()
	if repeated := w.check(); repeated != 0 {
		t.Errorf("%d were delivered twice", repeated)
	}
}

// TestRealCompactedTopic reads a topic with gaps between the offsets: all records that are
// left are handled, and the group is committed up to the end.
func TestRealCompactedTopic(t *testing.T) {
	cluster := kafkatest.Shared(t)
	w := realWorld(t, 1)
	compacted := cluster.Topic(1, "cleanup.policy=compact", "segment.ms=100", "min.cleanable.dirty.ratio=0.01", "delete.retention.ms=0")
	w.topic = compacted
	const rounds, each = 20, 50
	for range rounds {
		cluster.Produce(compacted, 1, each, 10)
		time.Sleep(120 * time.Millisecond) // for a segment of its own
	}
	left := func() (offsets []int64) {
		client := cluster.Client(kgo.ConsumeTopics(compacted))
		defer client.Close()
		for {
			for _, r := range client.PollFetches(t.Context()).Records() {
				offsets = append(offsets, r.Offset)
				if r.Offset == rounds*each-1 {
					return offsets
				}
			}
		}
	}
	var offsets []int64
	for deadline := time.Now().Add(40 * time.Second); ; {
		if offsets = left(); len(offsets) < rounds*each*9/10 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the broker does not compact: %d records are left", len(offsets))
		}
		time.Sleep(500 * time.Millisecond)
	}
	cfg := w.config()
	m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
	w.wait("the last record", func() bool { return w.handled[name(0, rounds*each-1)] > 0 })
	m.leave()
	if c := w.committed()["0"]; c != rounds*each {
		t.Errorf("%d of %d offsets are committed", c, rounds*each)
	}
	// The cleaner may have gone on since the look: what was handled is what is left at most.
	if n := len(w.handled); n > len(offsets) || n == 0 {
		t.Errorf("%d records were handled of %d that were left", n, len(offsets))
	}
	for _, o := range left() {
		if w.handled[name(0, o)] != 1 {
			t.Errorf("offset %d was handled %d times", o, w.handled[name(0, o)])
		}
	}
	t.Logf("%d of %d records were left by the cleaner", len(offsets), rounds*each)
}

// TestRealSecureListeners reads through TLS, a password, and both.
func TestRealSecureListeners(t *testing.T) {
	kafkatest.Shared(t)
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.Config{})
	topic := cluster.Topic(1)
	cluster.Produce(topic, 1, 100, 1)
	for kind, options := range map[string][]kgo.Opt{
		"tls":     {cluster.Certificate()},
		"sasl":    {kafkatest.Password("PLAIN", "secret")},
		"saslssl": {cluster.Certificate(), kafkatest.Password("SCRAM-SHA-256", "secret")},
	} {
		t.Run(kind, func(t *testing.T) {
			group := cluster.Group()
			source := stage.Must(stage.NewProducer(stage.Must(NewProducer(Config[string]{
				Brokers: cluster.AddrsOf(kind), Topics: []string{topic}, Group: group, Decode: decodeName, Options: options,
			})), stage.ProducerConfig[string]{}))
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			n := 0
			end := stage.Must(stage.NewConsumer(stage.ConsumerFunc[string](func(_ context.Context, events []string) error {
				if n += len(events); n == 100 {
					cancel()
				}
				return nil
			}), stage.ConsumerConfig{}))
			subscribe(t, end, source, stage.SubscribeConfig{})
			if err := stage.Run(ctx, source, end); err != nil {
				t.Error(err)
			}
			if c := cluster.Committed(group, topic)[0]; n != 100 || c != 100 {
				t.Errorf("%d handled, %d committed", n, c)
			}
		})
	}
}

// TestRealNothingIsLost ends the first member at a random one of its steps, as
// TestNothingIsLost does at every one, for each shape of pipeline.
func TestRealNothingIsLost(t *testing.T) {
	endings := []ending{crashes, stops, gives, panics}
	for i, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			w := realWorld(t, 2)
			at := 1 + rand.IntN(40)
			t.Logf("ends at step %d by %s", at, endings[i%len(endings)])
			endMember(w, s, endings[i%len(endings)], at)
		})
	}
}
