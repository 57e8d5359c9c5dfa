// Package gcra has the leaky bucket that limits rates: the generic cell rate
// algorithm of ITU-T I.371, in its virtual-scheduling form.
package gcra

import (
	"math"
	"time"
)

// Bucket is a leaky bucket. Its whole state is one number: the time at which it
// will be full again, in nanoseconds on a clock of the caller's that starts at 0
// or later. The zero value is full.
//
// What it holds is measured in time as well: to hold an hour means to let the work
// of an hour pass at once after a pause.
type Bucket int64

// Take takes cost out at the time now, whether or not the bucket holds as much.
func (b *Bucket) Take(now, cost int64) {
	from := max(int64(*b), now)
	*b = Bucket(from + min(cost, math.MaxInt64-from))
}

// Ready returns the time from which a bucket that can hold as much as hold is not
// overdrawn.
func (b Bucket) Ready(hold int64) int64 { return int64(b) - hold }

// Cost returns the time in which n units flow back at a rate of perSecond, at most
// some 73 years.
func Cost(n int, perSecond float64) int64 {
	return int64(min(float64(n)*float64(time.Second)/perSecond, math.MaxInt64/4))
}
