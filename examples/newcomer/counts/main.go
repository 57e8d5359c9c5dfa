// Command counts counts the words of its standard input in four partitions. Each second
// it logs the counts that have changed; at the end it prints all of them.
package main

import (
	"bufio"
	"context"
	"fmt"
	"hash/maphash"
	"log"
	"maps"
	"os"

	"github.com/penstock-go/penstock/pipeline"
)

type counted = map[string]int // one word

func main() {
	words := bufio.NewScanner(os.Stdin)
	words.Split(bufio.ScanWords)
	p, seed, total := pipeline.New(pipeline.Config{Name: "counts"}), maphash.MakeSeed(), make(counted)
	in := pipeline.FromScanner(p, words, pipeline.SourceConfig[string]{})
	var counts []*pipeline.Flow[counted]
	for _, part := range pipeline.Partition(in, 4, func(word string) uint64 { return maphash.String(seed, word) }) {
		counts = append(counts, pipeline.Reduce(part,
			pipeline.ReduceConfig[string]{Key: func(word string) string { return word }, Totals: true},
			func(n *int, word string) error { *n++; return nil },
			func(word string, n *int) counted { return counted{word: *n} }))
	}
	pipeline.Each(pipeline.Merge(counts...), func(_ context.Context, c counted) error {
		log.Println(c)
		maps.Copy(total, c)
		return nil
	}, pipeline.StepConfig[counted]{})
	if err := p.RunUntilSignal(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(total)
}
