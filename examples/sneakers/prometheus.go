package main

import (
	"net/http"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/prometheus"
)

// openPrometheus adds the recorder that a Prometheus server asks at GET /metrics, with
// figures of the Go runtime and of the process.
func (a *app) openPrometheus() error {
	registry := prom.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	recorder, err := prometheus.New(prometheus.Config{Registerer: registry, Logger: a.log})
	if err != nil {
		return err
	}
	a.recorder = recorder
	if a.statsd != nil {
		a.recorder = metrics.Tee(recorder, a.statsd)
	}
	a.scrapes = recorder.Handler()
	return nil
}

// metricsRoutes are behind the admin's password: a Prometheus server has it in basic_auth.
func (a *app) metricsRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if a.gate.pass(w, r) {
			a.scrapes.ServeHTTP(w, r)
		}
	})
}
