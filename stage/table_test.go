package stage_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/stage"
)

// able is a handler that has everything that all kinds of handlers may have.
type able struct{ called []string }

func (a *able) note(name string) error { a.called = append(a.called, name); return nil }

func (a *able) HandleStart(context.Context, *stage.Handle) error { return a.note("Start") }
func (a *able) HandleInfo(context.Context, any) error            { return a.note("Info") }
func (a *able) HandleSubscribe(context.Context, stage.SubscriptionInfo) error {
	return a.note("Subscribe")
}
func (a *able) HandleCancel(context.Context, stage.SubscriptionInfo, error) error {
	return a.note("Cancel")
}
func (a *able) HandleTerminate(context.Context, error) error              { return a.note("Terminate") }
func (a *able) HandleInspect() any                                        { return a.note("Inspect") }
func (a *able) HandleWake(context.Context, *stage.Emitter[int]) error     { return a.note("Wake") }
func (a *able) HandleReceipts(context.Context, []stage.Receipt) error     { return a.note("Receipts") }
func (a *able) HandleDrain(context.Context) error                         { return a.note("Drain") }
func (a *able) HandleEmitter(*stage.Emitter[int])                         { _ = a.note("Emitter") }
func (a *able) HandleFlush(context.Context) error                         { return a.note("Flush") }
func (a *able) HandleDelivery(context.Context, stage.Delivery[int]) error { return a.note("Delivery") }
func (a *able) HandleDefaultDemand() (maxDemand, minDemand int) {
	_ = a.note("DefaultDemand")
	return 7, 3
}
func (a *able) HandleSubscribeConfig(stage.SubscribeConfig) error { return a.note("SubscribeConfig") }
func (a *able) HandleStalled() bool                               { return a.note("Stalled") != nil }
func (a *able) HandleTick(context.Context) error                  { return a.note("Tick") }
func (a *able) HandleWithdraw(context.Context) error              { return a.note("Withdraw") }
func (a *able) HandleBusy() bool                                  { return a.note("Busy") != nil }
func (a *able) HandleReceiptsWanted(any) bool                     { return a.note("ReceiptsWanted") == nil }
func (a *able) HandleProgress() int {
	_ = a.note("Progress")
	return 0
}
func (a *able) HandleDemand(context.Context, int, *stage.Emitter[int]) error { return a.note("Demand") }

type ableConsumer struct{ able }

func (a *ableConsumer) HandleEvents(context.Context, []int) error { return a.note("Events") }

type ableBoth struct{ able }

func (a *ableBoth) HandleEvents(context.Context, []int, *stage.Emitter[int]) error {
	return a.note("Events")
}

func (a *ableBoth) HandleDelivery(context.Context, stage.Delivery[int], *stage.Emitter[int]) error {
	return a.note("Delivery")
}

// A table has a function for each that its handler has, and calls that one: a
// wrapper that resolves and copies it loses nothing.
func TestTablesHaveAllThatHandlersHave(t *testing.T) {
	producer, consumer, both := &able{}, &ableConsumer{}, &ableBoth{}
	for _, tc := range []struct {
		table  any
		called *[]string
	}{
		{stage.ResolveProducer[int](producer), &producer.called},
		{stage.ResolveConsumer[int](consumer), &consumer.called},
		{stage.ResolveProducerConsumer[int, int](both), &both.called},
		{stage.ResolveConsumer[int](stage.ResolveConsumer[int](consumer)), &consumer.called},
	} {
		var check func(v reflect.Value)
		check = func(v reflect.Value) {
			for i := range v.NumField() {
				field := v.Type().Field(i)
				if field.Anonymous {
					check(v.Field(i))
					continue
				}
				if !field.IsExported() {
					continue
				}
				if v.Field(i).IsNil() {
					t.Errorf("%v: %s is nil", v.Type(), field.Name)
					continue
				}
				*tc.called = nil
				var args []reflect.Value
				for j := range field.Type.NumIn() {
					args = append(args, reflect.Zero(field.Type.In(j)))
				}
				v.Field(i).Call(args)
				if fmt.Sprint(*tc.called) != fmt.Sprint([]string{field.Name}) {
					t.Errorf("%v: %s called %v", v.Type(), field.Name, *tc.called)
				}
			}
		}
		check(reflect.ValueOf(tc.table).Elem())
	}
}

func TestWrapperKeepsEveryAbility(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, w := &acking{}, &pool{}
		p := producer(src, stage.ProducerConfig[int]{})
		h := stage.ResolveConsumer[int](w)
		deliver, deliveries := h.Delivery, 0
		h.Delivery = func(ctx context.Context, d stage.Delivery[int]) error {
			deliveries++
			return deliver(ctx, d)
		}
		c := consumer(h, "wrapped")
		sub := subscribe(t, c, p, stage.SubscribeConfig{MaxDemand: 4})
		start(t, p, c)
		push(t, p, &src.source, 1, 2)
		w.settle(sub, 0, nil, 1)
		equal(t, "deliveries", deliveries, 1)
		equal(t, "receipts", ended(src.receipts), []string{"1 done"})
		c.Stop(errOops)
		synctest.Wait()
		equal(t, "ended", len(w.ended), 1)
	})
}

func TestTableMadeByHand(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got []int
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{})
		c := stage.Must(stage.NewConsumer(&stage.ConsumerHandlers[int]{Events: func(_ context.Context, events []int) error {
			got = append(got, events...)
			return nil
		}}, stage.ConsumerConfig{}))
		subscribe(t, c, p, stage.SubscribeConfig{})
		start(t, p, c)
		push(t, p, src, 1, 2)
		equal(t, "events", got, []int{1, 2})
		equal(t, "name", strings.HasPrefix(stage.Must(stage.NewConsumer(stage.ResolveConsumer[int](newSink()), stage.ConsumerConfig{})).Name(), "sink-"), true)
		_, err := stage.NewConsumer(&stage.ConsumerHandlers[int]{}, stage.ConsumerConfig{})
		var refused *stage.OptionError
		if !errors.As(err, &refused) || refused.Option != "Events" {
			t.Fatal(err)
		}
	})
}

// A wrapper replaces what it is about and passes on the rest.
func ExampleResolveConsumer() {
	attempts := 0
	flaky := stage.ConsumerFunc[string](func(_ context.Context, events []string) error {
		if attempts++; attempts < 3 {
			return errors.New("not yet")
		}
		fmt.Println(events, "in attempt", attempts)
		return nil
	})
	h := stage.ResolveConsumer[string](flaky)
	events := h.Events
	h.Events = func(ctx context.Context, batch []string) error {
		var err error
		for range 5 {
			if err = events(ctx, batch); err == nil {
				break
			}
		}
		return err
	}
	if err := h.HandleEvents(context.Background(), []string{"a", "b"}); err != nil {
		fmt.Println(err)
	}
	// Output: [a b] in attempt 3
}
