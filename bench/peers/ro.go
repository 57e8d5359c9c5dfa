package main

import (
	"sync"
	"time"

	"github.com/penstock-go/penstock/bench/internal/report"
	"github.com/samber/ro"
)

var samberRo = contestant{
	name: "samber/ro", kind: report.Peer, module: "github.com/samber/ro",
	comment: "ObserveOn(1000) in front of each stage, which gives it a goroutine",
	runs: map[string]runner{
		"W1": func(n int) (time.Duration, []sum, error) { return observeChain(n, 0) },
		"W2": func(n int) (time.Duration, []sum, error) { return observeChain(n, hops) },
		"W3": func(n int) (time.Duration, []sum, error) {
			return observeAll(n, parts, func(i int, from ro.Observable[int64]) ro.Observable[int64] {
				return ro.Filter(func(v int64) bool { return partOf(int(v)) == i })(from)
			})
		},
		"W5": func(n int) (time.Duration, []sum, error) {
			return observeAll(n, copies, func(_ int, from ro.Observable[int64]) ro.Observable[int64] { return from })
		},
	},
}

const roQueue = 1000

// observer adds up and tells wg when the stream is complete.
func observer(s *sum, wg *sync.WaitGroup) ro.Observer[int64] {
	return ro.NewObserver(func(v int64) { s.add(int(v)) }, func(error) { wg.Done() }, wg.Done)
}

func observeChain(n, between int) (time.Duration, []sum, error) {
	sums := make([]sum, 1)
	var wg sync.WaitGroup
	wg.Add(1)
	begin := time.Now()
	stream := ro.Range(0, int64(n))
	for range between {
		stream = ro.Map(func(v int64) int64 { return v + 1 })(ro.ObserveOn[int64](roQueue)(stream))
	}
	ro.ObserveOn[int64](roQueue)(stream).Subscribe(observer(&sums[0], &wg))
	wg.Wait()
	return time.Since(begin), sums, nil
}

func observeAll(n, takers int, pick func(int, ro.Observable[int64]) ro.Observable[int64]) (time.Duration, []sum, error) {
	sums := make([]sum, takers)
	var wg sync.WaitGroup
	wg.Add(takers)
	begin := time.Now()
	subject := ro.NewPublishSubject[int64]()
	for i := range sums {
		ro.ObserveOn[int64](roQueue)(pick(i, subject.AsObservable())).Subscribe(observer(&sums[i], &wg))
	}
	ro.Range(0, int64(n)).Subscribe(subject.AsObserver())
	wg.Wait()
	return time.Since(begin), sums, nil
}
