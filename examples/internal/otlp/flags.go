// Package otlp has what the examples share of their flags that send spans and figures to a
// collector, by OTLP over HTTP: -otlp, -otlp-metrics and -trace-sample.
package otlp

import (
	"errors"
	"flag"
	"fmt"
	"net/url"
)

// Flags are the values of the flags.
type Flags struct {
	Traces  string  // URL of a collector; empty for none
	Metrics string  // the same, of figures
	Sample  float64 // share of what has no trace yet that gets one
}

// Register defines the flags. spans and sample say in the help of what the spans are, and what
// gets a trace; share is the default of -trace-sample.
func (f *Flags) Register(fs *flag.FlagSet, spans, sample string, share float64) {
	fs.StringVar(&f.Traces, "otlp", "", "`URL` of a collector that gets the spans of "+spans+" (OTLP over HTTP), such as http://localhost:4318/v1/traces; docs/tracing.md")
	fs.StringVar(&f.Metrics, "otlp-metrics", "", "`URL` of a collector that gets all figures each minute (OTLP over HTTP), such as http://localhost:4318/v1/metrics; docs/metrics.md")
	fs.Float64Var(&f.Sample, "trace-sample", share, "with -otlp, share of "+sample)
}

// Check returns why spans or figures cannot be sent as the flags say: all faults, joined.
func (f Flags) Check() error {
	errs := []error{
		checkCollector("-otlp", f.Traces, "http://localhost:4318/v1/traces"),
		checkCollector("-otlp-metrics", f.Metrics, "http://localhost:4318/v1/metrics"),
	}
	// Written as a negation, so that NaN is refused too.
	if !(f.Sample >= 0 && f.Sample <= 1) {
		errs = append(errs, fmt.Errorf("-trace-sample %v is not allowed: from 0 to 1", f.Sample))
	}
	return errors.Join(errs...)
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
