package dispatcher_test

import (
	"context"
	"fmt"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// numbers emits 1 to last.
func numbers(last int) stage.Producer[int] {
	next := 1
	return stage.ProducerFunc[int](func(_ context.Context, n int, emit *stage.Emitter[int]) error {
		for ; n > 0 && next <= last; n-- {
			emit.Emit(next)
			next++
		}
		if next > last {
			return stage.ErrDone
		}
		return nil
	})
}

// collect appends arriving events to a slice of its own.
func collect(to *[]int) *stage.ConsumerStage[int] {
	return stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
		*to = append(*to, events...)
		return nil
	}), stage.ConsumerConfig{}))
}

func ExampleNewDemand() {
	var first, second []int
	source := stage.Must(stage.NewProducer(numbers(6), stage.ProducerConfig[int]{Dispatcher: dispatcher.NewDemand[int]()}))
	a, b := collect(&first), collect(&second)
	for _, c := range []*stage.ConsumerStage[int]{a, b} {
		if _, err := c.Subscribe(source, stage.SubscribeConfig{MaxDemand: 2}); err != nil {
			fmt.Println(err)
		}
	}
	if err := stage.Run(context.Background(), source, a, b); err != nil {
		fmt.Println(err)
	}
	fmt.Println(len(first)+len(second), "events, each to one of the two")
	// Output: 6 events, each to one of the two
}

func ExampleNewBroadcast() {
	var all, even []int
	source := stage.Must(stage.NewProducer(numbers(6), stage.ProducerConfig[int]{
		Dispatcher: dispatcher.NewBroadcast[int](),
	}))
	a, b := collect(&all), collect(&even)
	if _, err := a.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		fmt.Println(err)
	}
	if _, err := b.Subscribe(source, stage.SubscribeConfig{Selector: func(v int) bool { return v%2 == 0 }}); err != nil {
		fmt.Println(err)
	}
	// The source is started last, so that no consumer misses its first event.
	if err := stage.Run(context.Background(), a, b, source); err != nil {
		fmt.Println(err)
	}
	fmt.Println(all)
	fmt.Println(even)
	// Output:
	// [1 2 3 4 5 6]
	// [2 4 6]
}

func ExampleNewPartition() {
	var low, high []int
	source := stage.Must(stage.NewProducer(numbers(6), stage.ProducerConfig[int]{
		Dispatcher: stage.Must(dispatcher.NewPartition(2, func(v int) (partition int, ok bool) {
			return v / 4, v != 2 // 2 has no partition and is discarded
		}, dispatcher.PartitionConfig{})),
	}))
	a, b := collect(&low), collect(&high)
	for i, c := range []*stage.ConsumerStage[int]{a, b} {
		if _, err := c.Subscribe(source, stage.SubscribeConfig{Partition: i}); err != nil {
			fmt.Println(err)
		}
	}
	if err := stage.Run(context.Background(), source, a, b); err != nil {
		fmt.Println(err)
	}
	fmt.Println(low, high)
	// Output: [1 3] [4 5 6]
}

func ExampleNewPartitionBatch() {
	var low, high []int
	source := stage.Must(stage.NewProducer(numbers(6), stage.ProducerConfig[int]{
		Dispatcher: stage.Must(dispatcher.NewPartitionBatch(2, func(events []int, partitions []int32) {
			for i, v := range events {
				partitions[i] = int32(v / 4)
				if v == 2 {
					partitions[i] = -1 // 2 has no partition and is discarded
				}
			}
		}, dispatcher.PartitionConfig{})),
	}))
	a, b := collect(&low), collect(&high)
	for i, c := range []*stage.ConsumerStage[int]{a, b} {
		if _, err := c.Subscribe(source, stage.SubscribeConfig{Partition: i}); err != nil {
			fmt.Println(err)
		}
	}
	if err := stage.Run(context.Background(), source, a, b); err != nil {
		fmt.Println(err)
	}
	fmt.Println(low, high)
	// Output: [1 3] [4 5 6]
}

func ExampleNewNamedPartition() {
	var odd, even []int
	source := stage.Must(stage.NewProducer(numbers(6), stage.ProducerConfig[int]{
		Dispatcher: stage.Must(dispatcher.NewNamedPartition([]string{"odd", "even"}, func(v int) (name string, ok bool) {
			if v%2 == 0 {
				return "even", true
			}
			return "odd", true
		}, dispatcher.PartitionConfig{})),
	}))
	a, b := collect(&odd), collect(&even)
	for name, c := range map[string]*stage.ConsumerStage[int]{"odd": a, "even": b} {
		if _, err := c.Subscribe(source, stage.SubscribeConfig{Partition: name}); err != nil {
			fmt.Println(err)
		}
	}
	if err := stage.Run(context.Background(), source, a, b); err != nil {
		fmt.Println(err)
	}
	fmt.Println(odd, even)
	// Output: [1 3 5] [2 4 6]
}
