package kafka

import (
	"cmp"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Limits bound a record: one that exceeds them is poison. They are checked before
// Decode is called. A nil key or value is allowed.
type Limits struct {
	// Headers bounds the number of headers. Default: 256.
	Headers int
	// HeaderBytes bounds all headers together, keys and values. Default: 64 KiB.
	HeaderBytes int
	// KeyBytes bounds the key. Default: 64 KiB.
	KeyBytes int
	// ValueBytes bounds the value. Default: 1 MiB.
	ValueBytes int
}

// withDefaults fills in the limits that are zero. There is no way to switch one off.
func (l Limits) withDefaults() Limits {
	l.Headers = cmp.Or(l.Headers, 256)
	l.HeaderBytes = cmp.Or(l.HeaderBytes, 64<<10)
	l.KeyBytes = cmp.Or(l.KeyBytes, 64<<10)
	l.ValueBytes = cmp.Or(l.ValueBytes, 1<<20)
	return l
}

// LimitError reports the limit that a record exceeds.
type LimitError struct {
	// Limit is the field's name in [Limits], Got the record's value and Max the
	// allowed one.
	Limit    string
	Got, Max int
}

// Error implements error.
func (e *LimitError) Error() string {
	return fmt.Sprintf("kafka: record exceeds limit %s: %d, at most %d are allowed", e.Limit, e.Got, e.Max)
}

// check returns a *LimitError for the first limit that a record exceeds, or nil.
func (l *Limits) check(r *kgo.Record) error {
	headerBytes := 0
	for i := range r.Headers {
		headerBytes += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	switch {
	case len(r.Headers) > l.Headers:
		return &LimitError{"Headers", len(r.Headers), l.Headers}
	case headerBytes > l.HeaderBytes:
		return &LimitError{"HeaderBytes", headerBytes, l.HeaderBytes}
	case len(r.Key) > l.KeyBytes:
		return &LimitError{"KeyBytes", len(r.Key), l.KeyBytes}
	case len(r.Value) > l.ValueBytes:
		return &LimitError{"ValueBytes", len(r.Value), l.ValueBytes}
	}
	return nil
}

// ProducedAt returns the time at which a record was produced, by its producer's or
// its broker's clock, to measure how long it took until now. For a time in the
// future, or before the year 2000, which no real record has, it returns now, and
// skewed reports that.
func ProducedAt(r *kgo.Record, now time.Time) (at time.Time, skewed bool) {
	if r.Timestamp.After(now) || r.Timestamp.Before(year2000) {
		return now, true
	}
	return r.Timestamp, false
}

var year2000 = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
