package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// words is a source for the examples.
func words(text string) *stage.ProducerStage[string] {
	seq := slices.Values(strings.Fields(text))
	return stage.Must(stage.NewProducer(stage.Must(producer.NewSeq(seq, producer.SeqConfig[string]{})), stage.ProducerConfig[string]{}))
}

// feed runs a pipeline from text to c.
func feed(text string, c stage.Consumer[string]) error {
	source := words(text)
	sink := stage.Must(stage.NewConsumer(c, stage.ConsumerConfig{Name: "sink"}))
	if _, err := sink.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		return err
	}
	return stage.Run(context.Background(), source, sink)
}

func ExampleForEach() {
	err := feed("each word by itself", stage.Must(consumer.ForEach(func(_ context.Context, word string) error {
		fmt.Println(word)
		return nil
	})))
	fmt.Println(err)
	// Output:
	// each
	// word
	// by
	// itself
	// <nil>
}

func ExampleNewForEach() {
	source := words("1 two 3")
	sum := 0
	add := stage.Must(consumer.NewForEach(func(_ context.Context, s string) error {
		n, err := strconv.Atoi(s)
		sum += n
		return err
	}, consumer.ForEachConfig[string]{
		Retry:  retry.Policy{MaxAttempts: 2, Backoff: time.Millisecond},
		Failed: func(s string, err error) { fmt.Println("failed:", s) },
	}))
	sink := stage.Must(stage.NewConsumer(add, stage.ConsumerConfig{}))
	if _, err := sink.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(stage.Run(context.Background(), source, sink), sum)
	// Output:
	// failed: two
	// <nil> 4
}

func ExampleNewBatch() {
	insert := func(_ context.Context, rows []string) error {
		fmt.Println(len(rows), rows)
		return nil
	}
	err := feed("a b c d e", stage.Must(consumer.NewBatch(insert, consumer.BatchConfig[string]{Size: 2})))
	fmt.Println(err)
	// Output:
	// 2 [a b]
	// 2 [c d]
	// 1 [e]
	// <nil>
}

func ExampleNewSupervisor() {
	pool := stage.Must(consumer.NewSupervisor(func(_ context.Context, word string) error {
		if word == "bad" {
			return errors.New("do not like it")
		}
		fmt.Println("did", word)
		return nil
	}, consumer.SupervisorConfig[string]{
		MaxDemand: 1, // workers at once
		Retry:     retry.Policy{MaxAttempts: 2},
		Failed:    func(word string, err error) { fmt.Println("gave up", word+":", err) },
	}))
	fmt.Println(feed("good bad fine", pool))
	// Output:
	// did good
	// gave up bad: stage "sink": worker, attempt 2: do not like it
	// did fine
	// <nil>
}

func ExampleDefer() {
	// A client that reads its messages at its own pace.
	type message struct {
		text    string
		receipt consumer.Deferred
	}
	client := make(chan message, 10)
	pool := stage.Must(consumer.NewSupervisor(func(ctx context.Context, word string) error {
		receipt, ok := consumer.Defer(ctx)
		if !ok {
			return errors.New("not a worker")
		}
		client <- message{word, receipt} // the slot is free, the event is not finished
		return nil
	}, consumer.SupervisorConfig[string]{MaxDemand: 1}))
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		for range 3 {
			m := <-client
			fmt.Println("took", m.text)
			m.receipt.Finish(nil)
		}
	}()
	fmt.Println(feed("one two three", pool)) // waits for the last receipt
	<-taken
	// Output:
	// took one
	// took two
	// took three
	// <nil>
}

func ExampleAll() {
	ctx := context.Background()
	source := words("the loop reads as it likes")
	if err := source.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for word, err := range consumer.All(ctx, source, stage.SubscribeConfig{MaxDemand: 2}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(word)
		if word == "reads" {
			break
		}
	}
	source.Stop(nil)
	<-source.Stopped()
	fmt.Println(source.Err())
	// Output:
	// the
	// loop
	// reads
	// <nil>
}
