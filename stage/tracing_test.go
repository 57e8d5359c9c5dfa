package stage_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher/fair"
	sources "github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
	"github.com/penstock-go/penstock/trace/tracetest"
)

// letter is an event that carries a trace context.
type letter struct {
	n     int
	trace trace.Context
}

func (l letter) TraceContext() trace.Context { return l.trace }

// sampled returns n letters of which every second one is sampled, in a trace of its own.
func sampled(n int) (list []letter) {
	for i := range n {
		l := letter{n: i}
		if i%2 == 0 {
			l.trace = tracetest.Sampled(uint64(i))
		}
		list = append(list, l)
	}
	return list
}

// runTraced runs stages with a queue before them until it has ended, and returns the spans.
func runTraced(t *testing.T, events []letter, cfg stage.ProducerConfig[letter], rest func(source *stage.ProducerStage[letter]) []stage.Stage) *tracetest.Tracer {
	t.Helper()
	tracer := new(tracetest.Tracer)
	queue := stage.Must(sources.NewQueue(sources.QueueConfig[letter]{Capacity: len(events)}))
	for _, e := range events {
		if err := queue.TryPush(e); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Name = "queue"
	source := stage.Must(stage.NewProducer(queue, cfg))
	p := stage.Must(stage.NewPipeline(stage.PipelineConfig{Tracer: tracer}, append(rest(source), source)...))
	p.Drain()
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if open := tracer.Open(); len(open) > 0 {
		t.Errorf("not ended: %+v", open)
	}
	return tracer
}

// names returns how often each name of a span comes.
func names(spans []tracetest.Span) map[string]int {
	counts := make(map[string]int)
	for _, s := range spans {
		counts[s.Name]++
	}
	return counts
}

// TestSpansOfStages: each stage has a span for each sampled event, below the context that the
// event came with, and none for the others.
func TestSpansOfStages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		seen := make(map[int]trace.Context)
		failure := errors.New("no")
		tracer := runTraced(t, sampled(10), stage.ProducerConfig[letter]{}, func(source *stage.ProducerStage[letter]) []stage.Stage {
			double := stage.Must(stage.NewProducerConsumer(stage.MapFunc[letter, letter](func(ctx context.Context, l letter) (letter, error) {
				seen[l.n] = trace.FromContext(ctx)
				if l.n == 4 {
					return l, failure
				}
				time.Sleep(time.Second)
				return l, nil
			}), stage.ProducerConsumerConfig[letter]{Name: "double"}))
			end := stage.Must(stage.NewConsumer(stage.ConsumerFunc[letter](func(context.Context, []letter) error { return nil }), stage.ConsumerConfig{Name: "end"}))
			stage.Must(double.Subscribe(source, stage.SubscribeConfig{}))
			stage.Must(end.Subscribe(double, stage.SubscribeConfig{}))
			return []stage.Stage{end, double}
		})
		spans := tracer.Spans()
		want := map[string]int{"dispatch queue": 5, "handle double": 5, "handle end": 4}
		if got := names(spans); !maps.Equal(got, want) {
			t.Errorf("spans %v, want %v", got, want)
		}
		for _, s := range spans {
			if !slices.Contains([]uint64{0, 2, 4, 6, 8}, uint64(s.Parent.TraceID[15])) || s.Parent.SpanID[0] != 0xee || s.Context.TraceID != s.Parent.TraceID {
				t.Errorf("%s is below %v", s.Name, s.Parent)
			}
		}
		for _, s := range tracer.Named("handle double") {
			n := int(s.Parent.TraceID[15])
			took, outcome := s.End.Sub(s.Begin), s.Attrs[trace.AttrOutcome]
			switch {
			case s.Attrs[trace.AttrStage] != "double" || seen[n] != s.Context:
				t.Errorf("%d: %+v, its handler has seen %v", n, s, seen[n])
			case n == 4 && (outcome != "failed" || s.Err != failure):
				t.Errorf("that which fails: %+v", s)
			case n != 4 && (outcome != "done" || s.Err != nil || took != time.Second):
				t.Errorf("%d took %v: %+v", n, took, s)
			}
		}
		for n, c := range seen {
			if n%2 == 1 && c.IsValid() {
				t.Errorf("%d, which is not sampled, was handled with %v", n, c)
			}
		}
	})
}

// TestSpanOfTheWait: what waits in a dispatcher has a span of that wait, also if it is
// discarded at its end.
func TestSpanOfTheWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := stage.Must(fair.New(func(letter) int { return 0 }, fair.Config[letter]{
			KeyMaxEvents: 3, KeyOverflow: fair.DropNewest,
		}))
		tracer := runTraced(t, sampled(8), stage.ProducerConfig[letter]{Dispatcher: d}, func(source *stage.ProducerStage[letter]) []stage.Stage {
			end := stage.Must(stage.NewConsumer(stage.ConsumerFunc[letter](func(context.Context, []letter) error {
				time.Sleep(time.Second)
				return nil
			}), stage.ConsumerConfig{Name: "end"}))
			stage.Must(end.Subscribe(source, stage.SubscribeConfig{MaxDemand: 1}))
			return []stage.Stage{end}
		})
		outcomes := make(map[any]int)
		var longest time.Duration
		for _, s := range tracer.Named("dispatch queue") {
			outcomes[s.Attrs[trace.AttrOutcome]]++
			longest = max(longest, s.End.Sub(s.Begin))
		}
		if got := names(tracer.Spans()); got["dispatch queue"] != 4 || outcomes["done"] != got["handle end"] || outcomes["discarded"] == 0 {
			t.Errorf("%v, outcomes %v", got, outcomes)
		}
		if longest < time.Second {
			t.Errorf("the longest wait is %v", longest)
		}
	})
}

// TestSpanOfTheWaitBehindAStage: what waits for demand behind a producer-consumer that emits
// nothing more has a span of that wait.
func TestSpanOfTheWaitBehindAStage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tracer := runTraced(t, sampled(1), stage.ProducerConfig[letter]{}, func(source *stage.ProducerStage[letter]) []stage.Stage {
			middle := stage.Must(stage.NewProducerConsumer(stage.MapFunc[letter, letter](func(_ context.Context, l letter) (letter, error) {
				return l, nil
			}), stage.ProducerConsumerConfig[letter]{Name: "middle", Eager: true}))
			end := stage.Must(stage.NewConsumer(stage.ConsumerFunc[letter](func(context.Context, []letter) error { return nil }), stage.ConsumerConfig{Name: "end"}))
			stage.Must(middle.Subscribe(source, stage.SubscribeConfig{}))
			sub := stage.Must(end.Subscribe(middle, stage.SubscribeConfig{Manual: true}))
			time.AfterFunc(10*time.Second, func() {
				if err := sub.Ask(1); err != nil {
					t.Error(err)
				}
			})
			return []stage.Stage{end, middle}
		})
		spans := tracer.Named("dispatch middle")
		if len(spans) != 1 || spans[0].End.Sub(spans[0].Begin) != 10*time.Second {
			t.Errorf("%+v", spans)
		}
	})
}

// lazyEnd gives receipts later than its handler returns.
type lazyEnd struct {
	contexts map[uint64]trace.Context
	finish   func(sub *stage.Subscription[letter], position uint64)
}

func (*lazyEnd) HandleEvents(context.Context, []letter) error { return nil }

func (e *lazyEnd) HandleDelivery(_ context.Context, d stage.Delivery[letter]) error {
	for i := range d.Events {
		position := d.First + uint64(i)
		e.contexts[position] = d.Subscription.TraceContext(position)
		e.finish(d.Subscription, position)
	}
	return nil
}

// TestSpanUntilTheReceipt: at the end of a pipeline a span lasts until the receipt.
func TestSpanUntilTheReceipt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		end := &lazyEnd{contexts: make(map[uint64]trace.Context)}
		failure := errors.New("no")
		end.finish = func(sub *stage.Subscription[letter], position uint64) {
			time.AfterFunc(time.Duration(position)*time.Second, func() {
				switch position {
				case 0:
					sub.Settle(1, stage.Finished{Position: position, Err: failure})
				case 2:
					sub.Settle(1, stage.Finished{Position: position, Err: stage.Discard(receipt.Expired)})
				default:
					sub.SettleRuns(1, stage.FinishedRun{First: position, Count: 1})
				}
			})
		}
		tracer := runTraced(t, sampled(6), stage.ProducerConfig[letter]{}, func(source *stage.ProducerStage[letter]) []stage.Stage {
			c := stage.Must(stage.NewConsumer(end, stage.ConsumerConfig{Name: "end"}))
			stage.Must(c.Subscribe(source, stage.SubscribeConfig{}))
			return []stage.Stage{c}
		})
		synctest.Wait()
		spans := tracer.Named("handle end")
		if len(spans) != 3 {
			t.Fatalf("%+v", spans)
		}
		for i, s := range spans {
			position := uint64(2 * i)
			if s.Context != end.contexts[position] || s.End.Sub(s.Begin) != time.Duration(position)*time.Second {
				t.Errorf("%d: %+v, the handler has seen %v", position, s, end.contexts[position])
			}
		}
		if s := spans[0]; s.Err != failure || s.Attrs[trace.AttrOutcome] != "failed" {
			t.Errorf("that which fails: %+v", s)
		}
		if s := spans[1]; s.Err != nil || s.Attrs[trace.AttrOutcome] != "discarded" || s.Attrs[trace.AttrReason] != "expired" {
			t.Errorf("that which is discarded: %+v", s)
		}
		if end.contexts[1].IsValid() {
			t.Errorf("one that is not sampled has %v", end.contexts[1])
		}
	})
}

// TestSpanWithoutAReceipt: a span does not stay open when its stage ends.
func TestSpanWithoutAReceipt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tracer := new(tracetest.Tracer)
		end := &lazyEnd{contexts: make(map[uint64]trace.Context), finish: func(*stage.Subscription[letter], uint64) {}}
		queue := stage.Must(sources.NewQueue(sources.QueueConfig[letter]{}))
		source := stage.Must(stage.NewProducer(queue, stage.ProducerConfig[letter]{}))
		c := stage.Must(stage.NewConsumer(end, stage.ConsumerConfig{Name: "end"}))
		stage.Must(c.Subscribe(source, stage.SubscribeConfig{}))
		ctx := trace.WithTracer(t.Context(), tracer) // as a pipeline does
		for _, s := range []stage.Stage{c, source} {
			if err := s.Start(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := queue.TryPush(sampled(1)[0]); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if open := tracer.Open(); len(open) != 1 || open[0].Name != "handle end" {
			t.Errorf("open: %+v", open)
		}
		c.Stop(nil)
		source.Stop(nil)
		<-c.Stopped()
		<-source.Stopped()
		if open := tracer.Open(); len(open) > 0 {
			t.Errorf("open at the end: %+v", open)
		}
		if s := tracer.Named("handle end"); len(s) != 1 || s[0].Attrs[trace.AttrOutcome] != "not_finished" {
			t.Errorf("%+v", s)
		}
	})
}

// TestTracingWithoutSampledEventsDoesNotAllocate: more events cost no more allocations.
func TestTracingWithoutSampledEventsDoesNotAllocate(t *testing.T) {
	allocated := func(n int) float64 {
		return testing.AllocsPerRun(3, func() { runCarriers(t, n, new(tracetest.Tracer)) })
	}
	few, many := allocated(10_000), allocated(60_000)
	if each := (many - few) / 50_000; each > 0.01 {
		t.Errorf("%.3f allocations an event: %v for 10,000, %v for 60,000", each, few, many)
	}
}

// counted is a carrier that counts the calls of its method.
type counted struct {
	_     int
	trace trace.Context
}

var asks atomic.Int64

func (c *counted) TraceContext() trace.Context {
	asks.Add(1)
	return c.trace
}

// TestUnsampledCarriersAreNotAsked: events that are not sampled cost no call of their method,
// those that are get their spans.
func TestUnsampledCarriersAreNotAsked(t *testing.T) {
	for _, sampled := range []int{0, 3} {
		tracer := new(tracetest.Tracer)
		const events = 5000
		n := 0
		source := stage.Must(stage.NewProducer(stage.ProducerFunc[counted](func(_ context.Context, ask int, emit *stage.Emitter[counted]) error {
			for ; ask > 0 && n < events; ask-- {
				c := counted{}
				if n < sampled {
					c.trace = tracetest.Sampled(uint64(n))
				}
				emit.Emit(c)
				n++
			}
			if n == events {
				return stage.ErrDone
			}
			return nil
		}), stage.ProducerConfig[counted]{Name: "source"}))
		end := stage.Must(stage.NewConsumer(stage.ConsumerFunc[counted](func(context.Context, []counted) error { return nil }), stage.ConsumerConfig{Name: "end"}))
		stage.Must(end.Subscribe(source, stage.SubscribeConfig{}))
		asks.Store(0)
		p := stage.Must(stage.NewPipeline(stage.PipelineConfig{Tracer: tracer}, end, source))
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(tracer.Spans()); got != 2*sampled {
			t.Errorf("%d sampled events have %d spans, want %d", sampled, got, 2*sampled)
		}
		if got := asks.Load(); got > 200 { // some are, by each of two stages
			t.Errorf("%d events, %d of them sampled, were asked %d times", events, sampled, got)
		}
	}
}

// BenchmarkTracing is a pipeline of three stages whose events are carriers and not sampled:
// the ratio is what a tracer costs them, both measured in the same run.
func BenchmarkTracing(b *testing.B) {
	for _, v := range []struct {
		name   string
		tracer trace.Tracer
	}{{"off", nil}, {"not-sampled", new(tracetest.Tracer)}} {
		b.Run(v.name, func(b *testing.B) {
			b.ReportAllocs()
			runCarriers(b, b.N, v.tracer)
		})
	}
	b.Run("ratio", func(b *testing.B) {
		var took [2]time.Duration
		for i := range 20 { // by turns, so that both have the same machine
			begin := time.Now()
			runCarriers(b, b.N/20+1, []trace.Tracer{nil, new(tracetest.Tracer)}[i%2])
			took[i%2] += time.Since(begin)
		}
		b.ReportMetric(float64(took[1])/float64(took[0]), "of-off")
	})
}

// runCarriers runs events that are not sampled through three stages.
func runCarriers(tb testing.TB, events int, tracer trace.Tracer) {
	tb.Helper()
	n, done := 0, 0
	source := stage.Must(stage.NewProducer(stage.ProducerFunc[letter](func(_ context.Context, ask int, emit *stage.Emitter[letter]) error {
		for range ask {
			if n == events {
				return stage.ErrDone
			}
			emit.Emit(letter{n: n})
			n++
		}
		return nil
	}), stage.ProducerConfig[letter]{}))
	same := stage.Must(stage.NewProducerConsumer(stage.MapFunc[letter, letter](func(_ context.Context, l letter) (letter, error) { return l, nil }),
		stage.ProducerConsumerConfig[letter]{}))
	end := stage.Must(stage.NewConsumer(stage.ConsumerFunc[letter](func(_ context.Context, list []letter) error {
		done += len(list)
		return nil
	}), stage.ConsumerConfig{}))
	stage.Must(same.Subscribe(source, stage.SubscribeConfig{}))
	stage.Must(end.Subscribe(same, stage.SubscribeConfig{}))
	p := stage.Must(stage.NewPipeline(stage.PipelineConfig{Tracer: tracer}, end, same, source))
	if err := p.Run(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	if done != events {
		tb.Fatalf("%d of %d events", done, events)
	}
}
