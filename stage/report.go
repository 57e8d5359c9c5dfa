package stage

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/receipt"
)

// report records the stages' figures at an interval, and once more when the
// returned function is called, which sets the gauges to 0. The stages themselves
// measure nothing: a snapshot costs them nothing per event.
func (p *Pipeline) report(ctx context.Context) (finish func()) {
	if p.cfg.Metrics == nil {
		return func() {}
	}
	meters := make(map[*node]*meter)
	once := func(limit time.Duration) {
		// A snapshot that comes too late is left out: its counts are part of the next one.
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		members, left := p.metered()
		// The series of a stage that was replaced end before those of the new one begin.
		for _, s := range left {
			m := meters[s.vertex()]
			if m == nil {
				m = newMeter(p.cfg.Metrics, s)
			}
			delete(meters, s.vertex())
			m.record(s.busy())
			m.end()
		}
		for _, s := range members {
			if meters[s.vertex()] == nil {
				meters[s.vertex()] = newMeter(p.cfg.Metrics, s.Stage)
			}
		}
		// A stage that is busy in a handler must not delay the others' figures.
		var wg sync.WaitGroup
		for _, m := range meters {
			// Each meter is used by one goroutine at a time: the next round begins after
			// Wait.
			wg.Go(func() {
				if snap, err := m.stage.Snapshot(ctx); err == nil {
					m.record(snap)
				}
			})
		}
		wg.Wait()
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(p.cfg.MetricsInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				once(p.cfg.MetricsInterval)
			// The last figures of each stage; they are at hand, since all have stopped.
			case <-quit:
				once(100 * time.Millisecond)
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-done
		for _, m := range meters {
			m.end()
		}
	}
}

// metered returns the members, and the stages that were members when it was called last.
func (p *Pipeline) metered() (members []*member, left []Stage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left, p.left = p.left, nil
	return slices.Clone(p.members), left
}

// meter turns one stage's snapshots into measurements: it records how much the counts have
// grown since the snapshot before. It has no lock; report uses it from one goroutine at a
// time.
type meter struct {
	stage    Stage
	recorder metrics.Recorder
	stageTag metrics.Tag
	// The instruments are made once, since looking one up costs.
	demand, buffered metrics.Gauge
	batch            metrics.Gauge
	events, deaths   metrics.Counter
	// These are the counts of the last snapshot.
	seen, batches int64
	abandoned     int64
	discards      map[receipt.Reason]metrics.Counter
	discarded     map[receipt.Reason]int64

	over bool // end was called
}

// newMeter makes the instruments of a stage. Counters of discards are made
// when a reason first occurs.
func newMeter(r metrics.Recorder, s Stage) *meter {
	tag := metrics.Tag{Key: "stage", Value: s.Name()}
	return &meter{
		stage: s, recorder: r, stageTag: tag,
		demand: r.Gauge("stage.demand", tag), buffered: r.Gauge("stage.buffered", tag),
		batch: r.Gauge("stage.batch_size", tag), events: r.Counter("stage.events", tag),
		deaths:    r.Counter("stage.abandoned", tag),
		discards:  make(map[receipt.Reason]metrics.Counter),
		discarded: make(map[receipt.Reason]int64),
	}
}

// record takes a snapshot. A stopped stage keeps its counts, but its gauges go to 0.
func (m *meter) record(s Snapshot) {
	if s.Kind != KindConsumer && s.Phase != PhaseStopped {
		m.demand.Set(float64(s.Demand))
		m.buffered.Set(float64(s.Buffered))
	}
	// A producer handles nothing: its events are those that it has emitted.
	count := s.Handled
	if s.Kind == KindProducer {
		count = s.Emitted
	}
	// The mean batch size is that of the interval. Without a batch the gauge keeps its
	// value.
	fresh, batches := count-m.seen, s.Batches-m.batches
	m.seen, m.batches = count, s.Batches
	m.events.Add(fresh)
	if batches > 0 && !m.over {
		m.batch.Set(float64(fresh) / float64(batches))
	}
	// Events that a stage leaves unhandled are abandoned as well, when their
	// producer does not exist any more to count them.
	if n := s.Abandoned + s.Unhandled - m.abandoned; n > 0 {
		m.deaths.Add(n)
		m.abandoned += n
	}
	for reason, n := range s.Discarded {
		c := m.discards[reason]
		if c == nil {
			c = m.recorder.Counter("pipeline.discarded", m.stageTag, metrics.Tag{Key: "reason", Value: string(reason)})
			m.discards[reason] = c
		}
		c.Add(max(0, n-m.discarded[reason]))
		m.discarded[reason] = n
	}
	if s.Phase == PhaseStopped {
		m.end()
	}
}

// end sets the gauges of a stage that is gone to 0 and ends its series, once.
func (m *meter) end() {
	if m.over {
		return
	}
	m.over = true
	m.demand.Set(0)
	m.buffered.Set(0)
	m.batch.Set(0)
	metrics.End(m.demand, m.buffered, m.batch, m.events, m.deaths)
	for _, c := range m.discards {
		metrics.End(c)
	}
}
