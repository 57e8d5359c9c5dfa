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
	"os/signal"
	"slices"

	"github.com/penstock-go/penstock/pipeline"
)

type count struct {
	word string
	n    int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	words := bufio.NewScanner(os.Stdin)
	words.Split(bufio.ScanWords)

	p := pipeline.New(pipeline.Config{Name: "counts"})
	in := pipeline.FromSeq(p, func(yield func(string) bool) {
		for words.Scan() && yield(words.Text()) {
		}
	}, pipeline.SourceConfig[string]{})
	seed := maphash.MakeSeed()
	var counts []*pipeline.Flow[count]
	for _, part := range pipeline.Partition(in, 4, func(word string) uint64 { return maphash.String(seed, word) }) {
		counts = append(counts, pipeline.Reduce(part,
			pipeline.ReduceConfig[string]{Key: func(word string) string { return word }, Totals: true},
			func(n *int, word string) error { *n++; return nil },
			func(word string, n *int) count { return count{word, *n} }))
	}
	total := make(map[string]int)
	pipeline.Each(pipeline.Merge(counts...), func(_ context.Context, c count) error {
		log.Println(c.word, c.n)
		total[c.word] = c.n
		return nil
	}, pipeline.StepConfig[count]{})
	if err := p.Run(ctx); err != nil {
		log.Fatal(err)
	}
	for _, word := range slices.Sorted(maps.Keys(total)) {
		fmt.Println(word, total[word])
	}
}
