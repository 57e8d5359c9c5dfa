package bench

import (
	"sync"
	"testing"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// BenchmarkW3 is a counter and four consumers, each with the events that a hash
// function gives it. In the reference one goroutine counts and splits.
func BenchmarkW3(b *testing.B) {
	compare(b,
		func(n int) time.Duration { return runW3(b, n, widest, new([w3Parts]summer)) },
		func(n int) time.Duration { return split(b, n, widest, new([w3Parts]summer)) })
}

// BenchmarkW3Batch is W3 with a hash function that is called once for many events. The
// reference has no such calls: its compiler puts the function into the loop.
func BenchmarkW3Batch(b *testing.B) {
	compare(b,
		func(n int) time.Duration { return runW3Batch(b, n, widest, new([w3Parts]summer)) },
		func(n int) time.Duration { return split(b, n, widest, new([w3Parts]summer)) })
}

const w3Parts = 4

// partOf is the hash function: Fibonacci hashing (Knuth, The Art of Computer
// Programming, vol. 3, section 6.4), of which the two highest bits are taken.
func partOf(v int) (int, bool) { return int(uint64(v) * 0x9E3779B97F4A7C15 >> 62), true }

// partsOf is partOf for many events.
func partsOf(events []int, partitions []int32) {
	partitions = partitions[:len(events)]
	for i, v := range events {
		at, _ := partOf(v)
		partitions[i] = int32(at)
	}
}

func runW3(tb testing.TB, n int, d demand, sums *[w3Parts]summer) time.Duration {
	return runParts(tb, n, d, sums, stage.Must(dispatcher.NewPartition(w3Parts, partOf, dispatcher.PartitionConfig{})))
}

func runW3Batch(tb testing.TB, n int, d demand, sums *[w3Parts]summer) time.Duration {
	return runParts(tb, n, d, sums, stage.Must(dispatcher.NewPartitionBatch(w3Parts, partsOf, dispatcher.PartitionConfig{})))
}

func runParts(tb testing.TB, n int, d demand, sums *[w3Parts]summer, parts dispatcher.Dispatcher[int]) time.Duration {
	source := stage.Must(stage.NewProducer(&counter{limit: n}, stage.ProducerConfig[int]{Dispatcher: parts}))
	stages := []stage.Stage{source}
	for i := range sums {
		end := stage.Must(stage.NewConsumer(&sums[i], stage.ConsumerConfig{}))
		cfg := d.config()
		cfg.Partition = i
		subscribe(tb, source, end, cfg)
		stages = append(stages, end)
	}
	took := run(tb, stages...)
	checkW3(tb, sums, n)
	return took
}

func checkW3(tb testing.TB, sums *[w3Parts]summer, n int) {
	tb.Helper()
	var all summer
	for i := range sums {
		all.count += sums[i].count
		all.total += sums[i].total
	}
	all.check(tb, n)
}

// split is the same over bare channels.
func split(tb testing.TB, n int, d demand, sums *[w3Parts]summer) time.Duration {
	var to [w3Parts]wire[int]
	var filling [w3Parts][]int
	for i := range to {
		to[i] = newWire[int](d)
		filling[i] = (<-to[i].empty)[:0]
	}
	emitted := make([]int, d.batch())
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range to {
		wg.Go(func() { sum(to[i], &sums[i]) })
	}
	for next := 0; next < n; {
		events := emitted[:min(d.batch(), n-next)]
		for i := range events {
			events[i] = next
			next++
		}
		for _, v := range events {
			i, _ := partOf(v)
			filling[i] = append(filling[i], v)
			if len(filling[i]) == cap(filling[i]) {
				to[i].full <- filling[i]
				filling[i] = (<-to[i].empty)[:0]
			}
		}
	}
	for i := range to {
		to[i].full <- filling[i]
		close(to[i].full)
	}
	wg.Wait()
	took := time.Since(begin)
	checkW3(tb, sums, n)
	return took
}
