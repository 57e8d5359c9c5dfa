package gostreams_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/reugn/go-streams/extension"
	"github.com/reugn/go-streams/flow"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/gostreams"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

func ExampleNewSource() {
	in := make(chan any, 3)
	in <- 1
	in <- []int{2, 3} // a batch counts as its events
	in <- 4
	close(in)
	fmt.Println(show(stage.Must(gostreams.NewSource[int](extension.NewChanSource(in), gostreams.SourceConfig[int]{}))))

	words := make(chan any, 2)
	words <- "to"
	words <- "upper"
	close(words)
	upper := extension.NewChanSource(words).Via(flow.NewMap(strings.ToUpper, 1))
	fmt.Println(show(stage.Must(gostreams.NewSource[string](upper, gostreams.SourceConfig[string]{}))))
	// Output:
	// 1
	// 2
	// 3
	// 4
	// <nil>
	// TO
	// UPPER
	// <nil>
}

func ExampleNewSink() {
	out := make(chan any, 10)
	sink := extension.NewChanSink(out)
	fmt.Println(sendTo(stage.Must(gostreams.NewSink[string](sink, gostreams.SinkConfig{}))))
	for element := range out {
		fmt.Println(element)
	}
	// Output:
	// <nil>
	// into
	// go
	// streams
}

// show prints the events of a source.
func show[T any](p stage.Producer[T]) error {
	source := stage.Must(stage.NewProducer(p, stage.ProducerConfig[T]{}))
	sink := stage.Must(stage.NewConsumer(stage.Must(consumer.ForEach(func(_ context.Context, event T) error {
		_, err := fmt.Println(event)
		return err
	})), stage.ConsumerConfig{}))
	if _, err := sink.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		return err
	}
	return stage.Run(context.Background(), source, sink)
}

// sendTo sends three words to a consumer.
func sendTo(c stage.Consumer[string]) error {
	three := stage.Must(producer.NewSeq(slices.Values([]string{"into", "go", "streams"}), producer.SeqConfig[string]{}))
	source := stage.Must(stage.NewProducer(three, stage.ProducerConfig[string]{}))
	sink := stage.Must(stage.NewConsumer(c, stage.ConsumerConfig{}))
	if _, err := sink.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		return err
	}
	return stage.Run(context.Background(), source, sink)
}
