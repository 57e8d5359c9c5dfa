package main

import (
	"context"
	"sync"
	"time"

	"github.com/penstock-go/penstock/bench/internal/report"
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// handoverWorks are the hand-over alone, in three sizes of batches, and from outside.
var handoverWorks = []work{
	{name: "W1-10", what: "a counter to one consumer, 10 events in flight in batches of 5", short: "batches of 5", takers: 1},
	{name: "W1-100", what: "the same with 100 in flight in batches of 50", short: "batches of 50", takers: 1},
	{name: "W1-1000", what: "the same with 1,000 in flight in batches of 500", short: "batches of 500", takers: 1},
	{name: "W6", what: "single events from one goroutine or thread that belongs to neither side, 10,000 in flight", short: "from outside", takers: 1},
}

// inFlight is how many events each of the works allows, and how large a batch is.
var inFlight = map[string]struct{ max, batch int }{
	"W1-10": {10, 5}, "W1-100": {100, 50}, "W1-1000": {1000, 500}, "W6": {producer.DefaultCapacity, 500},
}

// handoverContestants are in the order of the table; the first one is the reference. Those
// in other languages are there only if their programs could be built.
func handoverContestants(foreign []contestant) []contestant {
	ours := []contestant{
		overSizes("bare channels", "the reference: the same slices go round between two channels; W6: one channel of single events",
			relayOf, func(n int) (time.Duration, []sum, error) { return chain(n, producer.DefaultCapacity, 0) }),
		overSizes("penstock", "a producer and a consumer with that demand; W6: Queue.Push", stagesOf, pushFromOutside),
		overSizes("chan int", "single events, as many in the channel's buffer", func(n, max, _ int) (time.Duration, []sum, error) { return chain(n, max, 0) }, nil),
		overSizes("loops alone, Go", "no hand-over: a slice is filled and added up in one goroutine, which is in the cost of each row above but the single events", loopsOf, nil),
	}
	for i, kind := range []report.Kind{report.Limit, report.Ours, report.Limit, report.Limit} {
		ours[i].kind = kind
	}
	ours[3].cannot = map[string]string{"W6": noHandOver}
	ours[2].cannot = map[string]string{"W6": "it is the reference"}
	return append(ours, foreign...)
}

// overSizes makes a contestant of a run for each size of W1 and one for W6.
func overSizes(name, comment string, w1 func(n, max, batch int) (time.Duration, []sum, error), w6 runner) contestant {
	c := contestant{name: name, comment: comment, runs: make(map[string]runner)}
	for work, size := range inFlight {
		if work != "W6" {
			c.runs[work] = func(n int) (time.Duration, []sum, error) { return w1(n, size.max, size.batch) }
		}
	}
	if w6 != nil {
		c.runs["W6"] = w6
	}
	return c
}

// noHandOver is why rows that hand nothing over have no W6.
const noHandOver = "it has no batches"

// loopsOf fills slices and adds them up.
func loopsOf(n, _, size int) (time.Duration, []sum, error) {
	b, sums := make([]int, size), make([]sum, 1)
	begin := time.Now()
	for next := 0; next < n; {
		filled := countInto(b, next, n)
		next += len(filled)
		sums[0].addAll(filled)
	}
	return time.Since(begin), sums, nil
}

// relayOf hands over slices of one size.
func relayOf(n, max, size int) (time.Duration, []sum, error) {
	w := wire{make(chan []int, max/size), make(chan []int, max/size)}
	for range cap(w.empty) {
		w.empty <- make([]int, size)
	}
	sums := make([]sum, 1)
	begin := time.Now()
	go func() {
		defer close(w.full)
		for next := 0; next < n; {
			b := countInto(<-w.empty, next, n)
			next += len(b)
			w.full <- b
		}
	}()
	w.sum(&sums[0])
	return time.Since(begin), sums, nil
}

// stagesOf hands over with a demand.
func stagesOf(n, max, batch int) (time.Duration, []sum, error) {
	return runStages(n, dispatcher.NewDemand[int](), 0, 1, stage.SubscribeConfig{MaxDemand: max, MinDemand: max - batch})
}

// pushFromOutside pushes single events into a queue.
func pushFromOutside(n int) (time.Duration, []sum, error) {
	queue, err := producer.NewQueue[int](producer.QueueConfig[int]{})
	if err != nil {
		return 0, nil, err
	}
	from, err := stage.NewProducer(queue, stage.ProducerConfig[int]{})
	if err != nil {
		return 0, nil, err
	}
	taken := make([]sum, 1)
	to, err := stage.NewConsumer[int](&stageSummer{&taken[0]}, stage.ConsumerConfig{})
	if err != nil {
		return 0, nil, err
	}
	if _, err := to.Subscribe(from, stage.SubscribeConfig{}); err != nil {
		return 0, nil, err
	}
	ctx := context.Background()
	var wg sync.WaitGroup
	var pushed, ran error
	wg.Go(func() { ran = stage.Run(ctx, from, to) })
	begin := time.Now()
	for v := range n {
		if pushed = queue.Push(ctx, v); pushed != nil {
			break
		}
	}
	queue.Drain()
	wg.Wait()
	if pushed == nil {
		pushed = ran
	}
	return time.Since(begin), taken, pushed
}
