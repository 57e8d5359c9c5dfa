package stage_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// ways are the ways in which a handler can fail.
var ways = map[string]func() error{
	"error": func() error { return errOops },
	"panic": func() error { panic(errOops) },
	"exit":  func() error { runtime.Goexit(); return nil },
}

// failedBy checks the error of a stage that one of the ways has failed.
func failedBy(t *testing.T, err error, name, handler, way string) {
	t.Helper()
	var failure *stage.Error
	if !errors.As(err, &failure) {
		t.Fatalf("%v is no *stage.Error", err)
	}
	equal(t, "stage", failure.Stage, name)
	equal(t, "handler", failure.Handler, handler)
	cause := errOops
	if way == "exit" {
		cause = stage.ErrGoexit
	}
	if !errors.Is(err, cause) {
		t.Fatalf("%v is not for %v", err, cause)
	}
	if way == "error" {
		equal(t, "stack", len(failure.Stack), 0)
	} else if !strings.Contains(string(failure.Stack), "failure_test.go") {
		t.Fatalf("the stack does not show where:\n%s", failure.Stack)
	}
	var panicked *stage.PanicError
	if errors.As(err, &panicked) != (way == "panic") {
		t.Fatalf("%#v", err)
	}
}

// A producer fails in each of its handlers, in each way: its subscriber is told
// why, once, and dies or lives by its mode.
func TestProducerFailures(t *testing.T) {
	type rig struct {
		src  *source
		p    *stage.ProducerStage[int]
		sub  *stage.Subscription[int]
		fail func() error
	}
	for handler, provoke := range map[string]func(r *rig){
		"HandleDemand": func(r *rig) { r.src.onDemand = func(int) error { return r.fail() }; _ = r.sub.Ask(1) },
		"HandleWake":   func(r *rig) { r.src.onWake = r.fail; r.src.self.Wake() },
		"HandleInfo":   func(r *rig) { r.src.onInfo = func(any) error { return r.fail() }; r.src.self.Send(1) },
		"HandleCancel": func(r *rig) {
			r.src.onCancel = func(error) error { return r.fail() }
			r.sub.Cancel(errors.New("enough"))
		},
		"Do": func(r *rig) {
			r.p.Do(func() {
				if err := r.fail(); err != nil {
					panic(err)
				}
			})
		},
	} {
		for way, fail := range ways {
			t.Run(handler+"/"+way, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					src, dst := &source{}, newSink()
					p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
					sub := subscribe(t, c, p, stage.SubscribeConfig{Manual: true})
					start(t, p, c)
					provoke(&rig{src, p, sub, fail})
					synctest.Wait()
					if way == "error" && handler == "Do" {
						way = "panic" // a function for Do has no other way to fail
					}
					failedBy(t, p.Err(), "P", handler, way)
					equal(t, "ends", len(dst.cancels), 1)
					if handler == "HandleCancel" {
						equal(t, "reason", dst.cancels, []string{"enough"})
						return
					}
					died(t, c, p.Err())
					var ended *stage.SubscriptionError
					if !errors.As(c.Err(), &ended) || ended.Stage != "C" || ended.Producer != "P" {
						t.Fatal(c.Err())
					}
					if !errors.Is(sub.Err(), p.Err()) {
						t.Fatal(sub.Err())
					}
					equal(t, "terminated", len(src.ended), 1)
				})
			})
		}
	}
}

func TestConsumerFailures(t *testing.T) {
	for handler, provoke := range map[string]func(dst *sink, fail func() error){
		"HandleEvents": func(dst *sink, fail func() error) {
			dst.onEvents = func(context.Context, []int) error { return fail() }
		},
		"HandleInfo": func(dst *sink, fail func() error) {
			dst.onInfo = func(any) error { return fail() }
		},
		"HandleCancel": func(dst *sink, fail func() error) { dst.onCancel = func(error) error { return fail() } },
	} {
		for way, fail := range ways {
			t.Run(handler+"/"+way, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					src, dst := &source{}, newSink()
					p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
					sub := subscribe(t, c, p, stage.SubscribeConfig{Cancel: stage.Temporary})
					start(t, p, c)
					provoke(dst, fail)
					switch handler {
					case "HandleInfo":
						dst.self.Send(1)
					case "HandleCancel":
						sub.Cancel(nil)
					}
					push(t, p, src, 1)
					failedBy(t, c.Err(), "C", handler, way)
					lives(t, p)
					equal(t, "subscriptions", len(snap(t, p).Subscriptions), 0)
					equal(t, "ends at the producer", len(src.cancels), 1)
					equal(t, "terminated", len(dst.ended), 1)
					if sub.Err() == nil {
						t.Fatal("the subscription goes on")
					}
				})
			})
		}
	}
}

// A producer-consumer that fails ends both its sides, and no other stage is left
// waiting.
func TestProducerConsumerFailures(t *testing.T) {
	for way, fail := range ways {
		t.Run(way, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src, pc, p, m, up, down, cs := trio(t, stage.Permanent)
				pc.after = func([]int, *stage.Emitter[int]) error { return fail() }
				push(t, p, src, 1, 2)
				failedBy(t, m.Err(), "PC", "HandleEvents", way)
				lives(t, p, cs)
				if !errors.Is(up.Err(), m.Err()) || !errors.Is(down.Err(), m.Err()) {
					t.Fatal(up.Err(), down.Err())
				}
				got := snap(t, m)
				equal(t, "discarded", got.Discarded[receipt.Stopped], 2)
				equal(t, "abandoned", snap(t, p).Abandoned, 2)
			})
		})
	}
}

// Handlers that run when a stage starts, ends, and is asked to do so.
func TestFailuresAtTheEdges(t *testing.T) {
	for way, fail := range ways {
		t.Run("HandleStart/"+way, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := producer(&source{onStart: func(context.Context) error { return fail() }}, stage.ProducerConfig[int]{})
				failedBy(t, p.Start(t.Context()), "P", "HandleStart", way)
			})
		})
		t.Run("HandleTerminate/"+way, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src, dst := &source{onEnd: fail}, newSink()
				p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
				dst.onEnd = fail
				sub := subscribe(t, c, p, stage.SubscribeConfig{Cancel: stage.Temporary})
				start(t, p, c)
				p.Stop(nil)
				synctest.Wait()
				failedBy(t, p.Err(), "P", "HandleTerminate", way)
				lives(t, c)
				equal(t, "ends", dst.cancels, []string{"stage stopped"})
				c.Stop(nil)
				synctest.Wait()
				failedBy(t, c.Err(), "C", "HandleTerminate", way)
				if sub.Err() == nil {
					t.Fatal("the subscription goes on")
				}
			})
		})
	}
}

// failingSource fails where receipts come, or when it is to drain.
type failingSource struct {
	source
	onReceipts, onDrain func() error
}

func (s *failingSource) HandleReceipts(context.Context, []stage.Receipt) error { return s.onReceipts() }
func (s *failingSource) HandleDrain(context.Context) error                     { return s.onDrain() }

func TestFailuresOfOptionalHandlers(t *testing.T) {
	none := func() error { return nil }
	for way, fail := range ways {
		t.Run("HandleReceipts/"+way, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				calls := 0
				src := &failingSource{onReceipts: func() error { calls++; return fail() }, onDrain: none}
				p := producer(src, stage.ProducerConfig[int]{})
				start(t, p)
				c := join(t, p, newSink(), stage.SubscribeConfig{MaxDemand: 1})
				push(t, p, &src.source, 1)
				failedBy(t, p.Err(), "P", "HandleReceipts", way)
				died(t, c, p.Err())
				equal(t, "calls", calls, 1) // it has had the receipt
			})
		})
		t.Run("HandleDrain/"+way, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src := &failingSource{onReceipts: none, onDrain: fail}
				p := producer(src, stage.ProducerConfig[int]{})
				start(t, p)
				c := join(t, p, newSink(), stage.SubscribeConfig{})
				p.Drain()
				synctest.Wait()
				failedBy(t, p.Err(), "P", "HandleDrain", way)
				died(t, c, p.Err())
			})
		})
	}
}

// HandleSubscribe refuses with an error, and fails its stage only by a panic or
// an exit; the other side receives the end all the same.
func TestHandleSubscribeRefusesOrFails(t *testing.T) {
	for way, fail := range ways {
		t.Run("producer/"+way, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src := &source{onSub: func(stage.SubscriptionInfo) error { return fail() }}
				p, dst := producer(src, stage.ProducerConfig[int]{}), newSink()
				start(t, p)
				c := join(t, p, dst, stage.SubscribeConfig{Cancel: stage.Temporary})
				lives(t, c)
				equal(t, "ends", len(dst.cancels), 1)
				if way == "error" {
					equal(t, "reason", dst.cancels, []string{"oops"})
					lives(t, p)
					return
				}
				failedBy(t, p.Err(), "P", "HandleSubscribe", way)
			})
		})
		t.Run("consumer/"+way, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src, dst := &source{}, newSink()
				p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
				start(t, p, c)
				dst.onSub = func(stage.SubscriptionInfo) error { return fail() }
				sub := subscribe(t, c, p, stage.SubscribeConfig{})
				synctest.Wait()
				equal(t, "subscriptions", len(src.subs), 0)
				if sub.Err() == nil {
					t.Fatal("the subscription goes on")
				}
				if way == "error" {
					lives(t, c)
					return
				}
				failedBy(t, c.Err(), "C", "HandleSubscribe", way)
			})
		})
	}
}

// A dispatcher that breaks its contract stops its stage and no other.
type brokenDispatcher struct {
	dispatcher.Dispatcher[int]
	dispatch func(offer dispatcher.Offer[int], out dispatcher.Out[int]) int
}

func (d *brokenDispatcher) Dispatch(offer dispatcher.Offer[int], out dispatcher.Out[int]) int {
	return d.dispatch(offer, out)
}

func TestBrokenDispatchers(t *testing.T) {
	for name, dispatch := range map[string]func(dispatcher.Offer[int], dispatcher.Out[int]) int{
		"gives too much": func(o dispatcher.Offer[int], out dispatcher.Out[int]) int {
			out.Give(0, 0, len(o.Events))
			return len(o.Events)
		},
		"gives to nobody": func(o dispatcher.Offer[int], out dispatcher.Out[int]) int { out.Give(7, 0, 1); return 1 },
		"takes too much":  func(o dispatcher.Offer[int], out dispatcher.Out[int]) int { return len(o.Events) + 1 },
		"loses events":    func(o dispatcher.Offer[int], out dispatcher.Out[int]) int { return len(o.Events) },
		"panics":          func(dispatcher.Offer[int], dispatcher.Out[int]) int { panic("broken") },
		"panics late": func(o dispatcher.Offer[int], out dispatcher.Out[int]) int {
			out.Give(0, 0, 1)
			panic("broken")
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src := &source{}
				p := producer(src, stage.ProducerConfig[int]{Dispatcher: &brokenDispatcher{dispatcher.NewDemand[int](), dispatch}})
				start(t, p)
				c := join(t, p, newSink(), stage.SubscribeConfig{MaxDemand: 2, Cancel: stage.Temporary})
				if !p.Do(func() { src.emit.EmitAll([]int{1, 2, 3}) }) {
					t.Fatal("stopped")
				}
				synctest.Wait()
				var failure *stage.Error
				if !errors.As(p.Err(), &failure) || failure.Handler != "Dispatch" {
					t.Fatal(p.Err())
				}
				lives(t, c)
				equal(t, "subscriptions", len(snap(t, c).Subscriptions), 0)
			})
		})
	}
}

// A bad subscriber is refused, or ended, and ends no other stage.
func TestBadSubscribers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, good := &source{}, newSink()
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
		start(t, p)
		join(t, p, good, stage.SubscribeConfig{})
		wrong := consumer(newSink(), "wrong")
		refused := subscribe(t, wrong, p, stage.SubscribeConfig{Selector: 1})
		start(t, wrong)
		var option *dispatcher.OptionError
		if died(t, wrong, refused.Err()); !errors.As(wrong.Err(), &option) {
			t.Fatal(wrong.Err())
		}
		late := consumer(newSink(), "late")
		sub := subscribe(t, late, p, stage.SubscribeConfig{Selector: func(int) bool { panic("bad") }})
		start(t, late)
		push(t, p, src, 1, 2)
		var selector *dispatcher.SelectorError
		if died(t, late, sub.Err()); !errors.As(late.Err(), &selector) || !errors.As(late.Err(), new(*stage.PanicError)) {
			t.Fatal(late.Err())
		}
		push(t, p, src, 3)
		equal(t, "events", good.events(), []int{1, 2, 3})
		lives(t, p)
	})
}

// A panic is a failure whatever it was called with.
func TestPanicWithDoneIsAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := producer(&source{onDemand: func(int) error { panic(stage.ErrDone) }}, stage.ProducerConfig[int]{})
		start(t, p)
		c := join(t, p, newSink(), stage.SubscribeConfig{Cancel: stage.Transient})
		if p.Err() == nil || c.Err() == nil {
			t.Fatal(p.Err(), c.Err())
		}
	})
}

// context.Cause returns the reason why a handler's context was cancelled; a handler
// that returns because of that has not failed.
func TestCauseOfTheContext(t *testing.T) {
	for _, c := range []struct {
		stop func(p stage.Stage, cancel context.CancelCauseFunc)
		want error
		err  error
	}{
		{func(p stage.Stage, _ context.CancelCauseFunc) { p.Stop(nil) }, stage.ErrStopped, nil},
		{func(p stage.Stage, _ context.CancelCauseFunc) { p.Stop(errOops) }, errOops, errOops},
		{func(_ stage.Stage, cancel context.CancelCauseFunc) { cancel(errOops) }, errOops, nil},
	} {
		bubble(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			var cause error
			src := &source{onStart: func(ctx context.Context) error { return nil }}
			dst := newSink()
			dst.onEvents = func(ctx context.Context, _ []int) error {
				<-ctx.Done()
				cause = context.Cause(ctx)
				return ctx.Err()
			}
			p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
			subscribe(t, cs, p, stage.SubscribeConfig{})
			start(t, p)
			if err := cs.Start(ctx); err != nil {
				t.Fatal(err)
			}
			push(t, p, src, 1)
			c.stop(cs, cancel)
			synctest.Wait()
			if !errors.Is(cause, c.want) {
				t.Fatal(cause)
			}
			died(t, cs, c.err)
		})
	}
}
