package kafka

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/stage"
)

// cluster is a broker for tests that run against the embedded one and a real one alike.
type cluster struct {
	t      *testing.T
	addrs  []string
	admin  *kadm.Client
	client *kgo.Client // of the test's own records
	suffix string      // makes the names of a run its own
	real   bool
}

// embedded starts a broker in the process.
func embedded(t *testing.T) *cluster {
	t.Helper()
	broker, err := embeddedkafka.Start(embeddedkafka.Config{RetentionBytes: -1, Options: []kfake.Opt{
		kfake.BrokerConfigs(map[string]string{"group.min.session.timeout.ms": "1000"}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	return newCluster(t, broker.Addrs())
}

// foreign returns the broker that PENSTOCK_KAFKA names. The test runs in parallel.
func foreign(t *testing.T) *cluster {
	t.Helper()
	list := os.Getenv("PENSTOCK_KAFKA")
	if list == "" {
		t.Skip("PENSTOCK_KAFKA is not set to the host:port of a real broker")
	}
	t.Parallel() // they wait most of the time
	c := newCluster(t, strings.Split(list, ","))
	c.real = true
	return c
}

func newCluster(t *testing.T, addrs []string) *cluster {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &cluster{t: t, addrs: addrs, client: client, admin: kadm.NewClient(client), suffix: fmt.Sprintf("-%x", time.Now().UnixNano())}
}

// name makes a name of this run.
func (c *cluster) name(base string) string { return base + c.suffix }

// topic makes a topic and returns its name.
func (c *cluster) topic(base string, partitions int32) string {
	c.t.Helper()
	name := c.name(base)
	if _, err := c.admin.CreateTopic(c.t.Context(), partitions, -1, nil, name); err != nil {
		c.t.Fatal(err)
	}
	return name
}

// produce writes records to a partition, each with its timestamp if it has one.
func (c *cluster) produce(topic string, partition int32, values ...string) {
	c.t.Helper()
	var records []*kgo.Record
	for _, v := range values {
		records = append(records, &kgo.Record{Topic: topic, Partition: partition, Key: []byte(v), Value: []byte(v)})
	}
	c.send(records...)
}

func (c *cluster) send(records ...*kgo.Record) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	if err := c.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// transact writes records in a transaction, which it commits or aborts.
func (c *cluster) transact(commit bool, topic string, partition int32, values ...string) {
	c.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionalID(c.name("writer")))
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		c.t.Fatal(err)
	}
	for _, v := range values {
		r := &kgo.Record{Topic: topic, Partition: partition, Value: []byte(v)}
		if err := client.ProduceSync(c.t.Context(), r).FirstErr(); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := client.EndTransaction(c.t.Context(), kgo.TransactionEndTry(commit)); err != nil {
		c.t.Fatal(err)
	}
}

// committed returns a group's offset on a partition, or -1.
func (c *cluster) committed(group, topic string, partition int32) int64 {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	all, err := c.admin.FetchOffsets(ctx, group)
	if err != nil {
		return -1
	}
	o, ok := all.Lookup(topic, partition)
	if !ok {
		return -1
	}
	return o.At
}

// config is that of a member of group that reads topics, whose events are the values.
func (c *cluster) config(group string, topics ...string) Config[string] {
	return Config[string]{
		Brokers: c.addrs, Topics: topics, Group: c.name(group), CommitInterval: 50 * time.Millisecond,
		Decode: func(r *kgo.Record) (string, error) { return string(r.Value), nil },
	}
}

// reader is a running pipeline of a source and a consumer that notes the events.
type reader struct {
	t        *testing.T
	mu       sync.Mutex
	list     []string
	pipeline *stage.Pipeline
	ended    chan error
}

// read runs a source into a list.
func read(t *testing.T, source stage.Producer[string]) *reader {
	t.Helper()
	return readWith(t, source, func([]string) error { return nil })
}

// readWith is read with a function whose error fails the events.
func readWith(t *testing.T, source stage.Producer[string], handle func([]string) error) *reader {
	t.Helper()
	r := &reader{t: t, ended: make(chan error, 1)}
	in := stage.Must(stage.NewProducer(source, stage.ProducerConfig[string]{Name: "source"}))
	out := stage.Must(stage.NewConsumer(stage.ConsumerFunc[string](func(_ context.Context, events []string) error {
		if err := handle(events); err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.list = append(r.list, events...)
		return nil
	}), stage.ConsumerConfig{Name: "sink"}))
	subscribe(t, out, in, stage.SubscribeConfig{})
	r.pipeline = stage.Must(stage.NewPipeline(stage.PipelineConfig{}, in, out))
	go func() { r.ended <- r.pipeline.Run(context.Background()) }()
	t.Cleanup(func() { r.pipeline.Stop(nil) })
	return r
}

// events returns what has come until now.
func (r *reader) events() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// leave drains the pipeline.
func (r *reader) leave() {
	r.t.Helper()
	r.pipeline.Drain()
	select {
	case err := <-r.ended:
		if err != nil {
			r.t.Errorf("the pipeline ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		r.t.Error("the pipeline does not end")
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come", what)
		}
	}
}

// want waits until exactly these events have come, in any order.
func (r *reader) want(values ...string) {
	r.t.Helper()
	sorted := slices.Sorted(slices.Values(values))
	eventually(r.t, strings.Join(values, " "), func() bool { return len(r.events()) >= len(values) })
	if got := slices.Sorted(slices.Values(r.events())); !slices.Equal(got, sorted) {
		r.t.Fatalf("got %q, want %q", got, sorted)
	}
}
