package otel

import (
	"context"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-go/penstock/internal/series"
	"github.com/penstock-go/penstock/metrics"
)

// Recorder is a [metrics.Recorder] over a MeterProvider. Make one with [New] and end it with
// [Recorder.Close].
type Recorder struct {
	cfg     Config
	meter   metric.Meter
	buckets []float64 // of timers, in seconds
	table   *series.Table
	refused atomic.Int64 // uses of instruments that recorded nothing
	closed  atomic.Bool
	names   series.Names // that were logged

	mu       sync.Mutex // guards what follows
	families map[string]*family
	taken    map[string]bool // names, in lower case
}

// scope names the meter.
const scope = "github.com/penstock-go/penstock"

// New returns a recorder whose instruments are made by cfg.Provider. The errors are those of
// the config, each a [*OptionError].
func New(cfg Config) (*Recorder, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &Recorder{
		cfg: cfg, buckets: cfg.series().Seconds(), meter: cfg.Provider.Meter(scope), table: series.New(cfg.MaxSeries, cfg.Linger),
		families: make(map[string]*family), taken: make(map[string]bool),
	}
	if err := r.showSelf(); err != nil {
		return nil, owner.Refuse("Provider", cfg.Provider, "one that makes instruments: "+err.Error())
	}
	return r, nil
}

// showSelf makes the instruments of the recorder's own figures.
func (r *Recorder) showSelf() error {
	_, err := r.meter.Int64ObservableCounter(r.cfg.Prefix+".metrics.refused", metric.WithUnit("{use}"), metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
		if !r.closed.Load() {
			o.Observe(r.refused.Load())
		}
		return nil
	}))
	if err != nil {
		return err
	}
	_, err = r.meter.Int64ObservableGauge(r.cfg.Prefix+".metrics.series", metric.WithUnit("{series}"), metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
		if n, _, _ := r.table.Counts(); !r.closed.Load() {
			o.Observe(int64(n))
		}
		return nil
	}))
	return err
}

// instrument returns the series of that kind, name and tags, made by create if there is
// none. Without room for it, each use of it looks for room again.
func instrument[S series.Series](r *Recorder, kind metrics.Kind, name string, tags []metrics.Tag, create func(about) S) S {
	r.mu.Lock()
	f, err := r.family(kind, name)
	r.mu.Unlock()
	if err != nil {
		r.names.Log(r.cfg.Logger, kind.String(), name, "metric refused, its values are dropped", "error", err)
		// Its table has no room, so each use of it is refused.
		made, _ := series.New(0, 0).Get(name, func() series.Series { return create(about{owner: r}) })
		return made.(S)
	}
	set := f.attributes(tags)
	key := kind.String() + " " + name + "\xff" + set.Encoded(attribute.DefaultEncoder())
	made, ok := r.table.Get(key, func() series.Series { return create(about{owner: r, of: f, with: metric.WithAttributeSet(set)}) })
	if !ok {
		r.names.Log(r.cfg.Logger, kind.String(), name, "series refused, its values are dropped", "MaxSeries", r.cfg.MaxSeries)
	}
	return made.(S)
}

// observe calls f with each series of a family, for a collection.
func (r *Recorder) observe(of *family, f func(series.Series)) {
	if r.closed.Load() {
		return
	}
	r.table.Collect(func(one series.Series) bool { return one.(interface{ family() *family }).family() == of }, f)
}

// Snapshot holds a recorder's figures at one moment.
type Snapshot struct {
	// Series is how many the recorder keeps.
	Series int `json:"series"`
	// Refused is how often a new instrument found no room for its series because of
	// MaxSeries, and Removed how many series were removed because their owners had ended.
	Refused int64 `json:"refused"`
	Removed int64 `json:"removed"`
	// Dropped is the number of uses of instruments that recorded nothing.
	Dropped int64 `json:"dropped"`
}

// Snapshot returns the recorder's figures, from any goroutine.
func (r *Recorder) Snapshot() Snapshot {
	var s Snapshot
	s.Series, s.Refused, s.Removed = r.table.Counts()
	s.Dropped = r.refused.Load()
	return s
}

// Close ends the observation of counters and gauges. The instruments stay valid, and the
// provider is the program's. It returns nil.
func (r *Recorder) Close() error {
	r.closed.Store(true)
	return nil
}
