package penstock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

var errModel = errors.New("model")

// build makes the stages of a life, and what the goroutine of consumer.All runs.
func (r *modelRun) build(rng *rand.Rand, from int) {
	var before []stage.Output[item]
	for i, l := range r.plan.levels {
		var now []stage.Output[item]
		for j := range l.width {
			name := fmt.Sprintf("%c%d.%d", l.kind, i, j)
			switch {
			case i == 0:
				r.source = stage.Must(stage.NewProducer(r.reader(rng, from), r.config(i, name)))
				r.stages, now = append(r.stages, r.source), append(now, r.source)
			case i < len(r.plan.levels)-1:
				s := stage.Must(stage.NewProducerConsumer(r.transform(i, j), r.config(i, name)))
				for _, b := range before {
					stage.Must(s.Subscribe(b, r.subscription(i, j)))
				}
				r.stages, now = append(r.stages, s), append(now, s)
			case l.kind == iterated:
				out, cfg := before[0], r.subscription(i, j)
				r.loop = func() { r.iterate(i, out, cfg) }
			default:
				s := stage.Must(stage.NewConsumer(r.end(i, j), stage.ConsumerConfig{Name: name, Logger: r.log.logger()}))
				for _, b := range before {
					stage.Must(s.Subscribe(b, r.subscription(i, j)))
				}
				r.stages = append(r.stages, s)
			}
		}
		before = now
	}
}

// config is that of a stage that emits.
func (r *modelRun) config(i int, name string) stage.ProducerConfig[item] {
	width, cfg := r.plan.levels[i+1].width, stage.ProducerConfig[item]{Name: name, Logger: r.log.logger()}
	key := func(v item) int { return v.key }
	switch r.plan.levels[i].how {
	case fairly:
		cfg.Dispatcher = stage.Must(fair.New(key, fair.Config[item]{}))
	case fairBounded:
		cfg.Dispatcher = stage.Must(fair.New(key, fair.Config[item]{KeyMaxEvents: 2}))
	case toAll:
		cfg.Dispatcher = dispatcher.NewBroadcast[item]()
	case byPartition:
		cfg.Dispatcher = stage.Must(dispatcher.NewPartition(width, func(v item) (int, bool) { return v.key % width, true }, dispatcher.PartitionConfig{}))
	}
	return cfg
}

// subscription is that of stage j of level i to a stage of the level before.
func (r *modelRun) subscription(i, j int) stage.SubscribeConfig {
	cfg := stage.SubscribeConfig{MaxDemand: r.plan.demand[i], Redeliver: r.plan.redeliver}
	if r.plan.levels[i-1].how == byPartition {
		cfg.Partition = j
	}
	return cfg
}

// reader makes the source, which goes on from a position.
func (r *modelRun) reader(rng *rand.Rand, from int) stage.Producer[item] {
	if r.plan.levels[0].kind == fromLog {
		// Its own, since the stage uses it on its own goroutine.
		s := &logSource{ledger: newLedger(r), rng: rand.New(rand.NewPCG(rng.Uint64(), 16)), next: from}
		s.ids, r.ledger = []int{}, &s.ledger
		return s
	}
	s := &pushes{ledger: newLedger(r), Queue: stage.Must(producer.NewQueue(producer.QueueConfig[item]{
		Capacity: []int{0, 3}[rng.IntN(2)], KeyMaxEvents: []int{0, 2}[rng.IntN(2)],
		Key: func(v item) string { return fmt.Sprint(v.key) }, Logger: r.log.logger(),
	}))}
	r.ledger, r.queue = &s.ledger, s
	return s
}

// transform makes the handler of a producer-consumer.
func (r *modelRun) transform(i, j int) stage.ProducerConsumer[item, item] {
	made := func(v item) ([]item, error) {
		if v.one(3, "slow") {
			time.Sleep(time.Duration(v.hash("pause", 0)%10) * time.Millisecond)
		}
		out, err := r.plan.made(i, v)
		if err != nil {
			r.fails(v)
			if v.one(2, "panic") {
				panic(err)
			}
		}
		return out, err
	}
	switch r.plan.levels[i].kind {
	case mapping:
		return stage.MapFunc[item, item](func(_ context.Context, v item) (item, error) {
			out, err := made(r.plan.marked(i, j, v))
			return append(out, item{})[0], err
		})
	case filtering:
		// A filter passes on what it was given: the copies of a broadcast are told apart by
		// a function that emits.
		if r.plan.marked(i, j, item{}).path == "" {
			return stage.FilterFunc[item](func(_ context.Context, v item) (bool, error) {
				out, err := made(v)
				return len(out) > 0, err
			})
		}
		fallthrough
	case splitting:
		return stage.FlatMapFunc[item, item](func(_ context.Context, v item, emit func(item)) error {
			out, err := made(r.plan.marked(i, j, v))
			for _, v := range out {
				emit(v)
			}
			return err
		})
	}
	return &window{r: r, i: i, j: j}
}

// window keeps up to three events, for up to 50 ms, and emits them one by one, in order.
type window struct {
	r    *modelRun
	i, j int
	emit *stage.Emitter[item]
	self *stage.Handle
	held []stage.Held
	of   []item
}

func (h *window) HandleEmitter(emit *stage.Emitter[item]) { h.emit = emit }

func (h *window) HandleStart(_ context.Context, self *stage.Handle) error {
	h.self = self
	return nil
}

func (h *window) HandleEvents(_ context.Context, events []item, emit *stage.Emitter[item]) error {
	for i, v := range events {
		if len(h.held) == 0 {
			time.AfterFunc(50*time.Millisecond, func() { h.self.Send("due") })
		}
		h.held, h.of = append(h.held, emit.Hold(i)), append(h.of, h.r.plan.marked(h.i, h.j, v))
		if len(h.held) == 3 {
			h.release()
		}
	}
	return nil
}

func (h *window) HandleInfo(context.Context, any) error { h.release(); return nil }
func (h *window) HandleFlush(context.Context) error     { h.release(); return nil }

func (h *window) release() {
	for i, held := range h.held {
		h.emit.For(held)
		h.emit.Emit(h.of[i])
	}
	h.held, h.of = h.held[:0], h.of[:0]
}

// workTimeout is the Timeout of the pools that have one.
const workTimeout = 2 * time.Second

// end makes the handler of a consumer.
func (r *modelRun) end(i, j int) stage.Consumer[item] {
	work := func(ctx context.Context, v item) error { return r.work(ctx, r.plan.marked(i, j, v)) }
	failed := func(v item, _ error) { r.gaveUp(r.plan.marked(i, j, v)) }
	switch r.plan.levels[i].kind {
	case pooled:
		return stage.Must(consumer.NewSupervisor(work, consumer.SupervisorConfig[item]{Failed: failed, Logger: r.log.logger()}))
	case timed:
		return stage.Must(consumer.NewSupervisor(work, consumer.SupervisorConfig[item]{Failed: failed, Logger: r.log.logger(), Timeout: workTimeout}))
	case forEach:
		return stage.Must(consumer.NewForEach(work, consumer.ForEachConfig[item]{Failed: failed, Logger: r.log.logger()}))
	default:
		cfg := consumer.BatchConfig[item]{Logger: r.log.logger(), Failed: func(events []item, err error) {
			for _, v := range events {
				failed(v, err)
			}
		}}
		if r.plan.levels[i].kind == patient {
			cfg.Timeout = consumer.NoTimeout
		}
		return stage.Must(consumer.NewBatch(func(ctx context.Context, events []item) error {
			list := make([]item, len(events))
			for k, v := range events {
				list[k] = r.plan.marked(i, j, v)
			}
			return r.workAll(ctx, list)
		}, cfg))
	}
}

// iterate is a loop over consumer.All, which may leave.
func (r *modelRun) iterate(i int, out stage.Output[item], cfg stage.SubscribeConfig) {
	for v, err := range consumer.All(r.looping, out, cfg) {
		if err != nil {
			return
		}
		v = r.plan.marked(i, 0, v)
		time.Sleep(time.Duration(v.hash("work", 0)%20) * time.Millisecond)
		r.handled(v)
		if r.leaving.Load() {
			return
		}
	}
}
