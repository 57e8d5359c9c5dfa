package prometheus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/trace"
)

var quiet = slog.New(slog.DiscardHandler)

// scrape returns what the handler shows a server, without the recorder's own figures.
func scrape(t *testing.T, r *Recorder, accept string) string {
	t.Helper()
	request := httptest.NewRequest("GET", "/metrics", nil)
	request.Header.Set("Accept", accept)
	response := httptest.NewRecorder()
	r.Handler().ServeHTTP(response, request)
	if response.Code != 200 {
		t.Fatalf("status %d: %s", response.Code, response.Body)
	}
	var b strings.Builder
	for line := range strings.Lines(response.Body.String()) {
		if !strings.Contains(line, "penstock_metrics_") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// has reports a line that a scrape does not have.
func has(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
}

// all makes an instrument for each name of the catalogue, with each of its tags.
func all(r metrics.Recorder) {
	for _, d := range metrics.Catalogue() {
		var tags []metrics.Tag
		for _, key := range d.Tags {
			tags = append(tags, metrics.Tag{Key: key, Value: "some " + key})
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
}

// Every metric of the catalogue is shown with its type, a help text and its labels, and
// has a name that Prometheus recommends.
func TestTheWholeCatalogue(t *testing.T) {
	registry := client.NewPedanticRegistry()
	r := option.Must(New(Config{Registerer: registry}))
	all(r)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	shown := make(map[string]string)
	for _, f := range families {
		shown[f.GetName()] = f.GetType().String()
		if !strings.HasSuffix(f.GetHelp(), ").") {
			t.Errorf("%s has the help %q", f.GetName(), f.GetHelp())
		}
	}
	for _, d := range metrics.Catalogue() {
		name := "penstock_" + strings.ReplaceAll(d.Name, ".", "_")
		want := "COUNTER"
		switch {
		case d.Kind == metrics.KindTimer:
			name, want = name+"_seconds", "HISTOGRAM"
		case d.Kind == metrics.KindCounter:
			name += "_total"
		default:
			want = "GAUGE"
			if d.Unit == "seconds" {
				name += "_seconds"
			}
		}
		if shown[name] != want {
			t.Errorf("%s is shown as a %q, not as a %s", name, shown[name], want)
		}
	}
	if promtool, err := exec.LookPath("promtool"); err == nil {
		check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
		check.Stdin = strings.NewReader(scrape(t, r, ""))
		if out, err := check.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("promtool: %v\n%s", err, out)
		}
	}
}

// A tag that the catalogue does not list is no label of the library's names.
func TestNoOtherLabelsOnTheLibrarysNames(t *testing.T) {
	r := option.Must(New(Config{}))
	for i := range 10 {
		r.Counter("stage.events", metrics.Tag{Key: "stage", Value: "users"}, metrics.Tag{Key: "user", Value: fmt.Sprint("user-", i)}).Add(1)
	}
	has(t, scrape(t, r, ""), `penstock_stage_events_total{stage="users"} 10`)
}

// The end of an owner ends its series, after its last values were shown.
func TestSeriesEndWithTheirOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := option.Must(New(Config{}))
		tag := metrics.Tag{Key: "stage", Value: "tenant-1"}
		c, g, o := r.Counter("stage.events", tag), r.Gauge("stage.buffered", tag), r.Timer("app.work", tag)
		c.Add(7)
		g.Set(3)
		o.Observe(time.Second)
		metrics.End(c, g, o)
		time.Sleep(2 * time.Minute)
		has(t, scrape(t, r, ""), `penstock_stage_events_total{stage="tenant-1"} 7`, `penstock_stage_buffered{stage="tenant-1"} 3`, `app_work_seconds_count{stage="tenant-1"} 1`)
		if again := scrape(t, r, ""); strings.Contains(again, "tenant-1") {
			t.Errorf("still there:\n%s", again)
		}
		// Another owner of the same name, and the first one once more.
		r.Counter("stage.events", tag).Add(1)
		c.Add(1)
		g.Set(5)
		metrics.ObserveTraced(o, time.Second, trace.Context{})
		o.Observe(time.Second)
		has(t, scrape(t, r, ""), `penstock_stage_events_total{stage="tenant-1"} 2`, `penstock_stage_buffered{stage="tenant-1"} 5`, `app_work_seconds_count{stage="tenant-1"} 3`)
		if s := r.Snapshot(); s.Removed != 3 || s.Series != 3+own {
			t.Errorf("%+v", s)
		}
	})
}

func TestSeriesAreBounded(t *testing.T) {
	var log bytes.Buffer
	r := option.Must(New(Config{MaxSeries: 2, Logger: slog.New(slog.NewTextHandler(&log, nil))}))
	first := r.Counter("app.first")
	r.Gauge("app.second").Set(1)
	third := r.Counter("app.third", metrics.Tag{Key: "k", Value: "1"})
	r.Counter("app.third", metrics.Tag{Key: "k", Value: "2"}).Add(1)
	third.Add(1)
	third.Add(1)
	r.Timer("app.fourth").Observe(1)
	first.Add(-1)
	if text := scrape(t, r, ""); strings.Contains(text, "third") || strings.Contains(text, "fourth") {
		t.Error(text)
	}
	if s := r.Snapshot(); s.Series != 2+own || s.Refused != 3 || s.Dropped != 5 {
		t.Errorf("%+v", s)
	}
	metrics.End(first)
	third.Add(4)
	has(t, scrape(t, r, ""), `app_third_total{k="1"} 4`)
	if n := strings.Count(log.String(), "series refused"); n != 2 {
		t.Errorf("%d lines:\n%s", n, &log)
	}
	// The recorder's own figures say so.
	if n, err := testutil.GatherAndCount(r.cfg.Registerer.(*client.Registry), "penstock_metrics_refused_total", "penstock_metrics_series"); n != 2 || err != nil {
		t.Error(n, err)
	}
}

// A family that has no room is refused for good.
func TestNamesAreBounded(t *testing.T) {
	r := option.Must(New(Config{MaxSeries: 1, Logger: quiet}))
	for i := range 1000 {
		r.Counter(fmt.Sprint("app.n", i)).Add(1)
	}
	if n := len(r.families.byKey); n > 1+len(metrics.Catalogue()) {
		t.Errorf("%d names are kept", n)
	}
	if s := r.Snapshot(); s.Dropped != 999 {
		t.Errorf("%+v", s)
	}
}

// The client panics for names and labels that are not valid, and a registry shows nothing
// at all if two metrics are the same.
func TestAnyNamesAndTags(t *testing.T) {
	registry := client.NewPedanticRegistry()
	r := option.Must(New(Config{Registerer: registry, Logger: quiet}))
	texts := []string{
		"", " ", "a", "a.b", "a_b", "a-b", "9", "_9", "ä", "\xff", "a\x00", "le", "quantile", "__name__", "job", strings.Repeat("x", 300), strings.Repeat("x", 301), strings.Repeat("ä", 150),
		"a_total", "a_created", "a_seconds", "a_seconds_count", "a_seconds_bucket", "penstock.stage.events", "penstock_stage_events_total", "penstock_metrics_series", "stage.buffered",
	}
	for _, name := range texts {
		for i, key := range texts {
			tag, twice := metrics.Tag{Key: key, Value: texts[len(texts)-1-i]}, metrics.Tag{Key: key, Value: "b"}
			r.Counter(name, tag).Add(1)
			r.Counter(name, tag, twice).Add(1)
			r.Gauge(name, tag, metrics.Tag{Key: "other", Value: key}).Set(1)
			r.Timer(name, tag).Observe(1)
		}
	}
	if _, err := registry.Gather(); err != nil {
		t.Error(err)
	}
	for _, format := range []string{"", openMetrics} {
		if text := scrape(t, r, format); len(text) < 10_000 {
			t.Errorf("only %d bytes", len(text))
		}
	}
	if s := r.Snapshot(); s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
}

const openMetrics = "application/openmetrics-text; version=1.0.0"

func TestNamesThatWouldBeTheSame(t *testing.T) {
	r := option.Must(New(Config{Logger: quiet}))
	for i, name := range []string{"a.b", "a_b", "a-b"} {
		r.Counter(name).Add(int64(i) + 1)
	}
	text := scrape(t, r, "")
	has(t, text, "a_b_total 1")
	if strings.Count(text, "# TYPE a_b_") != 3 {
		t.Errorf("three names were expected:\n%s", text)
	}
}

func TestExemplars(t *testing.T) {
	for _, native := range []bool{false, true} {
		r := option.Must(New(Config{NativeHistograms: native}))
		timer := r.Timer("pipeline.push_delivered")
		tc, err := trace.Parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		if err != nil {
			t.Fatal(err)
		}
		metrics.ObserveTraced(timer, 2*time.Millisecond, tc)
		text := scrape(t, r, openMetrics)
		want := `penstock_pipeline_push_delivered_seconds_bucket{le="0.0025"} 1 # {`
		if !strings.Contains(text, want) || !strings.Contains(text, `trace_id="0af7651916cd43dd8448eb211c80319c"`) || !strings.Contains(text, `span_id="b7ad6b7169203331"`) {
			t.Errorf("no exemplar in\n%s", text)
		}
		if !strings.HasSuffix(text, "# EOF\n") {
			t.Errorf("not OpenMetrics:\n%s", text)
		}
	}
}

func TestARegistryOfTheProgram(t *testing.T) {
	registry := client.NewRegistry()
	registry.MustRegister(client.NewGauge(client.GaugeOpts{Name: "mine", Help: "Mine."}))
	r := option.Must(New(Config{Registerer: client.WrapRegistererWith(client.Labels{"node": "1"}, registry)}))
	r.Counter("stage.events").Add(1)
	families, err := registry.Gather()
	if err != nil || len(families) != 4 || families[0].GetName() != "mine" {
		t.Error(families, err)
	}
	has(t, scrape(t, r, ""), "penstock_stage_events_total 1")

	_, err = New(Config{Registerer: client.WrapRegistererWith(client.Labels{"node": "1"}, registry)})
	if refused := new(OptionError); !errors.As(err, &refused) || refused.Option != "Registerer" {
		t.Errorf("a second one in the same registry: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	r.Counter("stage.events").Add(1)
	if families, err := registry.Gather(); len(families) != 1 || err != nil {
		t.Errorf("after its end: %v, %v", families, err)
	}
}

func TestInstrumentsAllocateNothing(t *testing.T) {
	for _, native := range []bool{false, true} {
		r := option.Must(New(Config{NativeHistograms: native}))
		c, g, o := r.Counter("stage.events"), r.Gauge("stage.buffered"), r.Timer("pipeline.push_delivered")
		o.Observe(time.Millisecond)
		if n := testing.AllocsPerRun(100, func() { c.Add(1); g.Set(2); o.Observe(time.Millisecond) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

// Uses, ends and scrapes at once neither race nor lose a count while the series is used.
func TestEverythingAtOnce(t *testing.T) {
	r := option.Must(New(Config{}))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			c, o := r.Counter("stage.events"), r.Timer("pipeline.push_delivered")
			g := r.Gauge("stage.buffered", metrics.Tag{Key: "stage", Value: fmt.Sprint(i)})
			for range 500 {
				c.Add(1)
				g.Set(1)
				o.Observe(time.Millisecond)
			}
			metrics.End(c, g, o)
		})
	}
	for range 3 {
		response := httptest.NewRecorder()
		r.Handler().ServeHTTP(response, httptest.NewRequest("GET", "/", nil))
		if _, err := io.ReadAll(response.Body); err != nil || response.Code != 200 {
			t.Error(response.Code, err)
		}
	}
	wg.Wait()
	has(t, scrape(t, r, ""), "penstock_stage_events_total 2000", "penstock_pipeline_push_delivered_seconds_count 2000")
}
