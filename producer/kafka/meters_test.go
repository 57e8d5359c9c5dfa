package kafka

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/penstock-go/penstock/metrics"
)

// openGauges is a recorder that knows which gauges have an owner: it counts those that were
// made and not ended.
type openGauges struct {
	metrics.Recorder
	open map[string]int
}

type openGauge struct {
	of  *openGauges
	key string
}

func (r *openGauges) Gauge(name string, tags ...metrics.Tag) metrics.Gauge {
	key := fmt.Sprint(name, tags)
	r.open[key]++
	return openGauge{r, key}
}

func (g openGauge) Set(float64) {
	if g.of.open[g.key] == 0 {
		panic(g.key + " was set after its end")
	}
}

func (g openGauge) End() {
	if g.of.open[g.key]--; g.of.open[g.key] == 0 {
		delete(g.of.open, g.key)
	}
}

// Two sources of a group write no series of each other, also while a partition moves
// between them, and their series end with them.
func TestGaugesHaveOneOwnerAndEndWithIt(t *testing.T) {
	r := &openGauges{Recorder: metrics.Nop(), open: map[string]int{}}
	check := func(what string, n int) {
		t.Helper()
		if len(r.open) != n {
			t.Errorf("%s: %d series, want %d: %v", what, len(r.open), n, slices.Sorted(maps.Keys(r.open)))
		}
		for key, owners := range r.open {
			if owners != 1 {
				t.Errorf("%s: %s has %d owners", what, key, owners)
			}
		}
	}
	var a, b gauges
	a.begin(r, "g", "source")
	b.begin(r, "g", "source") // of another pipeline
	a.set(1, map[topicPartition]int64{at(0): 1, at(1): 1})
	b.set(1, map[topicPartition]int64{at(2): 1})
	check("both", 7)
	a.set(1, map[topicPartition]int64{at(0): 2})
	check("a partition was given away", 6)
	b.set(1, map[topicPartition]int64{at(1): 2, at(2): 1})
	check("and taken", 7)
	a.end()
	check("one has ended", 4)
	if b.seat != "source-2" {
		t.Errorf("the second has the tag %q", b.seat)
	}
	a.begin(r, "g", "source") // it was started again
	check("it has begun again", 6)
	if a.seat != "source" {
		t.Errorf("the first has the tag %q", a.seat)
	}
	a.end()
	b.end()
	check("both have ended", 0)
}
