package delivery_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
)

func TestLatencyAndCallbacks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rec := &timers{}
		var calls []string
		r := start(t, options{config: delivery.Config[push]{
			Grace: time.Second, Metrics: rec,
			Enqueued:  func(p push) time.Time { return p.At },
			Delivered: func(p push, at time.Time) { calls = append(calls, fmt.Sprint(p.N, " after ", at.Sub(p.At))) },
			Discarded: func(p push, reason receipt.Reason) { calls = append(calls, fmt.Sprint(p.N, " ", reason)) },
		}})
		c, ch := r.join("1")
		c.Pause()
		first := r.push("1", "away")
		pass(2 * time.Second)
		c.Resume()
		ch.AssertBroadcast("push", payload{N: first})
		r.expect(first, done, noSubscriber)
		if err := r.queue.TryPush(push{User: "1", N: 2, At: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		ch.AssertBroadcast("push", payload{N: 2})
		r.expect(2, done)
		want := "[1 no_subscriber 0 after 2s 2 after -1h0m0s]"
		if got := fmt.Sprint(calls); got != want {
			t.Errorf("calls %s, want %s", got, want)
		}
		if got := fmt.Sprint(rec.took); got != "[2s 0s]" {
			t.Errorf("latencies %s", got)
		}
	})
}

// timers is a recorder of pipeline.push_delivered.
type timers struct{ took []time.Duration }

func (r *timers) Counter(name string, tags ...metrics.Tag) metrics.Counter {
	return metrics.Nop().Counter(name, tags...)
}

func (r *timers) Gauge(name string, tags ...metrics.Tag) metrics.Gauge {
	return metrics.Nop().Gauge(name, tags...)
}

func (r *timers) Timer(name string, tags ...metrics.Tag) metrics.Timer {
	if name != "pipeline.push_delivered" {
		return metrics.Nop().Timer(name, tags...)
	}
	return r
}

func (r *timers) Observe(d time.Duration) { r.took = append(r.took, d) }
