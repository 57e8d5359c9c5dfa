// Command fanout gives each line of its standard input to three consumers of different
// speed, and prints how many each of them has had.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/penstock-go/penstock/pipeline"
)

func main() {
	p := pipeline.New(pipeline.Config{Name: "fanout"})
	in := pipeline.FromScanner(p, bufio.NewScanner(os.Stdin), pipeline.SourceConfig[string]{Rate: pipeline.Rate{PerSecond: 5000, Burst: 100}})
	b := pipeline.Broadcast(in)
	// The store sees every line, at once. So does the index, which may be behind by 10,000.
	// The display takes 10 ms for a line, and only the latest ones when it is behind.
	stored, indexed, shown := 0, 0, 0
	pipeline.Each(b.Branch("store", pipeline.BranchConfig{}), func(context.Context, string) error { stored++; return nil },
		pipeline.StepConfig[string]{})
	pipeline.EachBatch(b.Branch("index", pipeline.BranchConfig{Buffer: 10_000}), func(_ context.Context, lines []string) error {
		time.Sleep(30 * time.Millisecond)
		indexed += len(lines)
		return nil
	}, pipeline.BatchConfig[string]{Size: 100})
	pipeline.Each(b.Branch("display", pipeline.BranchConfig{Buffer: 10, Overflow: pipeline.DropOldest}), func(context.Context, string) error {
		time.Sleep(10 * time.Millisecond)
		shown++
		return nil
	}, pipeline.StepConfig[string]{Window: 1})
	if err := p.RunUntilSignal(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("store", stored, "index", indexed, "display", shown)
}
