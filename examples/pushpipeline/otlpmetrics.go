package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/otel"
)

// openOTLPMetrics adds the recorder that sends figures to the collector of -otlp-metrics.
func (a *app) openOTLPMetrics() error {
	if a.cfg.OTLPMetrics == "" {
		return nil
	}
	exporter, err := otlpmetrichttp.New(context.Background(), otlpmetrichttp.WithEndpointURL(a.cfg.OTLPMetrics), otlpmetrichttp.WithTemporalitySelector(temporality))
	if err != nil {
		return fmt.Errorf("-otlp-metrics: %w", err)
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)), sdkmetric.WithResource(a.resource()))
	a.handleOTLP()
	recorder, err := otel.New(otel.Config{Provider: provider, Logger: a.log})
	if err != nil {
		return err
	}
	a.flushers = append(a.flushers, provider.Shutdown)
	a.recorder = metrics.Tee(a.recorder, recorder)
	return nil
}

// temporality has histograms sent as what has come since the last time: the SDK then forgets
// those whose owners have ended.
func temporality(kind sdkmetric.InstrumentKind) metricdata.Temporality {
	if kind == sdkmetric.InstrumentKindHistogram {
		return metricdata.DeltaTemporality
	}
	return metricdata.CumulativeTemporality
}

// checkCollector returns why an option is no URL of a collector, nil for an empty one.
func checkCollector(option, address, like string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return errors.New(option + " is not a URL such as " + like)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		// The exporter would leave them out, and the collector refuse what comes without them.
		return errors.New(option + " must have no user, query or fragment: credentials belong in the variable OTEL_EXPORTER_OTLP_HEADERS")
	}
	return nil
}
