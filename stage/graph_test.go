package stage_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// A consumer leaves a producer outside of its pipeline when it drains, whether
// that one runs, has not been started or never is.
func TestDrainWithAProducerOutside(t *testing.T) {
	for _, state := range []string{"runs", "is not started", "has stopped"} {
		t.Run(state, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src, inner, pc, dst := &source{}, &source{}, newPipe(1), newSink()
				outside := producer(src, stage.ProducerConfig[int]{Name: "outside"})
				p := producer(inner, stage.ProducerConfig[int]{})
				m, c := between(pc, stage.ProducerConfig[int]{}), consumer(dst, "C")
				up := subscribePC(t, m, outside, stage.SubscribeConfig{Cancel: stage.Temporary})
				subscribePC(t, m, p, four)
				subscribe(t, c, m, four)
				if state != "is not started" {
					start(t, outside)
				}
				line := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, p, m, c))
				done := run(t.Context(), line)
				want := 2
				switch state {
				case "runs":
					push(t, outside, src, 1, 2)
					want = 4
				case "has stopped":
					outside.Stop(nil)
				}
				push(t, p, inner, 3, 4)
				line.Drain()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				equal(t, "events", len(dst.events()), want)
				<-up.Done()
				synctest.Wait() // outside hears of it too
				if state == "runs" {
					lives(t, outside)
					equal(t, "told", src.cancels, []string{stage.ErrDone.Error()})
					equal(t, "subscribers", len(snap(t, outside).Subscriptions), 0)
				}
				outside.Stop(nil)
			})
		})
	}
}

// Cancelling ends a subscription to a producer that is never started, and one
// that is started later knows nothing of it.
func TestCancelBeforeTheProducerStarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, dst := &source{counting: true}, newSink()
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		sub := subscribe(t, c, p, stage.SubscribeConfig{Cancel: stage.Temporary})
		start(t, c)
		sub.Cancel(errOops)
		synctest.Wait()
		if !errors.Is(sub.Err(), errOops) {
			t.Fatal(sub.Err())
		}
		equal(t, "cancels", dst.cancels, []string{"oops"})
		equal(t, "subscriptions", len(snap(t, c).Subscriptions), 0)
		start(t, p)
		lives(t, p, c)
		equal(t, "subscriptions", len(snap(t, p).Subscriptions), 0)
		equal(t, "events", len(dst.events()), 0)
		next := subscribe(t, c, p, stage.SubscribeConfig{Cancel: stage.Temporary, Manual: true})
		if err := next.Ask(3); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		equal(t, "events", dst.events(), []int{0, 1, 2})
	})
}

func TestCycleIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := producer(&source{}, stage.ProducerConfig[int]{})
		a := between(newPipe(1), stage.ProducerConfig[int]{Name: "A"})
		b := between(newPipe(1), stage.ProducerConfig[int]{Name: "B"})
		c := consumer(newSink(), "C")
		subscribePC(t, a, p, four)
		subscribePC(t, a, b, four)
		back := subscribePC(t, b, a, four)
		subscribe(t, c, b, four)
		err := stage.Run(t.Context(), p, a, b, c)
		if !errors.Is(err, stage.ErrCycle) || !strings.Contains(err.Error(), "A to B to A") {
			t.Fatal(err)
		}
		for _, s := range []stage.Stage{p, a, b, c} {
			s.Stop(nil)
			<-s.Stopped()
		}
		<-back.Done()
		again := subscribePCTo(t, "A")
		if err := stage.Run(t.Context(), again); !errors.Is(err, stage.ErrCycle) {
			t.Fatal(err)
		}
		again.Stop(nil)
	})
}

// subscribePCTo returns a stage that is subscribed to itself.
func subscribePCTo(t *testing.T, name string) *stage.ProducerConsumerStage[int, int] {
	t.Helper()
	a := between(newPipe(1), stage.ProducerConfig[int]{Name: name})
	subscribePC(t, a, a, four)
	return a
}

func TestHandlerInTwoStages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, dst := &source{counting: true, limit: 3}, newSink()
		p, a, b := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "A"), consumer(dst, "B")
		subscribe(t, a, p, four)
		subscribe(t, b, p, four)
		if err := stage.Run(t.Context(), a, b, p); !errors.Is(err, stage.ErrShared) || !strings.Contains(err.Error(), `"B"`) {
			t.Fatal(err)
		}
		// It is free again when its stage has stopped.
		p, a = producer(&source{counting: true, limit: 3}, stage.ProducerConfig[int]{}), consumer(dst, "A")
		subscribe(t, a, p, four)
		if err := stage.Run(t.Context(), a, p); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDispatcherInTwoStages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := dispatcher.NewBroadcast[int]()
		for range 2 { // it is free again when its stage has stopped
			p := producer(&source{counting: true, limit: 3}, stage.ProducerConfig[int]{Dispatcher: d, Name: "P"})
			q := producer(&source{counting: true, limit: 3}, stage.ProducerConfig[int]{Dispatcher: d, Name: "Q"})
			if err := p.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := q.Start(t.Context()); !errors.Is(err, stage.ErrShared) || !strings.Contains(err.Error(), `"Q"`) {
				t.Fatal(err)
			}
			p.Stop(nil)
			synctest.Wait()
		}
	})
}

// What was probably forgotten is in the log as soon as the pipeline is run.
func TestForgottenParts(t *testing.T) {
	type parts struct {
		p    *stage.ProducerStage[int]
		m    *stage.ProducerConsumerStage[int, int]
		c, d *stage.ConsumerStage[int]
	}
	for name, tc := range map[string]struct {
		build func(t *testing.T, s parts) []stage.Stage
		want  string
	}{
		"nothing": {func(t *testing.T, s parts) []stage.Stage {
			subscribePC(t, s.m, s.p, four)
			subscribe(t, s.c, s.m, four)
			return []stage.Stage{s.p, s.m, s.c}
		}, ""},
		"a subscription": {func(t *testing.T, s parts) []stage.Stage {
			subscribePC(t, s.m, s.p, four)
			subscribe(t, s.c, s.m, four)
			return []stage.Stage{s.p, s.m, s.c, s.d}
		}, "stage has no subscription stage=D"},
		"the subscriber": {func(t *testing.T, s parts) []stage.Stage {
			subscribePC(t, s.m, s.p, four)
			return []stage.Stage{s.p, s.m}
		}, "stage has no subscriber stage=PC"},
		"the producer": {func(t *testing.T, s parts) []stage.Stage {
			subscribe(t, s.c, s.m, four)
			return []stage.Stage{s.m, s.c}
		}, "stage is subscribed to nothing stage=PC"},
		"to run the producer": {func(t *testing.T, s parts) []stage.Stage {
			subscribe(t, s.c, s.p, four)
			return []stage.Stage{s.c}
		}, `neither started nor part of the pipeline" stage=C other=P`},
		"to run a consumer": {func(t *testing.T, s parts) []stage.Stage {
			subscribe(t, s.c, s.p, four)
			subscribe(t, s.d, s.p, four)
			return []stage.Stage{s.c, s.p}
		}, `neither started nor part of the pipeline" stage=P other=D`},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log strings.Builder
				s := parts{
					producer(&source{}, stage.ProducerConfig[int]{}), between(newPipe(1), stage.ProducerConfig[int]{}),
					consumer(newSink(), "C"), consumer(newSink(), "D"),
				}
				stages := tc.build(t, s)
				logger := slog.New(slog.NewTextHandler(&log, nil))
				line := stage.Must(stage.NewPipeline(stage.PipelineConfig{Logger: logger}, stages...))
				ctx, cancel := context.WithCancel(t.Context())
				done := run(ctx, line)
				got := strings.ReplaceAll(log.String(), `" stage=`, ` stage=`)
				if got = strings.ReplaceAll(got, `"`, ""); !strings.Contains(got, strings.ReplaceAll(tc.want, `"`, "")) || (tc.want == "") != (got == "") {
					t.Errorf("log: %s, want %s", log.String(), tc.want)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				for _, other := range []stage.Stage{s.p, s.m, s.c, s.d} {
					other.Stop(nil)
				}
			})
		})
	}
}
