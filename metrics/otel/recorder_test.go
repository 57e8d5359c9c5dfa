package otel

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/trace"
)

// start returns a recorder and the reader of its provider.
func start(cfg Config) (*Recorder, *sdk.ManualReader) {
	reader := sdk.NewManualReader()
	cfg.Provider = sdk.NewMeterProvider(sdk.WithReader(reader))
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return option.Must(New(cfg)), reader
}

// collect returns the metrics by name.
func collect(t *testing.T, reader *sdk.ManualReader) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]metricdata.Metrics)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			found[m.Name] = m
		}
	}
	return found
}

// Every metric of the catalogue is an instrument of the right kind and unit, with a
// description and its attributes alone.
func TestTheWholeCatalogue(t *testing.T) {
	r, reader := start(Config{})
	for _, d := range metrics.Catalogue() {
		tags := []metrics.Tag{{Key: "user", Value: "7"}}
		for _, key := range d.Tags {
			tags = append(tags, metrics.Tag{Key: key, Value: "v"})
		}
		switch d.Kind {
		case metrics.KindCounter:
			r.Counter(d.Name, tags...).Add(1)
		case metrics.KindGauge:
			r.Gauge(d.Name, tags...).Set(1)
		case metrics.KindTimer:
			r.Timer(d.Name, tags...).Observe(time.Second)
		}
	}
	found := collect(t, reader)
	for _, d := range metrics.Catalogue() {
		m := found["penstock."+d.Name]
		keys := -1
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			if d.Kind == metrics.KindCounter && data.IsMonotonic {
				keys = data.DataPoints[0].Attributes.Len()
			}
		case metricdata.Gauge[float64]:
			if d.Kind == metrics.KindGauge {
				keys = data.DataPoints[0].Attributes.Len()
			}
		case metricdata.Gauge[int64]:
			keys = 0
		case metricdata.Histogram[float64]:
			if d.Kind == metrics.KindTimer && m.Unit == "s" {
				keys = data.DataPoints[0].Attributes.Len()
			}
		}
		all, _ := metrics.Describe(d.Name)
		if keys < 0 || keys > len(all.Tags) || m.Unit == "" || !strings.Contains(m.Description, d.Help) && all.Package == d.Package && !strings.HasPrefix(d.Name, "metrics.") {
			t.Errorf("%s is a %T in %q with %d attributes: %s", d.Name, m.Data, m.Unit, keys, m.Description)
		}
	}
}

func TestUnits(t *testing.T) {
	for unit, want := range map[string]string{"events": "{event}", "batches": "{batch}", "entries": "{entry}", "losses": "{loss}", "0 or 1": "1", "seconds": "s", "bytes": "By", "series": "{series}"} {
		if got := ucum(metrics.KindGauge, unit); got != want {
			t.Errorf("%s became %s", unit, got)
		}
	}
}

// points returns how many series a metric has.
func points(m metricdata.Metrics) int {
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		return len(data.DataPoints)
	case metricdata.Gauge[float64]:
		return len(data.DataPoints)
	}
	return 0
}

func TestSeriesEndWithTheirOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, reader := start(Config{})
		for i := range 3 {
			tag := metrics.Tag{Key: "stage", Value: fmt.Sprint(i)}
			c, g := r.Counter("stage.events", tag), r.Gauge("stage.buffered", tag)
			c.Add(1)
			g.Set(1)
			if i > 0 {
				metrics.End(c, g)
			}
		}
		time.Sleep(2 * time.Minute)
		for _, want := range []int{3, 1} {
			found := collect(t, reader)
			if n, m := points(found["penstock.stage.events"]), points(found["penstock.stage.buffered"]); n != want || m != want {
				t.Errorf("%d and %d series, not %d", n, m, want)
			}
		}
		again := r.Counter("stage.events", metrics.Tag{Key: "stage", Value: "1"})
		again.Add(1)
		if n := points(collect(t, reader)["penstock.stage.events"]); n != 2 {
			t.Errorf("%d series", n)
		}
		if err := r.Close(); err != nil || len(collect(t, reader)) != 0 {
			t.Error("observed after Close", err)
		}
	})
}

func TestBounds(t *testing.T) {
	r, reader := start(Config{MaxSeries: 2})
	for i := range 4 {
		r.Counter("app.n", metrics.Tag{Key: "k", Value: fmt.Sprint(i)}).Add(1)
		r.Timer(fmt.Sprint("app.t", i)).Observe(1)
	}
	r.Counter("app.n", metrics.Tag{Key: "k", Value: "0"}).Add(-1)
	if s := r.Snapshot(); s.Series != 2 || s.Dropped != 7 {
		t.Errorf("%+v", s)
	}
	if sum, ok := collect(t, reader)["penstock.metrics.refused"].Data.(metricdata.Sum[int64]); !ok || sum.DataPoints[0].Value != 7 {
		t.Errorf("%+v", sum)
	}
}

// The SDK refuses names with other characters, and takes names for the same whatever the case
// of their letters.
func TestAnyNames(t *testing.T) {
	r, reader := start(Config{})
	names := []string{"", "a", "A", "9", "ä", "a b", "a_b", "\xff", "penstock.stage.events", strings.Repeat("x", 300)}
	for _, name := range names {
		r.Counter(name, metrics.Tag{Key: name, Value: name}).Add(1)
		r.Gauge(name).Set(1)
		r.Timer(name).Observe(1)
	}
	if found := collect(t, reader); len(found) != 3*len(names)+2 {
		t.Errorf("%d metrics", len(found))
	}
	if s := r.Snapshot(); s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
}

func TestExemplars(t *testing.T) {
	r, reader := start(Config{})
	tc, err := trace.Parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if err != nil {
		t.Fatal(err)
	}
	metrics.ObserveTraced(r.Timer("pipeline.push_delivered"), time.Second, tc)
	data := collect(t, reader)["penstock.pipeline.push_delivered"].Data.(metricdata.Histogram[float64])
	if e := data.DataPoints[0].Exemplars; len(e) != 1 || fmt.Sprintf("%x", e[0].TraceID) != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("%+v", e)
	}
}

func TestInstrumentsAllocateNothing(t *testing.T) {
	r, _ := start(Config{})
	c, g, o := r.Counter("stage.events"), r.Gauge("stage.buffered"), r.Timer("pipeline.push_delivered")
	o.Observe(1)
	if n := testing.AllocsPerRun(100, func() { c.Add(1); g.Set(2) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	t.Logf("a timer: %v allocations", testing.AllocsPerRun(100, func() { o.Observe(time.Millisecond) }))
}

// The series of a timer that nothing uses any more ends with a collection, if the reader wants
// histograms as what has come since the last one.
func TestATimerEndsWithDeltas(t *testing.T) {
	reader := sdk.NewManualReader(sdk.WithTemporalitySelector(func(kind sdk.InstrumentKind) metricdata.Temporality {
		if kind == sdk.InstrumentKindHistogram {
			return metricdata.DeltaTemporality
		}
		return metricdata.CumulativeTemporality
	}))
	r := option.Must(New(Config{Provider: sdk.NewMeterProvider(sdk.WithReader(reader)), Logger: slog.New(slog.DiscardHandler)}))
	points := func() int {
		data, _ := collect(t, reader)["penstock.pipeline.push_delivered"].Data.(metricdata.Histogram[float64])
		return len(data.DataPoints)
	}
	timer := r.Timer("pipeline.push_delivered")
	timer.Observe(time.Second)
	if n := points(); n != 1 {
		t.Errorf("%d series", n)
	}
	metrics.End(timer)
	if n := points(); n != 0 {
		t.Errorf("%d series after the end", n)
	}
}
