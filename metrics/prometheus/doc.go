// Package prometheus shows measurements to a Prometheus server, which asks for them. Its
// [Recorder] is a [metrics.Recorder] and has an http.Handler.
//
//	recorder, err := prometheus.New(prometheus.Config{})
//	mux.Handle("GET /metrics", recorder.Handler())
//
// # Names
//
// Dots become underscores. A name of the library gets [Config.Namespace] in front, and all
// get the suffix that Prometheus expects:
//
//	stage.events            counter  penstock_stage_events_total
//	pipeline.push_delivered timer    penstock_pipeline_push_delivered_seconds, a histogram
//	stage.buffered          gauge    penstock_stage_buffered
//	redis.oldest            gauge    penstock_redis_oldest_seconds
//	orders.sold             counter  orders_sold_total (of the program)
//
// No two names become the same: one that would, and one that is cut since it is longer than
// 200 bytes, gets a suffix computed from the whole name. The library's names are reserved.
// Type and help come from [metrics.Catalogue].
//
// # Labels
//
// Tags become labels. Those of the library's names that the catalogue does not list are left
// out, so that an identifier of a user never becomes one. Values are cut to 200 bytes.
//
// # Series
//
// A series whose owner has ended (metrics.End) is shown for [Config.Linger], at least once
// after the end, and is gone then. At most [Config.MaxSeries] are kept. Beyond that an
// instrument records nothing until there is room: each use counts in the counter
// metrics.refused, and its name is logged once.
//
// # Cost
//
// Using an instrument allocates nothing and takes no lock, except for the first use after
// its series was removed, and for a measurement with an exemplar, which allocates. The
// recorder has no goroutine: a scrape runs on that of its request.
package prometheus
