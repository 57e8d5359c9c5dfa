package main

import (
	"sync"
	"time"

	"github.com/penstock-go/penstock/bench/internal/report"
	streams "github.com/reugn/go-streams"
	"github.com/reugn/go-streams/extension"
	"github.com/reugn/go-streams/flow"
)

const goStreamsModule = "github.com/reugn/go-streams"

var goStreams = contestant{
	name: "go-streams", kind: report.Peer, module: goStreamsModule,
	runs: map[string]runner{
		"W1": func(n int) (time.Duration, []sum, error) {
			return stream(n, oneByOne, func(out streams.Outlet) []streams.Outlet { return []streams.Outlet{out} })
		},
		"W2": func(n int) (time.Duration, []sum, error) {
			return stream(n, oneByOne, func(out streams.Outlet) []streams.Outlet {
				for range hops {
					next := flow.NewMap(func(v int) int { return v + 1 }, 1)
					flow.DoStream(out, next)
					out = next
				}
				return []streams.Outlet{out}
			})
		},
		"W3": func(n int) (time.Duration, []sum, error) {
			return stream(n, oneByOne, func(out streams.Outlet) []streams.Outlet {
				high := flow.Split(out, func(v int) bool { return partOf(v) >= 2 })
				upper := flow.Split(high[0], func(v int) bool { return partOf(v) == 3 })
				lower := flow.Split(high[1], func(v int) bool { return partOf(v) == 1 })
				return []streams.Outlet{lower[1], lower[0], upper[1], upper[0]}
			})
		},
		"W5": func(n int) (time.Duration, []sum, error) {
			return stream(n, oneByOne, fanOut)
		},
	},
}

var goStreamsSlices = contestant{
	name: "go-streams, elements []int", kind: report.Peer, module: goStreamsModule,
	comment: "a new slice of 500 for each element; W5 shares it",
	runs: map[string]runner{
		"W1": func(n int) (time.Duration, []sum, error) {
			return stream(n, inSlices, func(out streams.Outlet) []streams.Outlet { return []streams.Outlet{out} })
		},
		"W2": func(n int) (time.Duration, []sum, error) {
			return stream(n, inSlices, func(out streams.Outlet) []streams.Outlet {
				for range hops {
					next := flow.NewMap(func(in []int) []int {
						result := make([]int, len(in))
						for i, v := range in {
							result[i] = v + 1
						}
						return result
					}, 1)
					flow.DoStream(out, next)
					out = next
				}
				return []streams.Outlet{out}
			})
		},
		"W5": func(n int) (time.Duration, []sum, error) {
			return stream(n, inSlices, fanOut)
		},
	},
	cannot: map[string]string{"W3": "Split sends whole elements one way or the other"},
}

func fanOut(out streams.Outlet) []streams.Outlet {
	flows := flow.FanOut(out, copies)
	outlets := make([]streams.Outlet, len(flows))
	for i := range flows {
		outlets[i] = flows[i]
	}
	return outlets
}

func oneByOne(n int, to chan<- any) {
	for v := range n {
		to <- v
	}
}

func inSlices(n int, to chan<- any) {
	for next := 0; next < n; {
		b := countInto(make([]int, batch), next, n)
		next += len(b)
		to <- b
	}
}

// stream sends n integers through what shape makes of a source, and reads what
// comes out from the channels of sinks.
func stream(n int, send func(int, chan<- any), shape func(streams.Outlet) []streams.Outlet) (time.Duration, []sum, error) {
	in := make(chan any)
	begin := time.Now()
	outlets := shape(extension.NewChanSource(in))
	sums := make([]sum, len(outlets))
	var wg sync.WaitGroup
	for i, out := range outlets {
		sink := extension.NewChanSink(make(chan any))
		flow.DoStream(out, sink)
		wg.Go(func() {
			for element := range sink.Out {
				switch v := element.(type) {
				case int:
					sums[i].add(v)
				case []int:
					sums[i].addAll(v)
				}
			}
		})
	}
	send(n, in)
	close(in)
	wg.Wait()
	return time.Since(begin), sums, nil
}
