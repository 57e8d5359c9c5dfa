package prometheus

import (
	"sync"
	"sync/atomic"

	client "github.com/prometheus/client_golang/prometheus"

	"github.com/penstock-go/penstock/internal/series"
	"github.com/penstock-go/penstock/metrics"
)

// Recorder is a [metrics.Recorder] whose measurements a Prometheus server asks for. Make
// one with [New] and show it with [Recorder.Handler].
type Recorder struct {
	cfg     Config
	buckets []float64 // of timers, in seconds
	table   *series.Table
	refused atomic.Int64 // uses of instruments that recorded nothing
	closed  atomic.Bool
	names   series.Names // that were logged

	mu       sync.Mutex // guards what follows
	families *families

	// self are the recorder's own figures, in a collector of their own: it makes the second
	// recorder of a registry known as such.
	self struct {
		series  metrics.Gauge
		refused metrics.Counter
		mu      sync.Mutex // guards shown
		shown   int64      // of refused, what its counter has
	}
}

// New returns a recorder that is registered with cfg.Registerer. The errors are those of
// the config, each a [*OptionError].
func New(cfg Config) (*Recorder, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &Recorder{
		cfg: cfg, buckets: cfg.series().Seconds(), table: series.New(cfg.MaxSeries+own, cfg.Linger),
		families: newFamilies(cfg),
	}
	r.self.series = r.Gauge("metrics.series")
	r.self.refused = r.Counter("metrics.refused")
	if err := cfg.Registerer.Register(figures{r}); err != nil {
		return nil, owner.Refuse("Registerer", cfg.Registerer, "one without another recorder: "+err.Error())
	}
	if err := cfg.Registerer.Register(r); err != nil {
		cfg.Registerer.Unregister(figures{r})
		return nil, owner.Refuse("Registerer", cfg.Registerer, "one that takes the recorder: "+err.Error())
	}
	return r, nil
}

// own is the number of series of the recorder itself.
const own = 2

// instrument returns the series of that kind, name and tags, made by create if there is
// none. Without room for it, each use of it looks for room again.
func instrument[S series.Series](r *Recorder, kind metrics.Kind, name string, tags []metrics.Tag, create func(*family, client.Labels) S) S {
	r.mu.Lock()
	f, changed := r.families.get(kind, name)
	if f == nil {
		r.mu.Unlock()
		r.names.Log(r.cfg.Logger, kind.String(), name, "metric refused, its values are dropped")
		// Its table has no room, so each use of it is refused.
		made, _ := series.New(0, 0).Get(name, func() series.Series { return create(&family{name: "refused"}, nil) })
		return made.(S)
	}
	labels, text := r.families.labelsOf(f, tags)
	r.mu.Unlock()
	if changed {
		r.names.Log(r.cfg.Logger, kind.String(), name, "metric has another name, since its own is taken", "as", f.name)
	}
	made, ok := r.table.Get(kind.String()+" "+f.name+"\xfe"+text, func() series.Series { return create(f, labels) })
	if !ok {
		r.names.Log(r.cfg.Logger, kind.String(), name, "series refused, its values are dropped", "MaxSeries", r.cfg.MaxSeries)
	}
	return made.(S)
}

// Snapshot holds a recorder's figures at one moment.
type Snapshot struct {
	// Series is how many the recorder keeps, with two of its own.
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

// Close takes the recorder's measurements out of its Registerer, which then has room for
// another one. The instruments stay valid. It returns nil.
func (r *Recorder) Close() error {
	r.cfg.Registerer.Unregister(figures{r})
	// A registry keeps a collector that describes nothing.
	r.closed.Store(true)
	return nil
}
