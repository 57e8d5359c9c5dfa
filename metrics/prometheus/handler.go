package prometheus

import (
	"fmt"
	"log/slog"
	"net/http"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/penstock-go/penstock/internal/series"
)

// maxScrapes bounds the requests that are responded to at once; others get status 503.
const maxScrapes = 8

// Handler returns the handler for a server's requests, in the text format or as
// OpenMetrics, which has exemplars. It shows everything in Config.Registerer if that is a
// registry, and the recorder's measurements otherwise. Mount it where strangers cannot
// reach it: measurements say a lot about a program.
func (r *Recorder) Handler() http.Handler {
	gatherer, ok := r.cfg.Registerer.(client.Gatherer)
	if !ok {
		registry := client.NewRegistry()
		registry.MustRegister(figures{r}, r)
		gatherer = registry
	}
	return promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{
		ErrorLog:            scrapeLog{r.cfg.Logger},
		ErrorHandling:       promhttp.ContinueOnError,
		EnableOpenMetrics:   true,
		MaxRequestsInFlight: maxScrapes,
	})
}

// scrapeLog writes the errors of scrapes.
type scrapeLog struct{ logger *slog.Logger }

func (l scrapeLog) Println(v ...any) {
	l.logger.Error("scrape failed in part", "error", fmt.Sprint(v...))
}

// Describe implements the client's Collector. It sends nothing, since series come and go.
func (r *Recorder) Describe(chan<- *client.Desc) {}

// Collect implements the client's Collector.
func (r *Recorder) Collect(to chan<- client.Metric) {
	if r.closed.Load() {
		return
	}
	r.table.Collect(nil, func(one series.Series) {
		if one != r.self.series.(series.Series) && one != r.self.refused.(series.Series) {
			to <- one.(interface{ shown() client.Metric }).shown()
		}
	})
}

// figures is the collector of the recorder's own figures. It describes them, so that a
// registry refuses those of a second recorder.
type figures struct{ r *Recorder }

func (f figures) metrics() (*gauge, *counter) {
	return f.r.self.series.(*gauge), f.r.self.refused.(*counter)
}

func (f figures) Describe(to chan<- *client.Desc) {
	series, refused := f.metrics()
	to <- series.metric.Desc()
	to <- refused.metric.Desc()
}

func (f figures) Collect(to chan<- client.Metric) {
	series, refused := f.metrics()
	self := &f.r.self
	self.mu.Lock()
	now := f.r.refused.Load()
	refused.Add(now - self.shown)
	self.shown = now
	self.mu.Unlock()
	n, _, _ := f.r.table.Counts()
	series.Set(float64(n))
	to <- series.metric
	to <- refused.metric
}
