package stage_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// The end of the last consumer does not begin a drain while another one that has failed
// waits for its replacement: its events are not finished.
func TestLastConsumerEndsBeforeAReplacement(t *testing.T) {
	bubble(t, func(t *testing.T) {
		one, two := &acking{}, &acking{}
		p, q := producer(one, stage.ProducerConfig[int]{Name: "P"}), producer(two, stage.ProducerConfig[int]{Name: "Q"})
		dst := newSink()
		a, b := consumer(newSink(), "A"), consumer(newSink(), "B")
		subscribe(t, a, p, stage.SubscribeConfig{})
		subscribe(t, b, q, stage.SubscribeConfig{Redeliver: true})
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{Failed: func(stage.Stage, error) bool { return true }}, p, q, a, b))
		done := run(t.Context(), line)
		synctest.Wait()
		b.Do(func() { panic(errOops) })
		synctest.Wait()
		push(t, q, &two.source, 1)
		a.Drain()
		p.Drain()
		synctest.Wait()
		lives(t, q)
		b = consumer(dst, "B")
		subscribe(t, b, q, stage.SubscribeConfig{})
		add(t, line, b)
		synctest.Wait()
		equal(t, "receipts", ended(two.receipts), []string{"0 done"})
		b.Drain()
		line.Drain()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// A failure that the program has handled is none of a stage above that has ended before it
// heard of that.
func TestHandledFailureBelowAStageThatEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &acking{}
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
		between := stage.Must(stage.NewProducerConsumer(
			stage.MapFunc[int, int](func(_ context.Context, v int) (int, error) { return v, nil }), stage.ProducerConfig[int]{Name: "M"}))
		branch, err := between.Subscribe(p, stage.SubscribeConfig{Cancel: stage.Temporary})
		if err != nil {
			t.Fatal(err)
		}
		a, b := consumer(newSink(), "A"), consumer(newSink(), "B")
		subscribe(t, a, p, stage.SubscribeConfig{})
		subscribe(t, b, between, stage.SubscribeConfig{})
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{Failed: func(stage.Stage, error) bool { return true }}, p, between, a, b))
		done := run(t.Context(), line)
		push(t, p, &src.source, 1)
		branch.Cancel(stage.ErrDone)
		between.Drain()
		// It ends with its only subscriber.
		b.Do(func() { panic(errOops) })
		synctest.Wait()
		push(t, p, &src.source, 2)
		equal(t, "receipts", ended(src.receipts), []string{"0 done", "1 done"})
		line.Drain()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// A stage that has failed is replaced before the pipeline has heard of its end: it does not wait
// for another one. The pipeline is kept in Failed until both the end and the new stage are there,
// and takes either of them first.
func TestReplacementBeforeTheEndIsHeardOf(t *testing.T) {
	for range 20 {
		bubble(t, func(t *testing.T) {
			held := make(chan struct{})
			p := producer(&source{}, stage.ProducerConfig[int]{})
			b, c := consumer(newSink(), "B"), consumer(newSink(), "C")
			subscribe(t, b, p, stage.SubscribeConfig{Cancel: stage.Temporary})
			subscribe(t, c, p, stage.SubscribeConfig{Cancel: stage.Temporary})
			line := stage.Must(stage.NewPipeline(stage.PipelineConfig{Failed: func(s stage.Stage, _ error) bool {
				if s.Name() == "C" {
					<-held
				}
				return true
			}}, p, b, c))
			done := run(t.Context(), line)
			synctest.Wait()
			for _, s := range []stage.Stage{c, b} {
				s.Do(func() { panic(errOops) })
				synctest.Wait()
			}
			b = consumer(newSink(), "B")
			first := subscribe(t, b, p, stage.SubscribeConfig{Cancel: stage.Temporary})
			add(t, line, b)
			close(held)
			synctest.Wait()
			c = consumer(newSink(), "C")
			second := subscribe(t, c, p, stage.SubscribeConfig{Cancel: stage.Temporary})
			add(t, line, c)
			synctest.Wait()
			b.Drain()
			c.Drain()
			first.Cancel(stage.ErrDone)
			second.Cancel(stage.ErrDone)
			synctest.Wait()
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
			default:
				t.Error("the end of the last consumer has begun no drain")
				line.Drain()
				<-done
			}
		})
	}
}
