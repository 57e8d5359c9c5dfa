package delivery

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

var errNoTopic = errors.New("delivery: event has no topic")

// Snapshot holds the figures of a [Consumer] at one moment.
type Snapshot struct {
	// InFlight is how many events are on their way to sockets.
	InFlight int `json:"in_flight"`
	// MaxDemand is what Resize has set last; 0 if it was not called.
	MaxDemand int `json:"max_demand,omitempty"`
	// WaitingForClient is how many wait for a client to join their topic, here or
	// on a node that did not answer, or after an event of the topic that does.
	// WaitingForRoom is the same for room in a client's queue.
	WaitingForClient int `json:"waiting_for_client"`
	WaitingForRoom   int `json:"waiting_for_room"`
	// AbsentTopics is how many topics are remembered as being without a client
	// since the end of their grace.
	AbsentTopics int `json:"absent_topics"`
	// OutOfReach is set while other nodes cannot be asked, so that no grace ends, and
	// Outages is how often that has begun.
	OutOfReach bool  `json:"out_of_reach"`
	Outages    int64 `json:"outages"`
	// Delivered and Failed count events since the start, and Discarded those that were
	// dropped, by reason; nil without one.
	Delivered int64                    `json:"delivered"`
	Discarded map[receipt.Reason]int64 `json:"discarded,omitempty"`
	Failed    int64                    `json:"failed"`
	// Withdrawn counts those that were left to the source: see Config.WithdrawOnDrain.
	Withdrawn int64 `json:"withdrawn,omitempty"`
}

// HandleInspect implements stage.InspectHandler: the figures are part of the
// stage's Snapshot.
func (c *Consumer[T]) HandleInspect() any { return c.Snapshot() }

// Snapshot returns the figures. It may be called from any goroutine.
func (c *Consumer[T]) Snapshot() Snapshot {
	m := &c.meters
	return Snapshot{
		InFlight: int(m.inFlight.Load()), MaxDemand: int(c.wanted.Load()), AbsentTopics: int(m.absent.Load()),
		OutOfReach: m.outOfReach.Load(), Outages: m.outages.Load(),
		WaitingForClient: int(m.waiting[forClient].Load() + m.waiting[forAnswer].Load()), WaitingForRoom: int(m.waiting[forRoom].Load()),
		Delivered: m.delivered.Load(), Discarded: m.discards.byReason(), Failed: m.failed.Load(),
		Withdrawn: m.withdrawn.Load(),
	}
}

// meters holds what is counted. Only the stage's goroutine writes; any goroutine
// reads the atomic fields.
type meters struct {
	inFlight, absent  atomic.Int64
	waiting           [causes]atomic.Int64
	delivered, failed atomic.Int64
	withdrawn         atomic.Int64
	outOfReach        atomic.Bool
	outages           atomic.Int64
	discards          discards

	took          metrics.Timer
	skewed        metrics.Counter
	outageCounter metrics.Counter
	missed        [causes]metrics.Counter
	outcomes      [2]metrics.Counter // delivered, failed
	inFlightGauge metrics.Gauge
	waitingGauges [causes]metrics.Gauge

	log    *slog.Logger
	logged time.Time // when a failure was logged
	silent int       // failures since then
}

// init makes the metrics. It is called before the stage runs.
func (m *meters) init(r metrics.Recorder, log *slog.Logger) {
	tag := func(key, value string) metrics.Tag { return metrics.Tag{Key: key, Value: value} }
	outcome := func(value string) metrics.Counter { return r.Counter("delivery.events", tag("outcome", value)) }
	m.log, m.discards = log, newDiscards(r, log)
	m.took = r.Timer("pipeline.push_delivered")
	m.skewed = r.Counter("delivery.clock_skew")
	m.outageCounter = r.Counter("delivery.outages")
	m.outcomes = [2]metrics.Counter{outcome("delivered"), outcome("failed")}
	m.inFlightGauge = r.Gauge("delivery.in_flight")
	for c := range causes {
		reason := tag("reason", string(c.reason()))
		m.missed[c] = r.Counter("delivery.missed", reason)
		m.waitingGauges[c] = r.Gauge("delivery.waiting", reason)
	}
}

// show publishes how many events are open, of which some wait. A gauge is set only
// if its value has changed, since show runs after each delivery.
func (m *meters) show(open int, waiting [causes]int, absent int) {
	inFlight := open
	for _, n := range waiting {
		inFlight -= n
	}
	if m.inFlight.Swap(int64(inFlight)) != int64(inFlight) {
		m.inFlightGauge.Set(float64(inFlight))
	}
	for i, n := range waiting {
		if m.waiting[i].Swap(int64(n)) != int64(n) {
			m.waitingGauges[i].Set(float64(n))
		}
	}
	m.absent.Store(int64(absent))
}

// note counts the end of an event and calls the functions of the config. err is nil
// for one that was written, a *stage.DiscardError for one that was discarded.
func (c *Consumer[T]) note(event T, span trace.Context, err error, at time.Time) {
	m := &c.meters
	dropped, isDrop := errors.AsType[*stage.DiscardError](err)
	switch {
	case err == nil:
		m.delivered.Add(1)
		m.outcomes[0].Add(1)
		if c.cfg.Enqueued != nil {
			took := at.Sub(c.cfg.Enqueued(event))
			if took < 0 {
				m.skewed.Add(1)
			}
			metrics.ObserveTraced(m.took, max(0, took), span)
		}
		if c.cfg.Delivered != nil {
			c.cfg.Delivered(event, at)
		}
	case err == stage.ErrWithdrawn:
		m.withdrawn.Add(1)
	case isDrop:
		m.discards.add(dropped.Reason, c.now())
		if c.cfg.Discarded != nil {
			c.cfg.Discarded(event, dropped.Reason)
		}
	default:
		m.failed.Add(1)
		m.outcomes[1].Add(1)
		m.logFailure(err)
		if c.cfg.Failed != nil {
			c.cfg.Failed(event, err)
		}
	}
}

// logFailure logs one failure a second.
func (m *meters) logFailure(err error) {
	now := time.Now()
	if now.Sub(m.logged) < time.Second {
		m.silent++
		return
	}
	m.log.Warn("event could not be delivered", "error", err, "not_logged", m.silent)
	m.logged, m.silent = now, 0
}
