package producer_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// printAll runs a pipeline from p to standard output.
func printAll[T any](p stage.Producer[T]) error {
	source := stage.Must(stage.NewProducer(p, stage.ProducerConfig[T]{Name: "source"}))
	sink := stage.Must(stage.NewConsumer(stage.ConsumerFunc[T](func(_ context.Context, events []T) error {
		for _, event := range events {
			fmt.Println(event)
		}
		return nil
	}), stage.ConsumerConfig{}))
	if _, err := sink.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		return err
	}
	return stage.Run(context.Background(), source, sink)
}

func ExampleNewQueue() {
	type push struct {
		Text string
		At   time.Time
	}
	queue := stage.Must(producer.NewQueue(producer.QueueConfig[push]{
		Capacity: 2,
		Stamp:    func(p *push, at time.Time) { p.At = at },
	}))
	fmt.Println(queue.TryPush(push{Text: "one"}))
	fmt.Println(queue.TryPush(push{Text: "two"}))
	fmt.Println(queue.TryPush(push{Text: "three"}))
	queue.Drain()
	source := stage.Must(stage.NewProducer(queue, stage.ProducerConfig[push]{}))
	sink := stage.Must(stage.NewConsumer(stage.ConsumerFunc[push](func(_ context.Context, events []push) error {
		for _, p := range events {
			fmt.Println(p.Text, p.At.IsZero())
		}
		return nil
	}), stage.ConsumerConfig{}))
	if _, err := sink.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(stage.Run(context.Background(), source, sink))
	// Output:
	// <nil>
	// <nil>
	// queue is full: Capacity is 2
	// one false
	// two false
	// <nil>
}

// A user who floods is refused at the door; the others are not.
func ExampleNewQueue_key() {
	type push struct{ User, Text string }
	queue := stage.Must(producer.NewQueue(producer.QueueConfig[push]{
		Key:          func(p push) string { return p.User },
		KeyMaxEvents: 2,
	}))
	for _, p := range []push{{"ann", "1"}, {"ann", "2"}, {"ann", "3"}, {"bob", "1"}} {
		err := queue.TryPush(p)
		switch {
		case errors.Is(err, producer.ErrKeyFull):
			fmt.Println(p.User, "429 Too Many Requests:", err)
		case errors.Is(err, producer.ErrFull):
			fmt.Println(p.User, "503 Service Unavailable:", err)
		default:
			fmt.Println(p.User, "202 Accepted")
		}
	}
	// Output:
	// ann 202 Accepted
	// ann 202 Accepted
	// ann 429 Too Many Requests: key is full: KeyMaxEvents is 2
	// bob 202 Accepted
}

func ExampleNewSeq() {
	names := slices.Values([]string{"ada", "grace"})
	fmt.Println(printAll(stage.Must(producer.NewSeq(names, producer.SeqConfig[string]{}))))
	// Output:
	// ada
	// grace
	// <nil>
}

func ExampleNewSeq2() {
	lines := func(yield func(string, error) bool) {
		scanner := bufio.NewScanner(strings.NewReader("first\nsecond\n"))
		for scanner.Scan() {
			if !yield(scanner.Text(), nil) {
				return
			}
		}
		yield("", fmt.Errorf("the reader went away"))
	}
	fmt.Println(printAll(stage.Must(producer.NewSeq2(lines, producer.SeqConfig[string]{}))))
	// Output:
	// first
	// second
	// stage "source": HandleWake: the reader went away
}

func ExampleNewSeqFunc() {
	ticks := func(ctx context.Context) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := 1; ; i++ {
				select {
				case <-time.After(time.Millisecond):
				case <-ctx.Done(): // the stage drains or stops
					return
				}
				if i > 3 || !yield(i, nil) {
					return
				}
			}
		}
	}
	fmt.Println(printAll(stage.Must(producer.NewSeqFunc(ticks, producer.SeqConfig[int]{}))))
	// Output:
	// 1
	// 2
	// 3
	// <nil>
}

func ExampleNewChan() {
	ch := make(chan string)
	go func() {
		defer close(ch)
		ch <- "hello"
		ch <- "world"
	}()
	fmt.Println(printAll(stage.Must(producer.NewChan(ch, producer.ChanConfig[string]{}))))
	// Output:
	// hello
	// world
	// <nil>
}

func ExampleNewTicker() {
	ticker := stage.Must(producer.NewTicker(producer.TickerConfig{Every: 10 * time.Millisecond}))
	source := stage.Must(stage.NewProducer(ticker, stage.ProducerConfig[time.Time]{}))
	ticks := 0
	sink := stage.Must(stage.NewConsumer(stage.ConsumerFunc[time.Time](func(context.Context, []time.Time) error {
		if ticks++; ticks == 3 {
			return stage.ErrDone
		}
		return nil
	}), stage.ConsumerConfig{}))
	if _, err := sink.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(stage.Run(context.Background(), source, sink), ticks)
	// Output: <nil> 3
}
