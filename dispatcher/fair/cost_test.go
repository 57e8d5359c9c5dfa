package fair

import (
	"math"
	"testing"

	"github.com/penstock-go/penstock/dispatcher"
)

// F10: when the cost is measured the keys share the workers' time, also when
// one key's events take a hundred times as long, and weights hold.
func TestFigureMeasuredCost(t *testing.T) {
	for _, tc := range []struct {
		name    string
		weights []int
		workers int
		perKey  int
	}{
		{"one worker", []int{1}, 1, 0},
		{"four workers", []int{1}, 4, 0},
		{"weights", []int{1, 4}, 1, 0},
		{"four workers, unordered", []int{1}, 4, 4},
	} {
		r := newRig(t, Config[ev]{MeasuredCost: true, Weights: tc.weights, UnorderedInFlight: tc.perKey,
			Class: func(e ev) int { return len(e.key) - 2 }})
		keys := []string{"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k99"}
		cost := func(k string) int64 {
			if k == "k0" {
				return 100e6 // 100 ms
			}
			return 1e6
		}
		// A pool in virtual time: the worker that ends first gives its receipt
		// first.
		end := make(map[uint64]int64)
		spent := map[string]int64{}
		r.backlogged(keys)
		for sub := range tc.workers {
			_ = r.f.Subscribe(sub, dispatcher.SubscribeConfig{})
			r.f.Ask(sub, 1)
		}
		r.dispatch()
		total := int64(sized(400)) * 1e9
		var sum int64
		for sum < total {
			first := -1
			for i, g := range r.flying {
				if end[g.seq] == 0 {
					end[g.seq] = r.now + cost(g.event.key)
				}
				if first < 0 || end[g.seq] < end[r.flying[first].seq] {
					first = i
				}
			}
			g := r.flying[first]
			r.now = end[g.seq]
			delete(end, g.seq)
			r.flying = append(r.flying[:first:first], r.flying[first+1:]...)
			c := cost(g.event.key)
			spent[g.event.key] += c
			sum += c
			r.f.Receipts(r.now, []dispatcher.Receipt[ev]{{Sub: g.sub, Seq: g.seq, Ticket: g.ticket, Cost: c}})
			r.backlogged([]string{g.event.key})
			r.f.Ask(g.sub, 1)
			r.dispatch()
			r.log = r.log[:0]
		}
		r.f.check(t)
		weight := func(k string) float64 { return float64(tc.weights[min(len(k)-2, len(tc.weights)-1)]) }
		var all float64
		for _, k := range keys {
			all += weight(k)
		}
		worst := 0.0
		for _, k := range keys {
			fair := float64(sum) * weight(k) / all
			worst = max(worst, math.Abs(float64(spent[k])/fair-1))
		}
		t.Logf("F10: %s: share of worker time wrong by %.4f at most", tc.name, worst)
		if worst > 0.02 {
			t.Errorf("want at most 0.02; spent %v", spent)
		}
	}
}

// A light key that comes new is served before keys that have spent much.
func TestMeasuredNewcomer(t *testing.T) {
	r := newRig(t, Config[ev]{MeasuredCost: true})
	keys := []string{"a", "b", "c"}
	r.backlogged(keys)
	r.workers(1)
	for range 100 {
		g := r.flying[0]
		r.flying = nil
		r.f.Receipts(0, []dispatcher.Receipt[ev]{{Seq: g.seq, Ticket: g.ticket, Cost: 3e6}})
		r.backlogged(keys)
		r.f.Ask(0, 1)
		r.dispatch()
	}
	r.log = nil
	r.offer("x", "x")
	r.serve(2)
	r.want("x1 x2")
}

// A receipt without a cost changes nothing of what was charged ahead.
func TestCostNotMeasured(t *testing.T) {
	r := newRig(t, Config[ev]{MeasuredCost: true, Credits: 1}).workers(1)
	for range 10 {
		r.offer("a", "b")
	}
	r.serve(19)
	n := 0
	for _, g := range r.log[:10] {
		if g.event.key == "a" {
			n++
		}
	}
	if n != 5 {
		t.Errorf("a has %d of the first ten: %s", n, r.order())
	}
	r.drained()
}
