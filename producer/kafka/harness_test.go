package kafka

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock-go/penstock/internal/kafkatest"
	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/stage"
)

const topic = "pushes"

// world is a broker, everything that was produced to it, and everything that
// its members have handled.
type world struct {
	t       testing.TB
	broker  *embeddedkafka.Broker // nil in a real world
	real    *kafkatest.Cluster    // nil in others
	proxy   *kafkatest.Proxy      // between members and the brokers of a real world; nil: none
	clients clientLog             // of members of a real world
	topic   string
	group   string

	partitions int32

	mu       sync.Mutex
	changed  chan struct{}
	produced map[string]bool
	handled  map[string]int // how often
	order    map[string][]string
	finished map[string]bool // by any consumer, poison included
	commits  map[string]int64
	wrong    []string // what must never be
	members  []*member

	gone       map[[16]byte]bool // topics that were deleted
	committing func()            // called for each commit, before the broker takes it
	refusing   atomic.Bool       // commits are refused, as while a group is rebalanced

	wire func(net.Conn) net.Conn // put around each connection of a member; nil: nothing
}

func newWorld(t testing.TB, cfg embeddedkafka.Config) *world {
	t.Helper()
	if cfg.Topics == nil {
		cfg.Topics = map[string]int32{topic: 1}
	}
	broker, err := embeddedkafka.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	w := emptyWorld(t)
	w.broker, w.topic, w.group, w.partitions = broker, topic, "g", cfg.Topics[topic]
	broker.Cluster.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		broker.Cluster.KeepControl()
		if w.refusing.Load() {
			return refuseCommit(req.(*kmsg.OffsetCommitRequest)), nil, true
		}
		w.inspect(req.(*kmsg.OffsetCommitRequest))
		if w.committing != nil {
			w.committing()
		}
		return nil, nil, false
	})
	return w
}

func emptyWorld(t testing.TB) *world {
	return &world{
		t: t, changed: make(chan struct{}),
		produced: map[string]bool{}, handled: map[string]int{}, order: map[string][]string{},
		finished: map[string]bool{}, commits: map[string]int64{}, gone: map[[16]byte]bool{},
	}
}

func (w *world) addrs() []string {
	if w.real != nil {
		return w.real.Addrs()
	}
	return w.broker.Addrs()
}

// options are what a client needs to reach the brokers.
func (w *world) options() []kgo.Opt {
	switch {
	case w.real == nil:
		return w.broker.Options()
	case w.proxy != nil:
		return []kgo.Opt{kgo.Dialer(w.proxy.Dial)}
	}
	return nil
}

// refuseCommit is how a broker refuses a commit during a rebalance.
func refuseCommit(req *kmsg.OffsetCommitRequest) *kmsg.OffsetCommitResponse {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, rt := range req.Topics {
		st := kmsg.OffsetCommitResponseTopic{Topic: rt.Topic, TopicID: rt.TopicID}
		for _, rp := range rt.Partitions {
			st.Partitions = append(st.Partitions, kmsg.OffsetCommitResponseTopicPartition{
				Partition: rp.Partition, ErrorCode: kerr.RebalanceInProgress.Code,
			})
		}
		resp.Topics = append(resp.Topics, st)
	}
	return resp
}

// inspect checks that no commit passes an unfinished record. A commit names its topic by ID:
// the broker refuses one of a topic that is gone, also when another has the name now.
func (w *world) inspect(req *kmsg.OffsetCommitRequest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range req.Topics {
		if w.gone[t.TopicID] {
			continue
		}
		for _, p := range t.Partitions {
			for o := range p.Offset {
				if id := name(p.Partition, o); !w.finished[id] {
					w.wrong = append(w.wrong, fmt.Sprintf("commit of %d/%d though %s is not finished", p.Partition, p.Offset, id))
					break
				}
			}
			key := strconv.Itoa(int(p.Partition))
			if p.Offset < w.commits[key] {
				w.wrong = append(w.wrong, fmt.Sprintf("commit of %s/%d after %d", key, p.Offset, w.commits[key]))
			}
			w.commits[key] = p.Offset
		}
	}
	w.notify()
}

func name(partition int32, offset int64) string { return fmt.Sprintf("%d/%d", partition, offset) }

func (w *world) notify() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// produce writes n records to each of the partitions.
func (w *world) produce(n int, partitions ...int32) {
	w.t.Helper()
	client, err := kgo.NewClient(append(w.options(), kgo.SeedBrokers(w.addrs()...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(w.topic))...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	var records []*kgo.Record
	for range n {
		for _, p := range partitions {
			records = append(records, &kgo.Record{Partition: p, Value: []byte("x")})
		}
	}
	for _, r := range client.ProduceSync(context.Background(), records...) {
		if r.Err != nil {
			w.t.Fatal(r.Err)
		}
		w.mu.Lock()
		w.produced[name(r.Record.Partition, r.Record.Offset)] = true
		w.mu.Unlock()
	}
}

func decodeName(r *kgo.Record) (string, error) { return name(r.Partition, r.Offset), nil }

// done notes that a handler has finished events.
func (w *world) done(member string, events ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range events {
		w.handled[e]++
		w.finished[e] = true
		w.order[member] = append(w.order[member], e)
	}
	w.notify()
}

// wait waits until condition holds.
func (w *world) wait(what string, condition func() bool) {
	w.t.Helper()
	deadline := time.After(20 * time.Minute) // of a bubble's clock; a real one fails much earlier
	if w.real != nil || w.options() == nil {
		deadline = time.After(60 * time.Second)
	}
	poll := time.NewTicker(5 * time.Millisecond) // for conditions without a signal
	defer poll.Stop()
	for {
		w.mu.Lock()
		ok, changed := condition(), w.changed
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-poll.C:
		case <-deadline:
			w.mu.Lock()
			defer w.mu.Unlock()
			for i, m := range w.members {
				w.t.Logf("member %d (%s): %+v", i, m.fate, m.producer.Snapshot())
			}
			if w.broker != nil {
				w.t.Logf("group: %+v", w.broker.Cluster.GroupInfo("g"))
			}
			if w.real != nil {
				w.t.Logf("the clients:\n%s", w.clients.String())
				stacks := make([]byte, 1<<20)
				w.t.Logf("%s", stacks[:runtime.Stack(stacks, true)])
			}
			w.t.Logf("wrong: %q", w.wrong)
			w.t.Fatalf("%s does not come: handled %d of %d, commits %v", what, len(w.handled), len(w.produced), w.commits)
		}
	}
}

// waitAll waits until everything that was produced has been handled.
func (w *world) waitAll() {
	w.t.Helper()
	w.wait("the end", func() bool { return len(w.handled) == len(w.produced) })
}

// check fails for what must never be, and returns how many deliveries were
// repeated.
func (w *world) check() (repeated int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.wrong {
		w.t.Error(s)
	}
	for id := range w.produced {
		if w.handled[id] == 0 {
			w.t.Errorf("%s was lost", id)
		}
		repeated += max(0, w.handled[id]-1)
	}
	for member, events := range w.order {
		last := map[int32]int64{}
		for _, e := range events {
			var p int32
			var o int64
			if _, err := fmt.Sscanf(e, "%d/%d", &p, &o); err != nil {
				w.t.Fatal(err)
			}
			if seen, ok := last[p]; ok && o < seen && w.handled[e] == 1 {
				w.t.Errorf("%s: %s came after %d", member, e, seen)
			}
			last[p] = o
		}
	}
	return repeated
}

func (w *world) committed() map[string]int64 {
	all := map[string]int64{}
	if w.real != nil {
		for p, o := range w.real.Committed(w.group, w.topic) {
			all[strconv.Itoa(int(p))] = o
		}
		return all
	}
	if g := w.broker.Cluster.GroupInfo("g"); g != nil {
		for p, c := range g.Commits[topic] {
			all[strconv.Itoa(int(p))] = c.Offset
		}
	}
	return all
}

// member is a running pipeline of a producer and a consumer.
type member struct {
	w        *world
	producer *Producer[string]
	pipeline *stage.Pipeline
	cable    *cable
	fate     string
	ended    func() error // waits for the pipeline's end
	over     atomic.Bool  // it has ended
	dead     atomic.Bool  // the process is gone
}

func (w *world) config() Config[string] {
	cfg := Config[string]{Brokers: w.addrs(), Topics: []string{w.topic}, Group: w.group, Decode: decodeName, Options: w.options()}
	if w.real != nil {
		// A member that a busy machine keeps from running for some seconds stays in the group. Tests
		// in which the group has to miss one have a shorter session.
		cfg.Options = append(cfg.Options, kgo.SessionTimeout(30*time.Second), kgo.HeartbeatInterval(500*time.Millisecond), kgo.WithLogger(&w.clients))
	}
	return cfg
}

// join starts a member whose consumer is sink.
func (w *world) join(cfg Config[string], sink stage.Consumer[string], sub stage.SubscribeConfig) *member {
	w.t.Helper()
	return w.joinWith(cfg, func(m *member) []stage.Stage {
		source := stage.Must(stage.NewProducer(m.producer, stage.ProducerConfig[string]{Name: "source"}))
		end := stage.Must(stage.NewConsumer(sink, stage.ConsumerConfig{Name: "sink"}))
		subscribe(w.t, end, source, sub)
		return []stage.Stage{source, end}
	})
}

// joinWith starts a member with the stages that build makes around its producer.
func (w *world) joinWith(cfg Config[string], build func(m *member) []stage.Stage) *member {
	w.t.Helper()
	m := &member{w: w, cable: &cable{wire: w.wire}}
	cfg.Options = append(cfg.Options, kgo.Dialer(m.cable.over(w.options())))
	m.producer = stage.Must(NewProducer(cfg))
	m.pipeline = stage.Must(stage.NewPipeline(stage.PipelineConfig{}, build(m)...))
	w.mu.Lock()
	w.members = append(w.members, m)
	w.mu.Unlock()
	ended := make(chan error, 1)
	go func() {
		err := m.pipeline.Run(context.Background())
		m.over.Store(true)
		ended <- err
	}()
	m.ended = sync.OnceValue(func() error { return <-ended })
	w.t.Cleanup(func() { // for a test that has failed
		m.pipeline.Stop(nil)
		_ = m.ended()
	})
	return m
}

// subscriber is a stage that takes events of type T.
type subscriber[T any] interface {
	Subscribe(stage.Output[T], stage.SubscribeConfig) (*stage.Subscription[T], error)
}

func subscribe[T any](t testing.TB, down subscriber[T], up stage.Output[T], cfg stage.SubscribeConfig) {
	t.Helper()
	if _, err := down.Subscribe(up, cfg); err != nil {
		t.Fatal(err)
	}
}

// handler returns a consumer that notes what it has handled.
func (w *world) handler(member string) stage.ConsumerFunc[string] {
	return func(_ context.Context, events []string) error {
		w.done(member, events...)
		return nil
	}
}

// end notes that the member is gone.
func (m *member) end(fate string) {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	m.fate = fate
}

// leave drains the member.
func (m *member) leave() {
	m.w.t.Helper()
	m.end("left")
	m.pipeline.Drain()
	if err := m.ended(); err != nil {
		m.w.t.Errorf("the member ended with %v", err)
	}
}

// kill ends the member without a word to the broker.
func (m *member) kill() {
	m.end("killed")
	m.cable.cut()
	m.pipeline.Stop(nil)
	_ = m.ended()
}

// crash ends the member as the end of its process does: from now on nothing that it
// does reaches the broker. It does not wait.
func (m *member) crash() {
	m.dead.Store(true)
	m.cable.cut()
	m.pipeline.Stop(nil)
}

func (m *member) crashed() bool { return m.dead.Load() }
