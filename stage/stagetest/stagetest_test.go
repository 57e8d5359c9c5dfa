package stagetest_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/stage/stagetest"
)

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// failure checks that err is the failure of a handler, in the function called name.
func failure(t *testing.T, err error, name, text string) {
	t.Helper()
	var e *stage.Error
	if !errors.As(err, &e) || e.Handler != name || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want a failure of %s with %q", err, name, text)
	}
}

type events = []int

func transform(t *testing.T, f func(events events, emit *stage.Emitter[int]) error) *stagetest.ProducerConsumer[int, int] {
	t.Helper()
	k, err := stagetest.NewProducerConsumer(t.Context(), stage.ProducerConsumerFunc[int, int](
		func(_ context.Context, events []int, emit *stage.Emitter[int]) error { return f(events, emit) }))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// What a handler says of its inputs is seen.
func TestOriginsOfEvents(t *testing.T) {
	for _, c := range []struct {
		name    string
		handle  func(events events, emit *stage.Emitter[int]) error
		emitted []stagetest.Emitted[int]
		ended   string
		held    []int
	}{
		{"nothing said", func(events events, emit *stage.Emitter[int]) error { emit.EmitAll(events); return nil },
			[]stagetest.Emitted[int]{{7, []int{0, 1}}, {8, []int{0, 1}}}, "", nil},
		{"From", func(events events, emit *stage.Emitter[int]) error { emit.From(1); emit.Emit(1); return nil },
			[]stagetest.Emitted[int]{{1, []int{1}}}, "0 done", nil},
		{"nothing emitted", func(events, *stage.Emitter[int]) error { return nil }, nil, "0 done, 1 done", nil},
		{"Fail", func(_ events, emit *stage.Emitter[int]) error { emit.Fail(0, errOops); emit.Emit(5); return nil },
			[]stagetest.Emitted[int]{{5, []int{1}}}, "0 failed: oops", nil},
		{"Fail as a discard", func(_ events, emit *stage.Emitter[int]) error {
			emit.Fail(1, stage.Discard(receipt.Expired))
			return nil
		}, nil, "1 discarded: expired, 0 done", nil},
		{"Hold", func(_ events, emit *stage.Emitter[int]) error { emit.Hold(1); return nil }, nil, "0 done", []int{1}},
		{"Hold and For", func(_ events, emit *stage.Emitter[int]) error {
			h := emit.Hold(1)
			emit.From(0)
			emit.Emit(1)
			emit.For(h)
			emit.Emit(2)
			return nil
		}, []stagetest.Emitted[int]{{1, []int{0}}, {2, []int{1}}}, "", nil},
		{"Finish", func(_ events, emit *stage.Emitter[int]) error { emit.Finish(errOops, emit.Hold(0)); return nil },
			nil, "0 failed: oops, 1 done", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := transform(t, c.handle)
			r, err := k.Events(7, 8)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "emitted", r.Emitted, c.emitted)
			equal(t, "ended", texts(r.Ended), c.ended)
			equal(t, "held", r.Held, c.held)
		})
	}
}

func texts(ended []stagetest.Ended) string {
	list := make([]string, len(ended))
	for i, e := range ended {
		list[i] = e.String()
	}
	return strings.Join(list, ", ")
}

// What stops a stage is an error, after which nothing more is called.
func TestMisuseFails(t *testing.T) {
	other := func() (h stage.Held) {
		k := transform(t, func(_ events, emit *stage.Emitter[int]) error { h = emit.Hold(0); return nil })
		_, _ = k.Events(1)
		return h
	}()
	for _, c := range []struct {
		name, text string
		handle     func(emit *stage.Emitter[int]) error
	}{
		{"From beyond", "Emitter.From refused: 1; allowed: the index of one of the 1 events", func(e *stage.Emitter[int]) error { e.From(1); return nil }},
		{"Hold before", "Emitter.Hold refused: -1", func(e *stage.Emitter[int]) error { e.Hold(-1); return nil }},
		{"Hold twice", "Emitter.Hold refused: 0", func(e *stage.Emitter[int]) error { e.Hold(0); e.Hold(0); return nil }},
		{"Fail beyond", "Emitter.Fail refused: 3", func(e *stage.Emitter[int]) error { e.Fail(3, errOops); return nil }},
		{"of another stage", `Emitter.For refused: "an input of another stage"`, func(e *stage.Emitter[int]) error { e.For(other); return nil }},
		{"an error", "oops", func(*stage.Emitter[int]) error { return errOops }},
		{"a panic", "panic: boom", func(*stage.Emitter[int]) error { panic("boom") }},
		{"a misuse and ErrDone", "Emitter.From refused: 1", func(e *stage.Emitter[int]) error { e.From(1); return stage.ErrDone }},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := transform(t, func(_ events, emit *stage.Emitter[int]) error { return c.handle(emit) })
			r, err := k.Events(1)
			failure(t, err, "HandleEvents", c.text)
			equal(t, "ended", len(r.Ended), 0)
			_, err = k.Events(2)
			equal(t, "after the end", err, stage.ErrStopped)
		})
	}
}

// An emitter that is used while no handler runs is found by the next call.
func TestEmitOutside(t *testing.T) {
	for name, use := range map[string]func(*stage.Emitter[int]){
		"Emit": func(e *stage.Emitter[int]) { e.Emit(1) }, "EmitAll of nothing": func(e *stage.Emitter[int]) { e.EmitAll(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var kept *stage.Emitter[int]
			k := transform(t, func(_ events, emit *stage.Emitter[int]) error { kept = emit; return nil })
			_, _ = k.Events(1)
			use(kept)
			_, err := k.Events(2)
			failure(t, err, "Emit", stage.ErrOutside.Error())
		})
	}
}

// A slice that the handler keeps is wiped, as a stage fills it again.
func TestEventsAreWiped(t *testing.T) {
	var kept events
	k := transform(t, func(events events, _ *stage.Emitter[int]) error { kept = events; return nil })
	given := events{1, 2}
	_, _ = k.Events(given...)
	equal(t, "kept", kept, events{0, 0})
	equal(t, "given", given, events{1, 2})
}

// The receipts of what was emitted become those of the inputs, with the worst outcome.
func TestReceiptsOfEmittedEvents(t *testing.T) {
	k := transform(t, func(events events, emit *stage.Emitter[int]) error {
		for i, e := range events {
			emit.From(i)
			emit.EmitAll([]int{e, e})
		}
		return nil
	})
	if _, err := k.Events(1, 2); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		receipt stage.Receipt
		ended   string
	}{
		{stage.Receipt{First: 2, Count: 1}, ""},
		{stage.Receipt{First: 0, Count: 2}, "0 done"},
		{stage.Receipt{First: 3, Count: 1, Outcome: receipt.Discarded, Reason: receipt.KeyFull}, "1 discarded: key_full"},
	} {
		r, err := k.Receipts(c.receipt)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "ended", texts(r.Ended), c.ended)
	}
	for _, wrong := range []uint64{0, 4} {
		_, err := k.Receipts(stage.Receipt{First: wrong, Count: 1})
		var refused *stagetest.OptionError
		if !errors.As(err, &refused) {
			t.Errorf("receipt for event %d: %v", wrong, err)
		}
	}
	equal(t, "unfinished", k.Unfinished(), 0)
}

// A queue is a producer that is woken, drained, and gets receipts.
func TestProducer(t *testing.T) {
	q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{}))
	k, err := stagetest.NewProducer[int](t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.Demand(2)
	if len(got) != 0 || err != nil || k.Owed() != 2 {
		t.Fatal(got, err, k.Owed())
	}
	for v := range 3 {
		if err := q.Push(t.Context(), v+1); err != nil {
			t.Fatal(err)
		}
	}
	got, err = k.Next(t.Context())
	equal(t, "events", got, events{1, 2})
	equal(t, "owed", k.Owed(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Demand(0); err == nil {
		t.Error("a demand of nothing is not refused")
	}
	if got, err = k.Demand(5); len(got) != 1 || err != nil {
		t.Fatal(got, err)
	}
	if _, err := k.Receipts(stage.Receipt{First: 0, Count: 3}); err != nil || k.Unfinished() != 0 {
		t.Fatal(err, k.Unfinished())
	}
	if _, err := k.Drain(); err != nil && err != stage.ErrDone {
		t.Fatal(err)
	}
	if err := k.Stop(nil); err != nil {
		t.Fatal(err)
	}
}

// A consumer's receipts are seen, also those of one that has failed over a later event,
// and those that come from other goroutines.
func TestConsumer(t *testing.T) {
	each := stage.Must(consumer.ForEach(func(_ context.Context, v int) error {
		if v == 3 {
			return errOops
		}
		return nil
	}))
	k, err := stagetest.NewConsumer(t.Context(), each)
	if err != nil {
		t.Fatal(err)
	}
	ended, err := k.Events(1, 2)
	equal(t, "ended", texts(ended), "0 done, 1 done")
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Stop(nil); err != nil {
		t.Fatal(err)
	}
}

func TestPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := stage.Must(consumer.NewSupervisor(func(_ context.Context, v int) error {
			time.Sleep(time.Duration(v) * time.Minute)
			if v == 2 {
				return stage.Discard(receipt.Expired)
			}
			return nil
		}, consumer.SupervisorConfig[int]{}))
		k, err := stagetest.NewConsumer[int](t.Context(), pool)
		if err != nil {
			t.Fatal(err)
		}
		ended, err := k.Events(3, 2, 1)
		equal(t, "ended at once", len(ended), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"2 done", "1 discarded: expired", "0 done"} {
			ended, err := k.Next(t.Context())
			equal(t, "ended", texts(ended), want)
			if err != nil {
				t.Fatal(err)
			}
		}
		equal(t, "asked", k.Asked(), 3)
		equal(t, "unsettled", k.Unsettled(), 0)
		if err := k.Stop(nil); err != nil {
			t.Fatal(err)
		}
	})
}

// A batch waits for its timeout: a message to itself by its handle.
func TestBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got [][]int
		batch := stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error {
			got = append(got, append([]int(nil), events...))
			return nil
		}, consumer.BatchConfig[int]{Size: 10, Timeout: time.Minute}))
		k, err := stagetest.NewConsumer[int](t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := k.Events(1, 2, 3); err != nil {
			t.Fatal(err)
		}
		for len(got) == 0 {
			if _, err := k.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		equal(t, "batches", got, [][]int{{1, 2, 3}})
		equal(t, "time", time.Since(began), time.Minute)
		if _, err := k.Events(4); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Flush(); err != nil {
			t.Fatal(err)
		}
		equal(t, "flushed", got, [][]int{{1, 2, 3}, {4}})
		if err := k.Stop(nil); err != nil {
			t.Fatal(err)
		}
	})
}

// A consumer that settles wrongly is found.
func TestSettledTwice(t *testing.T) {
	k, err := stagetest.NewConsumer[int](t.Context(), &stage.ConsumerHandlers[int]{
		Delivery: func(_ context.Context, d stage.Delivery[int]) error {
			d.Subscription.Settle(1, stage.Finished{Position: d.First}, stage.Finished{Position: d.First})
			d.Subscription.Cancel(errOops)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended, err := k.Events(1)
	equal(t, "ended", texts(ended), "0 done")
	var refused *stagetest.OptionError
	if !errors.As(err, &refused) || refused.Option != "Settle" {
		t.Error(err)
	}
	equal(t, "cancelled", k.Cancelled(), errOops)
}
