package kafka

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestProducedAt(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		stamp, want time.Time
		skewed      bool
	}{
		{now, now, false},
		{now.Add(-time.Hour), now.Add(-time.Hour), false},
		{now.Add(time.Millisecond), now, true},
		{time.UnixMilli(0), now, true},
		{time.Time{}, now, true},
		{time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), now, true},
	} {
		at, skewed := ProducedAt(&kgo.Record{Timestamp: c.stamp}, now)
		if !at.Equal(c.want) || skewed != c.skewed {
			t.Errorf("%v gives %v, %v", c.stamp, at, skewed)
		}
	}
}

func TestLimitErrorSaysWhat(t *testing.T) {
	err := (&Limits{Headers: 1}).check(&kgo.Record{Headers: make([]kgo.RecordHeader, 2)})
	if got := fmt.Sprint(err); got != "kafka: record exceeds limit Headers: 2, at most 1 are allowed" {
		t.Error(got)
	}
}
