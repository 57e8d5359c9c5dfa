package main

import (
	"fmt"
	"runtime"
	"slices"
	"time"
)

// step is what the numbers of events are multiples of.
const step = 10_000

// rounds is in how many turns a contestant is measured.
const rounds = 3

// patience is how long a run that may come to a standstill is waited for.
var patience = 5 * time.Second

// entry is a contestant's result in one work.
type entry struct {
	perSecond float64 // 0: none
	cpu       float64 // nanoseconds of processor time for an event, 0 if not known
	reason    string  // why there is none
}

// compete measures all contestants in w, in turns, each for about budget.
func compete(w work, all []contestant, budget time.Duration) []entry {
	entries := make([]entry, len(all))
	sizes := make([]int, len(all))
	rates, costs := make([][]float64, len(all)), make([][]float64, len(all))
	for i, c := range all {
		if c.runs[w.name] == nil {
			entries[i].reason = c.cannot[w.name]
			continue
		}
		n, err := size(w, c, budget/rounds)
		if err != nil {
			entries[i].reason = err.Error()
			continue
		}
		sizes[i] = n
	}
	for range rounds {
		for i, c := range all {
			if sizes[i] == 0 || entries[i].reason != "" {
				continue
			}
			before := c.cpuTime()
			took, err := run(w, c, sizes[i])
			if err != nil {
				entries[i].reason = err.Error()
				continue
			}
			rates[i] = append(rates[i], float64(w.deliveries(sizes[i]))/took.Seconds())
			costs[i] = append(costs[i], float64(c.cpuTime()-before)/float64(w.deliveries(sizes[i])))
		}
	}
	for i := range entries {
		if len(rates[i]) == rounds && entries[i].reason == "" {
			slices.Sort(rates[i])
			slices.Sort(costs[i])
			entries[i].perSecond, entries[i].cpu = rates[i][rounds/2], costs[i][rounds/2]
		}
	}
	return entries
}

// cpuTime is the processor time that the process of c has used so far.
func (c contestant) cpuTime() time.Duration {
	if c.cpu != nil {
		return c.cpu()
	}
	return cpuOf(0)
}

// size finds how many events keep c busy for about d.
func size(w work, c contestant, d time.Duration) (int, error) {
	for n := step; ; n *= 4 {
		took, err := run(w, c, n)
		if err != nil {
			return 0, err
		}
		if took < d/8 {
			continue
		}
		return max(step, int(float64(n)*float64(d)/float64(took))/step*step), nil
	}
}

// run runs once and checks the result.
func run(w work, c contestant, n int) (time.Duration, error) {
	runtime.GC() // of the run before
	took, sums, err := c.runs[w.name](n)
	if err != nil {
		return 0, fmt.Errorf("with %d events: %w", n, err)
	}
	if err := w.check(n, sums); err != nil {
		return 0, fmt.Errorf("with %d events: %w", n, err)
	}
	return max(1, took), nil
}
