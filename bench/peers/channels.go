package main

import (
	"sync"
	"time"

	"github.com/penstock-go/penstock/bench/internal/report"
)

// channels sends events one by one over channels with a buffer of size.
func channels(name string, size int) contestant {
	return contestant{name: name, kind: report.Limit, runs: map[string]runner{
		"W1": func(n int) (time.Duration, []sum, error) { return chain(n, size, 0) },
		"W2": func(n int) (time.Duration, []sum, error) { return chain(n, size, hops) },
		"W3": func(n int) (time.Duration, []sum, error) {
			return spread(n, size, parts, func(to []chan int, v int) { to[partOf(v)] <- v })
		},
		"W5": func(n int) (time.Duration, []sum, error) {
			return spread(n, size, copies, func(to []chan int, v int) {
				for _, c := range to {
					c <- v
				}
			})
		},
	}}
}

func chain(n, size, between int) (time.Duration, []sum, error) {
	first := make(chan int, size)
	last := first
	begin := time.Now()
	go func() {
		defer close(first)
		for v := range n {
			first <- v
		}
	}()
	for range between {
		from, to := last, make(chan int, size)
		go func() {
			defer close(to)
			for v := range from {
				to <- v + 1
			}
		}()
		last = to
	}
	sums := make([]sum, 1)
	for v := range last {
		sums[0].add(v)
	}
	return time.Since(begin), sums, nil
}

func spread(n, size, takers int, send func([]chan int, int)) (time.Duration, []sum, error) {
	to, sums := make([]chan int, takers), make([]sum, takers)
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range to {
		to[i] = make(chan int, size)
		wg.Go(func() {
			for v := range to[i] {
				sums[i].add(v)
			}
		})
	}
	for v := range n {
		send(to, v)
	}
	for i := range to {
		close(to[i])
	}
	wg.Wait()
	return time.Since(begin), sums, nil
}

// recycled is the reference of the table.
var recycled = contestant{name: "recycled []int", kind: report.Limit, comment: "the reference: two slices of 500 in flight for each pair of channels", runs: map[string]runner{
	"W1": func(n int) (time.Duration, []sum, error) { return relay(n, 0) },
	"W2": func(n int) (time.Duration, []sum, error) { return relay(n, hops) },
	"W3": splitSlices,
	"W5": copySlices,
}}

// wire is a pair of channels between which the same slices go round.
type wire struct{ full, empty chan []int }

func newWire() wire {
	w := wire{make(chan []int, 2), make(chan []int, 2)}
	for range cap(w.empty) {
		w.empty <- make([]int, batch)
	}
	return w
}

func (w wire) sum(s *sum) {
	for b := range w.full {
		s.addAll(b)
		w.empty <- b[:cap(b)]
	}
}

// countInto fills b with the integers from next, as far as n goes.
func countInto(b []int, next, n int) []int {
	b = b[:min(len(b), n-next)]
	for i := range b {
		b[i] = next + i
	}
	return b
}

func relay(n, between int) (time.Duration, []sum, error) {
	first := newWire()
	last := first
	begin := time.Now()
	go func() {
		defer close(first.full)
		for next := 0; next < n; {
			b := countInto(<-first.empty, next, n)
			next += len(b)
			first.full <- b
		}
	}()
	for range between {
		from, to := last, newWire()
		go func() {
			defer close(to.full)
			for in := range from.full {
				out := (<-to.empty)[:len(in)]
				for i, v := range in {
					out[i] = v + 1
				}
				from.empty <- in[:cap(in)]
				to.full <- out
			}
		}()
		last = to
	}
	sums := make([]sum, 1)
	last.sum(&sums[0])
	return time.Since(begin), sums, nil
}

// takers starts n goroutines that add up, each behind its own wire.
func takers(n int) (to []wire, sums []sum, wait func()) {
	to, sums = make([]wire, n), make([]sum, n)
	var wg sync.WaitGroup
	for i := range to {
		to[i] = newWire()
		wg.Go(func() { to[i].sum(&sums[i]) })
	}
	return to, sums, func() {
		for i := range to {
			close(to[i].full)
		}
		wg.Wait()
	}
}

func splitSlices(n int) (time.Duration, []sum, error) {
	begin := time.Now()
	to, sums, wait := takers(parts)
	filling := make([][]int, parts)
	for i := range to {
		filling[i] = (<-to[i].empty)[:0]
	}
	emitted := make([]int, batch)
	for next := 0; next < n; {
		events := countInto(emitted, next, n)
		next += len(events)
		for _, v := range events {
			i := partOf(v)
			filling[i] = append(filling[i], v)
			if len(filling[i]) == batch {
				to[i].full <- filling[i]
				filling[i] = (<-to[i].empty)[:0]
			}
		}
	}
	for i := range to {
		to[i].full <- filling[i]
	}
	wait()
	return time.Since(begin), sums, nil
}

func copySlices(n int) (time.Duration, []sum, error) {
	begin := time.Now()
	to, sums, wait := takers(copies)
	emitted := make([]int, batch)
	for next := 0; next < n; {
		events := countInto(emitted, next, n)
		next += len(events)
		for i := range to {
			b := (<-to[i].empty)[:len(events)]
			copy(b, events)
			to[i].full <- b
		}
	}
	wait()
	return time.Since(begin), sums, nil
}
