package main

import (
	"time"

	"github.com/penstock-go/penstock/bench/internal/proc"
)

// others returns a function that returns the share of the machine that processes other than
// the benchmarks have had since its last call; 0 where the system does not say.
func (b *binaries) others() func() float64 {
	var busy, total, used time.Duration
	return func() float64 {
		nowBusy, nowTotal, _ := proc.Machine() // 0 where there is no /proc
		theirs, all := nowBusy-busy-(b.used-used), nowTotal-total
		busy, total, used = nowBusy, nowTotal, b.used
		if all <= 0 {
			return 0
		}
		return max(0, float64(theirs)/float64(all))
	}
}
