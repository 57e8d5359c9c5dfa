package stage_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// bench is what a mistake is made with: stages that log to one place and are stopped at
// the end.
type bench struct {
	t      *testing.T
	log    lines
	all    []stage.Stage
	src    *source
	p      *stage.ProducerStage[int]
	a, b   *stage.ProducerConsumerStage[int, int]
	pipe   *pipe
	c      *stage.ConsumerStage[int]
	cancel context.CancelFunc
}

func newBench(t *testing.T) *bench {
	k := &bench{t: t, src: &source{}, pipe: newPipe(1)}
	k.p = producer(k.src, stage.ProducerConfig[int]{Logger: k.log.logger()})
	k.a = between(k.pipe, stage.ProducerConfig[int]{Name: "A", Logger: k.log.logger()})
	k.b = between(newPipe(1), stage.ProducerConfig[int]{Name: "B", Logger: k.log.logger()})
	k.c = k.consumer(newSink(), "C")
	k.all = append(k.all, k.p, k.a, k.b)
	return k
}

func (k *bench) consumer(h stage.Consumer[int], name string) *stage.ConsumerStage[int] {
	c := stage.Must(stage.NewConsumer(h, stage.ConsumerConfig{Name: name, Logger: k.log.logger()}))
	k.all = append(k.all, c)
	return c
}

// run runs stages until the end of the test, or returns at once if they are refused.
func (k *bench) run(stages ...stage.Stage) error {
	var ctx context.Context
	ctx, k.cancel = context.WithCancel(k.t.Context())
	line := stage.Must(stage.NewPipeline(stage.PipelineConfig{Logger: k.log.logger()}, stages...))
	done := run(ctx, line)
	synctest.Wait()
	select {
	case err := <-done:
		return err
	default:
		return nil
	}
}

// mistake is one that a newcomer makes. It is found at once, by an error or in the log.
type mistake struct {
	make func(k *bench) error // and the error that it has
	err  error
	log  string
	// after is how long it takes until the log has it; 0 is at once.
	after time.Duration
}

var mistakes = map[string]mistake{
	"a source that nobody subscribed to": {make: func(k *bench) error {
		return k.run(k.p)
	}, log: `stage has no subscription" stage=P`},
	"a transform that nobody subscribed to": {make: func(k *bench) error {
		subscribePC(k.t, k.a, k.p, four)
		return k.run(k.p, k.a)
	}, log: `stage has no subscriber" stage=A`},
	"a transform that is subscribed to nothing": {make: func(k *bench) error {
		subscribe(k.t, k.c, k.a, four)
		return k.run(k.a, k.c)
	}, log: `stage is subscribed to nothing" stage=A`},
	"a consumer that is subscribed to nothing": {make: func(k *bench) error {
		return k.run(k.c)
	}, log: `stage has no subscription" stage=C`},
	"a stage in the middle is not given to Run": {make: func(k *bench) error {
		subscribePC(k.t, k.a, k.p, four)
		subscribe(k.t, k.c, k.a, four)
		return k.run(k.p, k.c)
	}, log: `stage is subscribed with one that is neither started nor part of the pipeline" stage=C other=A`},
	"the source is not given to Run": {make: func(k *bench) error {
		subscribe(k.t, k.c, k.p, four)
		return k.run(k.c)
	}, log: `stage is subscribed with one that is neither started nor part of the pipeline" stage=C other=P`},
	"an added stage that nobody subscribed to": {make: func(k *bench) error {
		subscribe(k.t, k.c, k.p, four)
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{Logger: k.log.logger()}, k.p, k.c))
		run(k.t.Context(), line)
		subscribePC(k.t, k.a, k.p, four)
		return line.Add(k.a)
	}, log: `stage has no subscriber" stage=A`},
	"the source is never started": {make: func(k *bench) error {
		subscribe(k.t, k.c, k.p, four)
		return k.c.Start(k.t.Context())
	}, log: `the producer of a subscription has not been started" stage=C producer=P`, after: 10 * time.Second},
	"the source of a transform is never started": {make: func(k *bench) error {
		subscribePC(k.t, k.a, k.p, four)
		return k.a.Start(k.t.Context())
	}, log: `the producer of a subscription has not been started" stage=A producer=P`, after: 10 * time.Second},
	"a cycle in Run": {make: func(k *bench) error {
		subscribePC(k.t, k.a, k.b, four)
		subscribePC(k.t, k.b, k.a, four)
		return k.run(k.a, k.b)
	}, err: stage.ErrCycle},
	"a cycle in Start": {make: func(k *bench) error {
		subscribePC(k.t, k.a, k.b, four)
		subscribePC(k.t, k.b, k.a, four)
		return k.a.Start(k.t.Context())
	}, err: stage.ErrCycle},
	"a cycle closed while the stages run": {make: func(k *bench) error {
		subscribePC(k.t, k.a, k.p, four)
		subscribePC(k.t, k.b, k.a, four)
		start(k.t, k.p, k.a, k.b)
		_, err := k.a.Subscribe(k.b, four)
		lives(k.t, k.p, k.a, k.b)
		return err
	}, err: stage.ErrCycle},
	"a stage subscribed to itself": {make: func(k *bench) error {
		start(k.t, k.a)
		_, err := k.a.Subscribe(k.a, four)
		return err
	}, err: stage.ErrCycle},
	"one handler in two stages": {make: func(k *bench) error {
		one := newSink()
		c, d := k.consumer(one, "X"), k.consumer(one, "Y")
		subscribe(k.t, c, k.p, four)
		subscribe(k.t, d, k.p, four)
		return k.run(k.p, c, d)
	}, err: stage.ErrShared},
	"one handler in two stages, in a table": {make: func(k *bench) error {
		one := newSink()
		start(k.t, k.consumer(one, "X"))
		return k.consumer(stage.ResolveConsumer[int](one), "Y").Start(k.t.Context())
	}, err: stage.ErrShared},
	"one dispatcher in two stages": {make: func(k *bench) error {
		d := dispatcher.NewBroadcast[int]()
		for _, name := range []string{"X", "Y"} {
			p := producer(&source{}, stage.ProducerConfig[int]{Name: name, Dispatcher: d})
			k.all = append(k.all, p)
			if err := p.Start(k.t.Context()); err != nil {
				return err
			}
		}
		return nil
	}, err: stage.ErrShared},
	"a stage is run twice": {make: func(k *bench) error {
		start(k.t, k.c)
		return k.run(k.c)
	}, err: stage.ErrStarted},
	"ticks without HandleTick": {make: func(k *bench) error {
		start(k.t, k.p)
		k.src.self.Tick(time.Second)
		return nil
	}, log: `tick ignored: the handler has no HandleTick" stage=P`},
	"a message without HandleInfo": {make: func(k *bench) error {
		var self *stage.Handle
		h := stage.ResolveConsumer[int](newSink())
		h.Info = nil
		h.Start = func(_ context.Context, own *stage.Handle) error { self = own; return nil }
		start(k.t, k.consumer(h, "X"))
		self.Send("hello")
		return nil
	}, log: `message ignored: the handler has no HandleInfo" stage=X`},
}

// Each mistake has a clear error, or a line in the log, at once.
func TestMistakes(t *testing.T) {
	for name, m := range mistakes {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				k := newBench(t)
				err := m.make(k)
				time.Sleep(m.after)
				synctest.Wait()
				if m.err == nil && err != nil || !errors.Is(err, m.err) {
					t.Errorf("error: %v, want %v", err, m.err)
				}
				if m.log != "" && len(k.log.with("level=WARN", m.log)) != 1 {
					t.Errorf("the log has no line with %s:\n%s", m.log, k.log.buf.String())
				}
				if k.cancel != nil {
					k.cancel()
				}
				synctest.Wait()
				for _, s := range k.all {
					s.Stop(nil)
				}
			})
		})
	}
}
