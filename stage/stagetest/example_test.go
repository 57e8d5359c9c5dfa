package stagetest_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/stage/stagetest"
)

// ticket is a source that numbers its events and notes which were handled.
type ticket struct{ next, handled int }

func (t *ticket) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	for range min(n, 3-t.next) {
		emit.Emit(t.next)
		t.next++
	}
	if t.next == 3 {
		return stage.ErrDone
	}
	return nil
}

func (t *ticket) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	for _, r := range receipts {
		if r.Outcome == receipt.Done {
			t.handled += r.Count
		}
	}
	return nil
}

// A source is asked for events, and gets receipts for them.
func ExampleNewProducer() {
	t := &ticket{}
	source := stage.Must(stagetest.NewProducer[int](context.Background(), t))
	fmt.Println(source.Demand(2))
	fmt.Println(source.Demand(2))
	_, err := source.Receipts(
		stage.Receipt{First: 1, Count: 2, Outcome: receipt.Done},
		stage.Receipt{First: 0, Count: 1, Outcome: receipt.Failed})
	fmt.Println(t.handled, err)
	// Output:
	// [0 1] <nil>
	// [2] no more events
	// 2 <nil>
}

// parse emits the number of each line; a line that is none fails alone.
func parse(_ context.Context, lines []string, emit *stage.Emitter[int]) error {
	for i, line := range lines {
		n, err := strconv.Atoi(line)
		if err != nil {
			emit.Fail(i, errors.New("not a number"))
			continue
		}
		emit.From(i)
		emit.Emit(n)
	}
	return nil
}

// What a producer-consumer emits is seen with its inputs, and so is what has failed. The
// receipts of emitted events become those of the inputs.
func ExampleNewProducerConsumer() {
	p := stage.Must(stagetest.NewProducerConsumer(context.Background(), stage.ProducerConsumerFunc[string, int](parse)))
	r, err := p.Events("12", "x", "7")
	fmt.Println(r.Events(), r.Ended, err)
	for _, e := range r.Emitted {
		fmt.Println(e.Event, "for input", e.Inputs)
	}
	r, err = p.Receipts(stage.Receipt{First: 1, Count: 1, Outcome: receipt.Failed})
	fmt.Println(r.Ended, err)
	// Output:
	// [12 7] [1 failed: not a number] <nil>
	// 12 for input [0]
	// 7 for input [2]
	// [2 failed] <nil>
}

// A consumer that gives receipts later is waited for.
func ExampleNewConsumer() {
	// Each event is a job that ends when it gets a reply.
	work := func(_ context.Context, job chan error) error { return <-job }
	pool := stage.Must(consumer.NewSupervisor(work, consumer.SupervisorConfig[chan error]{}))
	ctx := context.Background()
	c := stage.Must(stagetest.NewConsumer[chan error](ctx, pool))
	first, second := make(chan error), make(chan error)
	fmt.Println(c.Events(first, second))
	second <- nil
	fmt.Println(c.Next(ctx))
	first <- stage.Discard(receipt.Expired)
	fmt.Println(c.Next(ctx))
	fmt.Println(c.Stop(nil))
	// Output:
	// [] <nil>
	// [1 done] <nil>
	// [0 discarded: expired] <nil>
	// <nil>
}

// A function that takes an emitter can be tested without a handler around it.
func ExampleNewEmitter() {
	e := stagetest.NewEmitter[int](2)
	if err := parse(context.Background(), []string{"4", "5"}, e.Emitter); err != nil {
		fmt.Println(err)
	}
	r, err := e.Take(0)
	fmt.Println(r.Emitted, err)
	// Output: [{4 [0]} {5 [1]}] <nil>
}
