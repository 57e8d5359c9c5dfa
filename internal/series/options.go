package series

import (
	"slices"
	"time"

	"github.com/penstock-go/penstock/internal/option"
)

// buckets are dense where the library's latencies are.
var buckets = []time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, time.Minute,
}

// Options are those that recorders have in common: the bounds of timers' buckets, how many series
// there are, and how long one stays after its owner has ended.
type Options struct {
	Buckets   []time.Duration
	MaxSeries int
	Linger    time.Duration
}

// WithDefaults returns the options with the defaults filled in.
func (o Options) WithDefaults() Options {
	if len(o.Buckets) == 0 {
		o.Buckets = slices.Clone(buckets)
	}
	option.Default(&o.MaxSeries, 4096)
	option.Default(&o.Linger, time.Minute)
	return o
}

// Check returns the first option that is refused, with the defaults filled in.
func (o Options) Check(owner option.Owner) error {
	if err := option.First(
		option.Within(owner, "MaxSeries", o.MaxSeries, 1, 1_000_000),
		owner.Check(o.Linger == -1 || o.Linger >= 0 && o.Linger <= time.Hour, "Linger", o.Linger, "0 to 1h, or -1"),
		option.Within(owner, "Buckets", len(o.Buckets), 1, 200),
	); err != nil {
		return err
	}
	least := time.Duration(0)
	for _, b := range o.Buckets {
		if b <= least {
			return owner.Refuse("Buckets", o.Buckets, "ascending, each more than 0")
		}
		least = b
	}
	return nil
}

// Seconds returns the buckets as clients want them.
func (o Options) Seconds() []float64 {
	all := make([]float64, len(o.Buckets))
	for i, b := range o.Buckets {
		all[i] = b.Seconds()
	}
	return all
}
