package deadletter_test

import (
	"context"
	"fmt"

	"github.com/penstock-go/penstock/deadletter"
)

func ExampleNewWriter() {
	sink := deadletter.SinkFunc(func(_ context.Context, letters []deadletter.Letter) error {
		for _, l := range letters {
			fmt.Printf("%s failed at %s: %s\n", l.Event, l.Stage, l.Error)
		}
		return nil // they are durable
	})
	letters, err := deadletter.NewWriter(sink, deadletter.WriterConfig{Stage: "rows"})
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = letters.Run(context.Background()) }()

	l := deadletter.Of(map[string]int{"id": 7}, nil)
	l.Stage, l.Error = "rows", "no such table"
	letters.Send(l, func() { fmt.Println("the event may have its receipt now") })

	fmt.Println(letters.Close(context.Background()))
	// Output:
	// {"id":7} failed at rows: no such table
	// the event may have its receipt now
	// <nil>
}
