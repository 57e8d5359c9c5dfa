package kafka

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/metricstest"
	"github.com/penstock-go/penstock/stage"
)

// With Start Newest nothing is lost that comes after the group has begun: not across a
// restart before the first commit, and not on partitions that are added.
func TestNewestLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(2))
		w.produce(50, 0, 1)
		w.forgetProduced()
		for p := range int32(2) {
			for o := range int64(50) {
				w.finished[name(p, o)] = true
			}
		}
		cfg := w.config()
		cfg.Start, cfg.CommitInterval = Newest, time.Minute
		m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
		w.wait("ready", func() bool { return m.producer.Ready() == nil && w.committed()["0"] == 50 && w.committed()["1"] == 50 })
		m.kill()
		w.produce(10, 0, 1)
		cfg.Options = append(cfg.Options, kgo.MetadataMaxAge(10*time.Second))
		m = w.join(cfg, w.handler("b"), stage.SubscribeConfig{})
		w.waitAll()
		client, err := kgo.NewClient(append(w.broker.Options(), kgo.SeedBrokers(w.broker.Addrs()...))...)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := kadm.NewClient(client).CreatePartitions(context.Background(), 1, topic); err != nil {
			t.Fatal(err)
		}
		w.produce(10, 2) // before the group knows of it
		w.waitAll()
		m.leave()
		w.check()
	})
}

// forgetProduced has the test not wait for what was produced until now.
func (w *world) forgetProduced() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.produced)
}

// Lag is what the broker says: before the first poll, behind a consumer that is stuck, and
// none any more after the end.
func TestLagComesFromTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(1))
		w.produce(50, 0)
		seen := metricstest.New()
		tags := []metrics.Tag{{Key: "group", Value: "g"}, {Key: "topic", Value: topic}, {Key: "partition", Value: "0"}}
		cfg := w.config()
		cfg.Metrics = seen
		lag := func(m *member, n int64) bool {
			s := m.producer.Snapshot()
			v, _ := seen.Value("kafka.lag", tags...)
			return len(s.Partitions) == 1 && s.Partitions[0].Lag == n && v == float64(n)
		}
		release := make(chan struct{})
		m := w.join(cfg, stage.ConsumerFunc[string](func(_ context.Context, events []string) error {
			<-release
			w.done("a", events...)
			return nil
		}), stage.SubscribeConfig{Manual: true})
		w.wait("the lag before the first poll", func() bool { return lag(m, 50) })
		m.leave()
		m = w.join(cfg, stage.ConsumerFunc[string](func(_ context.Context, events []string) error {
			<-release
			w.done("a", events...)
			return nil
		}), stage.SubscribeConfig{MaxDemand: 10})
		w.wait("the first records", func() bool { return m.producer.Snapshot().Records > 0 })
		w.produce(50, 0)
		w.wait("the lag behind a consumer that is stuck", func() bool { return lag(m, 100) })
		close(release)
		w.waitAll()
		w.wait("no lag", func() bool { return lag(m, 0) })
		w.produce(5, 0)
		w.waitAll()
		m.leave()
		if v, _ := seen.Value("kafka.lag", tags...); v != 0 {
			t.Errorf("after the end the lag is %v", v)
		}
	})
}

func TestSessionTimeoutIsChecked(t *testing.T) {
	good := Config[string]{Brokers: []string{"b:1"}, Topics: []string{topic}, Group: "g", Decode: decodeName}
	for name, c := range map[string]struct {
		change func(*Config[string])
		option string // "" if accepted
	}{
		"short":                {func(c *Config[string]) { c.SessionTimeout = 2 * time.Second }, ""},
		"too short":            {func(c *Config[string]) { c.SessionTimeout = 500 * time.Millisecond }, "SessionTimeout"},
		"too long":             {func(c *Config[string]) { c.SessionTimeout = time.Hour }, "SessionTimeout"},
		"less than heartbeats": {func(c *Config[string]) { c.Options = []kgo.Opt{kgo.SessionTimeout(2 * time.Second)} }, "Options"},
		"with heartbeats": {func(c *Config[string]) {
			c.Options = []kgo.Opt{kgo.SessionTimeout(2 * time.Second), kgo.HeartbeatInterval(500 * time.Millisecond)}
		}, ""},
		"policy": {func(c *Config[string]) { c.BadBatches = 2 }, "BadBatches"},
	} {
		cfg := good
		c.change(&cfg)
		_, err := NewProducer(cfg)
		got, refused := errors.AsType[*OptionError](err)
		if refused != (c.option != "") || refused && got.Option != c.option {
			t.Errorf("%s: %v", name, err)
		}
	}
}
