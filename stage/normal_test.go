package stage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// wrapping are errors that mention the normal ends and are failures.
var wrapping = map[string]error{
	"wrapped ErrDone":    fmt.Errorf("save: %w", stage.ErrDone),
	"wrapped ErrStopped": fmt.Errorf("save: %w", stage.ErrStopped),
	"joined ErrDone":     errors.Join(stage.ErrDone, errOops),
	"joined ErrStopped":  errors.Join(stage.ErrStopped, errOops),
	"ErrStopped":         stage.ErrStopped,
	"a subscription's":   &stage.SubscriptionError{Stage: "C", Producer: "P", Reason: stage.ErrStopped},
}

// Only a stage's own end is an end: a handler's error that wraps the end of
// something else is a failure, of the stage and of the pipeline.
func TestWrappedEndIsAFailure(t *testing.T) {
	for name, failure := range wrapping {
		for place, build := range map[string]func(t *testing.T) []stage.Stage{
			"producer": func(t *testing.T) []stage.Stage {
				p := producer(&source{onDemand: func(int) error { return failure }}, stage.ProducerConfig[int]{})
				c := consumer(newSink(), "C")
				subscribe(t, c, p, stage.SubscribeConfig{Cancel: stage.Temporary})
				return []stage.Stage{p, c}
			},
			"producer-consumer": func(t *testing.T) []stage.Stage {
				p, pc := producer(&source{counting: true}, stage.ProducerConfig[int]{}), newPipe(1)
				pc.onEvents = func(context.Context, []int) error { return failure }
				m, c := between(pc, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
				subscribePC(t, m, p, four)
				subscribe(t, c, m, stage.SubscribeConfig{Cancel: stage.Temporary})
				return []stage.Stage{m, p, c}
			},
			"consumer": func(t *testing.T) []stage.Stage {
				p, dst := producer(&source{counting: true}, stage.ProducerConfig[int]{}), newSink()
				dst.onEvents = func(context.Context, []int) error { return failure }
				c := consumer(dst, "C")
				subscribe(t, c, p, four)
				return []stage.Stage{c, p}
			},
			"start": func(*testing.T) []stage.Stage {
				return []stage.Stage{producer(&source{onStart: func(context.Context) error { return failure }}, stage.ProducerConfig[int]{})}
			},
		} {
			t.Run(name+"/"+place, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					stages := build(t)
					err := stage.Run(t.Context(), stages...)
					var failed *stage.Error
					if !errors.Is(err, failure) || !errors.As(err, &failed) {
						t.Errorf("Run: %v", err)
					}
					if err := stages[0].Err(); !errors.Is(err, failure) {
						t.Errorf("Err: %v", err)
					}
				})
			})
		}
	}
}

// The same holds for the reasons with which subscriptions end.
func TestWrappedReasonIsNoNormalEnd(t *testing.T) {
	for name, reason := range map[string]error{
		"wrapped ErrDone":    wrapping["wrapped ErrDone"],
		"wrapped ErrStopped": wrapping["wrapped ErrStopped"],
		"wrapped duplicate":  fmt.Errorf("save: %w", dispatcher.ErrSubscribed),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p, c := producer(&source{}, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
				subscribe(t, c, p, stage.SubscribeConfig{Cancel: stage.Transient})
				start(t, p, c)
				p.Stop(reason)
				<-p.Stopped()
				<-c.Stopped()
				died(t, p, reason)
				died(t, c, reason)
				var ended *stage.SubscriptionError
				if !errors.As(c.Err(), &ended) {
					t.Fatal(c.Err())
				}
			})
		})
	}
}

// A chain of consumers that end because the first producer was stopped ends
// normally, whatever the stop was caused by.
func TestStopPassesThroughAChainAsANormalEnd(t *testing.T) {
	for name, stop := range map[string]func(p stage.Stage, cancel context.CancelCauseFunc){
		"Stop":              func(p stage.Stage, _ context.CancelCauseFunc) { p.Stop(nil) },
		"Stop ErrStopped":   func(p stage.Stage, _ context.CancelCauseFunc) { p.Stop(stage.ErrStopped) },
		"context of Start":  func(_ stage.Stage, cancel context.CancelCauseFunc) { cancel(errOops) },
		"Stop with ErrDone": func(p stage.Stage, _ context.CancelCauseFunc) { p.Stop(stage.ErrDone) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p, m, c := producer(&source{}, stage.ProducerConfig[int]{}), between(newPipe(1), stage.ProducerConfig[int]{}), consumer(newSink(), "C")
				subscribePC(t, m, p, four)
				subscribe(t, c, m, four)
				ctx, cancel := context.WithCancelCause(t.Context())
				if err := p.Start(ctx); err != nil {
					t.Fatal(err)
				}
				start(t, m, c)
				stop(p, cancel)
				for _, s := range []stage.Stage{p, m, c} {
					<-s.Stopped()
					died(t, s, nil)
				}
				cancel(nil)
			})
		})
	}
}

// A handler that returns the cause of its context has not failed either.
func TestHandlerReturnsTheCauseOfItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dst := newSink()
		dst.onEvents = func(ctx context.Context, _ []int) error {
			<-ctx.Done()
			return fmt.Errorf("waiting: %w", context.Cause(ctx))
		}
		p, c := producer(&source{counting: true}, stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribe(t, c, p, four)
		start(t, p, c)
		c.Stop(nil)
		<-c.Stopped()
		died(t, c, nil)
	})
}
