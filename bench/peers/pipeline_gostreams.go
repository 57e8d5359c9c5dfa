package main

import (
	"time"

	"github.com/penstock-go/penstock/bench/internal/report"
	streams "github.com/reugn/go-streams"
	"github.com/reugn/go-streams/flow"
)

var goStreamsByHand = contestant{
	name: "go-streams", kind: report.Peer, module: goStreamsModule,
	comment: "four workers; it has no retry and no dead letters: both are written by hand inside the function, as a loop",
	runs: map[string]runner{
		"P1": func(n int) (time.Duration, []sum, error) {
			f := task(n)
			sums := make([]sum, 2)
			took, got, err := stream(n, oneByOne, func(out streams.Outlet) []streams.Outlet {
				next := flow.NewMap(func(v int) int {
					for range attempts {
						if result, err := f(v); err == nil {
							return result
						}
					}
					return -v - 1
				}, 4)
				flow.DoStream(out, next)
				split := flow.Split(next, func(v int) bool { return v >= 0 })
				return []streams.Outlet{split[0], dead(split[1])}
			})
			copy(sums, got)
			return took, sums, err
		},
		"P2": func(n int) (time.Duration, []sum, error) { return throttled(n, slowRate) },
		"P3": func(n int) (time.Duration, []sum, error) { return throttled(n, fastRate) },
	},
}

// dead turns what P1 has put aside back into events.
func dead(out streams.Outlet) streams.Outlet {
	next := flow.NewMap(func(v int) int { return -v - 1 }, 1)
	flow.DoStream(out, next)
	return next
}

// throttled sends n events through a throttler that holds back what is too early.
func throttled(n, rate int) (time.Duration, []sum, error) {
	return stream(n, oneByOne, func(out streams.Outlet) []streams.Outlet {
		gate := flow.NewThrottler(rate/10, time.Second/10, 1000, flow.Backpressure)
		flow.DoStream(out, gate)
		next := flow.NewMap(func(v int) int { return v + 1 }, 4)
		gate.Via(next) // DoStream would read past its quota
		return []streams.Outlet{next}
	})
}
