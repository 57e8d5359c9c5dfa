// Package otel records measurements with OpenTelemetry. Its [Recorder] is a
// [metrics.Recorder] over the MeterProvider of the program, which has the readers and
// exporters: this package brings none.
//
//	recorder, err := otel.New(otel.Config{Provider: provider})
//
// # Instruments
//
// Names of the library get [Config.Prefix] in front and keep their dots; kinds, units and
// descriptions come from [metrics.Catalogue].
//
//	stage.events            counter  penstock.stage.events            observable counter, {event}
//	stage.buffered          gauge    penstock.stage.buffered          observable gauge, {event}
//	pipeline.push_delivered timer    penstock.pipeline.push_delivered histogram, s
//
// Tags are attributes, of the library's names only those that the catalogue lists.
//
// # Series
//
// Counters and gauges are observed by a callback at each collection: a series is left out
// once its owner has ended (metrics.End), was collected since, and [Config.Linger] has
// passed. In cumulative temporality the SDK keeps the attributes of a histogram for as long as
// it lives, whatever its views, so that those of a timer do not end. They do with deltas: let
// the temporality of the reader or exporter be delta for histograms. At most
// [Config.MaxSeries] series are kept; each use of an instrument without room counts in the
// counter metrics.refused.
//
// # Cost
//
// A counter and a gauge are one atomic value and allocate nothing. A timer calls the SDK.
package otel
