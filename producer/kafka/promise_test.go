package kafka

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/stage"
)

// shape is a pipeline after a Kafka source: dispatchers after the source and after
// the first transform, the two transforms, and the end.
type shape struct {
	name         string
	first, after string // dispatchers: demand, fair, partition, broadcast
	parser       string // flat, map, named
	gather       string // window, joined, none
	end          string // pool, batch, plain
	redeliver    bool
}

var shapes = []shape{
	{name: "filter, window, pool", first: "demand", after: "demand", parser: "flat", gather: "window", end: "pool"},
	{name: "filter, window, batch", first: "demand", after: "demand", parser: "named", gather: "window", end: "batch"},
	{name: "filter, chunks, plain", first: "demand", after: "demand", parser: "named", gather: "joined", end: "plain"},
	{name: "fair source and transform, pool", first: "fair", after: "fair", parser: "named", gather: "none", end: "pool"},
	{name: "fair source, partitioned transform, window, batch", first: "fair", after: "partition", parser: "flat", gather: "window", end: "batch"},
	{name: "partitioned source, fair transform, window, pool", first: "partition", after: "fair", parser: "named", gather: "window", end: "pool"},
	{name: "map that fails and discards, fair, redelivery, window, pool", first: "fair", after: "fair", parser: "map", gather: "window", end: "pool", redeliver: true},
	{name: "map that fails and discards, partitions, redelivery, batch", first: "partition", after: "partition", parser: "map", gather: "none", end: "batch", redeliver: true},
	{name: "fan-out after a transform", first: "demand", after: "broadcast", parser: "flat", gather: "none", end: "pool"},
	{name: "fan-out after a transform, redelivery", first: "demand", after: "broadcast", parser: "named", gather: "none", end: "plain", redeliver: true},
	{name: "fan-out into windows", first: "demand", after: "broadcast", parser: "named", gather: "window", end: "plain"},
	{name: "redelivery everywhere", first: "demand", after: "demand", parser: "named", gather: "window", end: "batch", redeliver: true},
}

// perPartition is the number of records on each of the two partitions.
const perPartition = 6

// branches is the number of ends that have to handle each part.
func (s shape) branches() int {
	if s.after == "broadcast" {
		return 2
	}
	return 1
}

// TestNothingIsLost ends the only member of a group at every one of its steps, in
// every way, and has another one take over. A record is committed only if it and
// all before it were handled, by any of the two: every part of it in every branch,
// or by the transform that drops it or fails. At the end all records were handled
// and are committed. With the race detector it ends at every seventh step only, from a
// random one on: all of them take two minutes of both cores then, and a tenth without it.
func TestNothingIsLost(t *testing.T) {
	first, stride := 1, 1
	if testing.Short() || raceOn {
		stride = 7
		first += rand.IntN(stride)
		t.Logf("from step %d on", first)
	}
	for _, s := range shapes {
		for _, how := range []ending{crashes, stops, gives, panics} {
			t.Run(fmt.Sprintf("%s/%s", s.name, how), func(t *testing.T) {
				t.Parallel()
				at := first
				for ; endAt(t, s, how, at); at += stride {
				}
				t.Logf("ended before step %d", at)
			})
		}
	}
}

// endAt runs a member that ends at one step and another one after it. It reports
// whether the first one came to that step.
func endAt(t *testing.T, s shape, how ending, at int) (reached bool) {
	t.Run(fmt.Sprint("step ", at), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			reached = endMember(newWorld(t, virtual(2)), s, how, at)
		})
	})
	return reached && !t.Failed()
}

// endMember has a member end at one of its steps and another one take over.
func endMember(w *world, s shape, how ending, at int) (reached bool) {
	w.produce(perPartition, 0, 1)
	l := &ledger{w: w, branches: s.branches(), handled: map[string]bool{}}
	k := &killer{how: how, at: at}
	w.committing = k.outside
	first := s.join(w, l, k)
	w.wait("the first member", func() bool { return first.over.Load() || len(w.handled) == len(w.produced) })
	first.pipeline.Drain()
	_ = first.ended()
	first.end("ended")
	reached = k.fired()
	second := s.join(w, l, &killer{})
	w.wait("the last commit", func() bool { return w.commits["0"] == perPartition && w.commits["1"] == perPartition })
	second.leave()
	w.order = nil // pools and members share it
	w.check()
	for p, c := range w.committed() {
		if c != perPartition {
			w.t.Errorf("partition %s is committed up to %d at the end", p, c)
		}
	}
	return reached
}

// join starts a member with the stages of s.
func (s shape) join(w *world, l *ledger, k *killer) *member {
	cfg := w.config()
	cfg.CommitInterval = 10 * time.Millisecond
	cfg.Options = append(cfg.Options, kgo.SessionTimeout(6*time.Second))
	return w.joinWith(cfg, func(m *member) []stage.Stage {
		k.m = m
		sub := stage.SubscribeConfig{Redeliver: s.redeliver, MaxDemand: 6}
		from := stage.Must(stage.NewProducer(source{m.producer, k}, stage.ProducerConfig[string]{
			Name: "source", Dispatcher: dispatch(s.first, func(r string) int { return int(offsetOf(r)) }),
		}))
		p := &parser{l, k}
		var handler stage.ProducerConsumer[string, parts] = p
		switch s.parser {
		case "flat":
			handler = p.flat()
		case "map":
			handler = p.mapped()
		}
		byPart := func(p parts) int { return int(offsetOf(recordOf(p[0]))) }
		middle := stage.Must(stage.NewProducerConsumer(handler, stage.ProducerConsumerConfig[parts]{Name: "parser", Dispatcher: dispatch(s.after, byPart)}))
		link(w.t, middle, from, s.first, sub)
		all := []stage.Stage{from, middle}
		for branch := range s.branches() {
			last, after := stage.Output[parts](middle), s.after
			if s.gather != "none" {
				var g stage.ProducerConsumer[parts, parts] = &window{k: k}
				if s.gather == "joined" {
					g = joined(k)
				}
				gather := stage.Must(stage.NewProducerConsumer(g, stage.ProducerConsumerConfig[parts]{Name: fmt.Sprint("gather ", branch)}))
				link(w.t, gather, last, after, sub)
				all, last, after = append(all, gather), gather, "demand"
			}
			end := stage.Must(stage.NewConsumer(s.sink(&sink{l: l, k: k, branch: branch, pause: time.Duration(1+3*branch) * time.Millisecond}), stage.ConsumerConfig{Name: fmt.Sprint("end ", branch)}))
			link(w.t, end, last, after, sub)
			all = append(all, end)
		}
		return all
	})
}

// sink returns the consumer at the end.
func (s shape) sink(k *sink) stage.Consumer[parts] {
	switch s.end {
	case "pool":
		return stage.Must(consumer.NewSupervisor(k.handle, consumer.SupervisorConfig[parts]{MaxDemand: 3}))
	case "batch":
		return stage.Must(consumer.NewBatch(k.handleAll, consumer.BatchConfig[parts]{Size: 3, Timeout: 20 * time.Millisecond}))
	}
	return stage.ConsumerFunc[parts](k.handleAll)
}

// dispatch returns a dispatcher; two keys or partitions share the events by number.
func dispatch[T any](name string, number func(T) int) dispatcher.Dispatcher[T] {
	switch name {
	case "fair":
		return stage.Must(fair.New(func(v T) int { return number(v) % 2 }, fair.Config[T]{}))
	case "partition":
		return stage.Must(dispatcher.NewPartition(2, func(v T) (int, bool) { return number(v) % 2, true }, dispatcher.PartitionConfig{}))
	case "broadcast":
		return dispatcher.NewBroadcast[T]()
	}
	return dispatcher.NewDemand[T]()
}

// link subscribes down to up, to all partitions if there are some.
func link[T any](t testing.TB, down subscriber[T], up stage.Output[T], dispatcher string, cfg stage.SubscribeConfig) {
	if dispatcher != "partition" {
		subscribe(t, down, up, cfg)
		return
	}
	for i := range 2 {
		cfg.Partition = i
		subscribe(t, down, up, cfg)
	}
}

var _ stage.ReceiptsHandler = source{} // otherwise the steps of receipts are missed
