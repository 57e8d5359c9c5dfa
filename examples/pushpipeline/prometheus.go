package main

import (
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/prometheus"
)

// openPrometheus adds the recorder that a Prometheus server asks at GET /metrics of
// -debug-addr, with figures of the Go runtime and of the process.
func (a *app) openPrometheus() error {
	if a.debugListener == nil {
		return nil
	}
	registry := client.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	recorder, err := prometheus.New(prometheus.Config{Registerer: registry, Logger: a.log})
	if err != nil {
		return err
	}
	a.recorder = metrics.Tee(a.recorder, recorder)
	a.scrapes = recorder.Handler()
	return nil
}
