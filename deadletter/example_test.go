package deadletter_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

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

func ExampleNewFile() {
	dir, err := os.MkdirTemp("", "letters")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "letters.ndjson")
	file, err := deadletter.NewFile(path, deadletter.FileConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	l := deadletter.Of("hello", nil)
	l.Stage, l.Error, l.Attempts = "rows", "no such table", 3
	fmt.Println(file.Write(context.Background(), []deadletter.Letter{l})) // it is on the disk
	fmt.Println(file.Close())
	for l, err := range deadletter.ReadFile(path) {
		fmt.Println(l.Stage, string(l.Event), l.Error, l.Attempts, err)
	}
	// Output:
	// <nil>
	// <nil>
	// rows "hello" no such table 3 <nil>
}

func ExampleNewMemory() {
	sink, err := deadletter.NewMemory(deadletter.MemoryConfig{Max: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	letters := []deadletter.Letter{{Stage: "rows", Error: "no such table"}}
	fmt.Println(sink.Write(context.Background(), letters))
	fmt.Println(sink.Write(context.Background(), letters))
	fmt.Println(len(sink.Letters()))
	// Output:
	// <nil>
	// memory holds 1 dead letters of at most 1: no room for 1 more, from stage "rows" on
	// 1
}
