package stage_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"weak"

	ends "github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	sources "github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

type page [4096]byte

// library emits pages once and notes them without keeping them.
type library struct {
	n    int
	refs []weak.Pointer[page]
}

func (l *library) HandleDemand(_ context.Context, n int, emit *stage.Emitter[*page]) error {
	for ; l.n > 0; l.n-- {
		p := new(page)
		p[0] = byte(l.n)
		l.refs = append(l.refs, weak.Make(p))
		emit.Emit(p)
	}
	return nil
}

// alive counts the pages that something refers to.
func (l *library) alive() (n int) {
	runtime.GC()
	for _, ref := range l.refs {
		if ref.Value() != nil {
			n++
		}
	}
	return n
}

// receipted is a library that wants receipts.
type receipted struct{ library }

func (*receipted) HandleReceipts(context.Context, []stage.Receipt) error { return nil }

// A pipeline at rest keeps no handled event alive, in whatever way the events went.
func TestHandledEventsAreFreed(t *testing.T) {
	stage.PoisonBatches(false)
	defer stage.PoisonBatches(true)
	ignore := func(context.Context, []*page) error { return nil }
	byByte := func(p *page) (int, bool) { return int(p[0]) % 2, true }
	end := func() *stage.ConsumerStage[*page] {
		return stage.Must(stage.NewConsumer(stage.ConsumerFunc[*page](ignore), stage.ConsumerConfig{}))
	}
	const n = 2000
	many := stage.SubscribeConfig{MaxDemand: n}
	type shape struct {
		d    dispatcher.Dispatcher[*page]
		ends []*stage.ConsumerStage[*page]
		subs []stage.SubscribeConfig
	}
	shapes := func() map[string]shape {
		return map[string]shape{
			"one":           {nil, []*stage.ConsumerStage[*page]{end()}, []stage.SubscribeConfig{many}},
			"small portion": {nil, []*stage.ConsumerStage[*page]{end()}, []stage.SubscribeConfig{{MaxDemand: 10}}},
			"two":           {nil, []*stage.ConsumerStage[*page]{end(), end()}, []stage.SubscribeConfig{{MaxDemand: 700}, {MaxDemand: 800}}},
			"redeliver":     {nil, []*stage.ConsumerStage[*page]{end()}, []stage.SubscribeConfig{{MaxDemand: 100, Redeliver: true}}},
			"broadcast":     {dispatcher.NewBroadcast[*page](), []*stage.ConsumerStage[*page]{end(), end()}, []stage.SubscribeConfig{many, {MaxDemand: 10}}},
			"partition": {
				stage.Must(dispatcher.NewPartition(2, byByte, dispatcher.PartitionConfig{})), []*stage.ConsumerStage[*page]{end(), end()},
				[]stage.SubscribeConfig{{MaxDemand: 100, Partition: 0}, {MaxDemand: 10, Partition: 1}},
			},
			"fair": {stage.Must(fair.New(func(p *page) byte { return p[0] }, fair.Config[*page]{})), []*stage.ConsumerStage[*page]{end()}, []stage.SubscribeConfig{many}},
			"workers": {nil, []*stage.ConsumerStage[*page]{stage.Must(stage.NewConsumer(
				stage.Must(ends.NewSupervisor(func(context.Context, *page) error { return nil }, ends.SupervisorConfig[*page]{})), stage.ConsumerConfig{},
			))}, []stage.SubscribeConfig{{}}},
			"batches": {nil, []*stage.ConsumerStage[*page]{stage.Must(stage.NewConsumer(
				stage.Must(ends.NewBatch(ignore, ends.BatchConfig[*page]{Size: 100})), stage.ConsumerConfig{},
			))}, []stage.SubscribeConfig{{}}},
		}
	}
	for name := range shapes() {
		for _, wants := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var l *library
					var h stage.Producer[*page]
					if wants {
						r := &receipted{library{n: n}}
						l, h = &r.library, r
					} else {
						l = &library{n: n}
						h = l
					}
					tc := shapes()[name]
					p := stage.Must(stage.NewProducer(h, stage.ProducerConfig[*page]{Dispatcher: tc.d}))
					stages := []stage.Stage{p}
					for i, c := range tc.ends {
						if _, err := c.Subscribe(p, tc.subs[i]); err != nil {
							t.Fatal(err)
						}
						stages = append(stages, c)
					}
					line := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, stages...))
					done := make(chan error, 1)
					go func() { done <- line.Run(context.Background()) }()
					synctest.Wait()
					if len(l.refs) != n {
						t.Fatalf("%d of %d were emitted", len(l.refs), n)
					}
					// The last event may be in a register or on a stack.
					if alive := l.alive(); alive > 2 {
						t.Errorf("%d of %d events are alive", alive, n)
					}
					line.Drain()
					if err := <-done; err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// A consumer that rests again and again, with more emptied batches each time, some of them
// back from its producer, keeps no handled event alive at any rest.
func TestHandledEventsAreFreedAtEachRest(t *testing.T) {
	stage.PoisonBatches(false)
	defer stage.PoisonBatches(true)
	synctest.Test(t, func(t *testing.T) {
		queue := stage.Must(sources.NewQueue(sources.QueueConfig[*page]{}))
		p := stage.Must(stage.NewProducer(queue, stage.ProducerConfig[*page]{}))
		c := stage.Must(stage.NewConsumer(stage.ConsumerFunc[*page](func(context.Context, []*page) error { return nil }), stage.ConsumerConfig{}))
		if _, err := c.Subscribe(p, stage.SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- stage.Run(context.Background(), p, c) }()
		l := new(library)
		for rest := range 60 {
			for range 1 + rest%3 {
				v := new(page)
				v[0] = 1
				l.refs = append(l.refs, weak.Make(v))
				if err := queue.Push(context.Background(), v); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			// The last event may be in a register or on a stack.
			if alive := l.alive(); alive > 2 {
				t.Fatalf("%d of %d events are alive at rest %d", alive, len(l.refs), rest)
			}
		}
		queue.Drain()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
