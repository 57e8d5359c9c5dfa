package pipeline_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/pipeline/pipelinetest"
	"github.com/penstock-go/penstock/stage"
)

// lateSource is a source that takes in one more event when it is drained.
type lateSource struct {
	*pipelinetest.Source[int]
	last *pipelinetest.Receipt[int]
}

const duringCancel = 99

func (l *lateSource) HandleDrain(ctx context.Context) error {
	l.last = l.Push(duringCancel)
	return l.Source.HandleDrain(ctx)
}

var endCases = []conformanceCase{
	{"B29_a step that dies too often brings the pipeline down, and Run waits for it", func(t *testing.T) {
		b := newBroadway(t, func(cfg *pipeline.Config) { cfg.DrainTimeout = time.Second })
		var cleaned atomic.Bool
		slow := make(chan struct{})
		routes := pipeline.Route(b.in, []string{"odd", "even"}, oddOrEven)
		pipeline.Each(routes.Flow("odd"), func(ctx context.Context, _ int) error {
			close(slow)
			<-ctx.Done()
			time.Sleep(time.Second) // it cleans up
			cleaned.Store(true)
			return ctx.Err()
		}, stepConfig{Workers: 2})
		pipeline.To(routes.Flow("even"), func() (stage.Consumer[int], error) {
			return each(func(context.Context, int) error { return errFailed }), nil
		}, pipeline.StageConfig{Name: "mortal", MaxDemand: 1})
		b.start()
		receipts := b.source.bulk(1, 2, 4) // an event is delivered again once
		<-slow
		begun := time.Now()
		err := b.run.Wait()
		e, ok := errors.AsType[*pipeline.RestartError](err)
		if !ok || e.Step != "mortal" || !errors.Is(err, errFailed) || !cleaned.Load() {
			t.Error(err, cleaned.Load())
		}
		b.is("time", time.Since(begun), "2.7s") // the pauses before three restarts, the drain, the clean-up
		for _, r := range receipts {
			if _, err := r.Wait(t.Context()); err != pipelinetest.ErrEnded {
				t.Error(err)
			}
		}
	}},
	{"B29_what is not delivered and batches that are not full are acknowledged before the end", func(t *testing.T) {
		b, batches, gate := newBroadway(t), newBatchBook(), make(chan struct{})
		pipeline.EachBatch(pipeline.Map(b.in, same, stepConfig{}), func(ctx context.Context, events []int) error {
			<-gate
			return batches.add(ctx, events)
		}, batchConfig{Size: 4, Window: 4, Timeout: time.Hour})
		b.start()
		receipts := b.source.bulk(between(1, 10)...)
		synctest.Wait() // one batch is worked on
		begun := time.Now()
		b.p.Drain()
		synctest.Wait()
		b.is("unfinished", b.source.Unfinished(), "10")
		close(gate)
		if err := b.run.Wait(); err != nil {
			t.Error(err)
		}
		b.ends(receipts, allDone(10))
		b.is("batches", batches.text(), "[1 2 3 4] size, [5 6 7 8] size, [9 10] flush")
		b.is("time", time.Since(begun), "0s")
	}},
	{"B29_what a source emits while it drains is handled, and what comes later is not", func(t *testing.T) {
		source := &lateSource{Source: pipelinetest.NewSource[int]()}
		p, l := pipeline.New(pipeline.Config{Logger: quiet}), &list{}
		pipeline.Each(pipeline.From(p, source, sourceConfig{}), func(ctx context.Context, v int) error {
			time.Sleep(time.Second)
			return l.add(ctx, v)
		}, stepConfig{Workers: 2, Window: 2})
		r := pipelinetest.Run(t, p)
		source.PushAll(1, 2, 3)
		time.Sleep(time.Millisecond)
		p.Drain()
		synctest.Wait()
		late := source.Push(4)
		if err := r.Wait(); err != nil {
			t.Error(err)
		}
		is(t, "handled", len(l.all()), "4")
		if outcome, err := source.last.Wait(t.Context()); err != nil {
			t.Error(outcome, err)
		}
		if _, err := late.Wait(t.Context()); err != pipelinetest.ErrEnded {
			t.Error(err)
		}
	}},
	{"B29_a timeout of 1 ms cuts a blocked function off", func(t *testing.T) {
		for _, build := range []func(in *pipeline.Flow[int], f func(ctx context.Context, v int) error){
			func(in *pipeline.Flow[int], f func(ctx context.Context, v int) error) {
				pipeline.Each(in, f, stepConfig{})
			},
			func(in *pipeline.Flow[int], f func(ctx context.Context, v int) error) {
				pipeline.Each(in, f, stepConfig{Workers: 4})
			},
			func(in *pipeline.Flow[int], f func(ctx context.Context, v int) error) {
				pipeline.EachBatch(in, func(ctx context.Context, events []int) error { return f(ctx, events[0]) }, batchConfig{Size: 1})
			},
			func(in *pipeline.Flow[int], f func(ctx context.Context, v int) error) {
				pipeline.To(in, func() (stage.Consumer[int], error) { return each(f), nil }, pipeline.StageConfig{})
			},
		} {
			b := newBroadway(t, func(cfg *pipeline.Config) { cfg.DrainTimeout = time.Millisecond })
			cut := false
			build(b.in, func(ctx context.Context, _ int) error {
				<-ctx.Done()
				cut = true
				return ctx.Err()
			})
			b.start()
			r := b.source.bulk(1)[0]
			synctest.Wait()
			begun := time.Now()
			b.p.Drain()
			if err := b.run.Wait(); !errors.Is(err, stage.ErrDrainTimeout) || !cut {
				t.Error(err, cut)
			}
			b.is("time", time.Since(begun), "1ms")
			if _, err := r.Wait(t.Context()); err != pipelinetest.ErrEnded {
				t.Error(err) // its source has it again after the next start
			}
			b.is("dead", b.dead(), "")
		}
	}},
}
