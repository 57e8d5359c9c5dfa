package main

import (
	"context"
	"sync"
	"time"

	"github.com/penstock-go/penstock/metrics/statsd/statsdserver"
	"github.com/penstock-go/penstock/stage"
)

// status is what the program is doing at one moment, for the page and for the
// line on the terminal.
type status struct {
	Now      int64   `json:"now"` // unix milliseconds
	Uptime   float64 `json:"uptime_s"`
	Ready    bool    `json:"ready"`
	Draining bool    `json:"draining"`
	// kafka or memory, as in the configuration.
	Source string `json:"source"`
	// Whether the broker runs inside this process, and loses all at its end.
	Embedded bool `json:"embedded_broker"`
	// Of the cluster: this process, and the others; empty without -cluster.
	Node  string   `json:"node,omitempty"`
	Nodes []string `json:"nodes,omitempty"`
	// "" without a load: all latencies are of the class light then.
	Heavy string `json:"heavy_user"`
	Users int    `json:"users"`

	// Confirmed to those that pushed here.
	Accepted int64 `json:"accepted"`
	// Pushes. From Kafka, Enqueued counts those that this process has read, and Backlog
	// those that wait there for it. Enqueued is Delivered, Queued, InFlight and all of Discarded together,
	// apart from what moves while the counters are read.
	Enqueued  int64 `json:"enqueued"`
	Delivered int64 `json:"delivered"`
	Backlog   int64 `json:"backlog"`
	// In the source and in the dispatcher.
	Queued   int64 `json:"queued"`
	InFlight int64 `json:"in_flight"`
	// Never taken in, and so not part of Enqueued.
	Refused   int64            `json:"refused"`
	Discarded map[string]int64 `json:"discarded"`

	// Over the last interval of watch, about a second.
	Rate rate `json:"rate"`
	// Of the recent pushes, from enqueue to the write to a socket.
	LightTimes latency       `json:"light"`
	HeavyTimes latency       `json:"heavy"`
	Worker     *latency      `json:"worker,omitempty"` // of -work
	Stages     []stageStatus `json:"stages"`
	// In the order in which a push comes through them.
	Queues []queue `json:"queues"`

	// Of the endpoint: all clients, browsers included.
	Connections int `json:"connections"`
	Channels    int `json:"channels"`
	// Connections whose queue is full.
	Slow    int          `json:"slow"`
	Clients clientStatus `json:"clients"`
}

// rate is how many pushes a second come in and go out.
type rate struct {
	In  float64 `json:"in"`
	Out float64 `json:"out"`
}

// queue is a place where pushes wait, in the order of the pipeline.
type queue struct {
	Name    string `json:"name"`
	Waiting int    `json:"waiting"`
}

// clientStatus is what the program's own clients have found.
type clientStatus struct {
	Open       int64 `json:"open"`
	Received   int64 `json:"received"`
	Duplicates int64 `json:"duplicates"`
	OutOfOrder int64 `json:"out_of_order"`
	WrongUser  int64 `json:"wrong_user"`
}

// latency is a distribution of durations in milliseconds.
type latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
}

// toLatency converts a summary, rounded to microseconds.
func toLatency(s statsdserver.Summary) latency {
	ms := func(d time.Duration) float64 { return float64(d.Round(time.Microsecond)) / float64(time.Millisecond) }
	return latency{Count: s.Count, P50: ms(s.P50), P99: ms(s.P99), Max: ms(s.Max)}
}

// account is how many pushes were taken in and where they are. The counters are
// read as closely together as can be without stopping everything.
type account struct {
	enqueued, delivered int64
	discarded           map[string]int64
	backlog             int // in Kafka, and not taken in
	waiting             int // in the source
	held                int // in the dispatcher
	inFlight            int // at work, on the way to a socket, or waiting for a client
	left                int // by a pipeline that was stopped before it had drained
}

// account takes the stage's snapshot first, which can wait. Then it reads the
// counters at once.
func (a *app) account(ctx context.Context) account {
	var acc account
	// The stage makes it on its own goroutine, which may be busy.
	s, err := a.producer.Snapshot(ctx)
	acc.backlog = a.source.backlog()
	// What came back without having been begun is read again.
	returned := int64(0) // what came back at the end, for the next run
	for _, w := range a.workers {
		returned += w.Consumer.Snapshot().Withdrawn
	}
	acc.enqueued, acc.waiting = a.source.account(s.Emitted - s.Withdrawn + returned)
	acc.delivered, acc.discarded = a.ledger.delivered.Load(), a.ledger.discards()
	if err != nil {
		return acc // the stage was busy until ctx was done
	}
	acc.held = s.Buffered
	// What the stage abandoned, and what it discarded and Kafka still has.
	acc.left = int(s.Abandoned + a.ledger.left.Load() + returned)
	// What the end of the pipeline had and did not get to, when the stage before it was
	// over already.
	for _, other := range a.pipeline.Snapshot(ctx).Stages {
		acc.left += int(other.Unhandled)
	}
	// In flight is everything without a receipt, so that no push is counted
	// twice or missed between the consumer's own queues.
	for _, sub := range s.Subscriptions {
		acc.inFlight += sub.InFlight
	}
	return acc
}

// status returns what the program is doing now. It waits for busy stages until ctx
// is done.
func (a *app) status(ctx context.Context) status {
	stages := a.stages(ctx)
	// After the stages, so that the counters are as fresh as can be.
	acc := a.account(ctx)
	// The endpoint and the listener do not wait for any stage.
	endpoint := a.endpoint.Snapshot()
	measured := a.statsd.Snapshot()
	recent := func(name, tags string) latency {
		s, _ := measured.Find(name, tags)
		return toLatency(s.Recent)
	}
	var atWork, sending, away, full int
	// One worker, or one for each partition of a rival: the sum is shown.
	for _, w := range a.workers {
		s := w.Snapshot()
		atWork += int(w.atWork.Load())
		sending += s.InFlight
		away += s.WaitingForClient
		full += s.WaitingForRoom
	}
	node, nodes := a.cluster.names()
	s := status{
		Node: node, Nodes: nodes,
		Now: time.Now().UnixMilli(), Uptime: time.Since(a.begun).Seconds(),
		Ready: a.notReady() == nil, Draining: a.phase.Load() == draining,
		Source: a.cfg.Source, Embedded: a.cfg.Source == "kafka" && a.cfg.Brokers == "",
		Heavy: a.ledger.heavy, Users: a.cfg.Users,
		Accepted: a.ledger.accepted.Load(), Backlog: int64(acc.backlog),
		Enqueued: acc.enqueued, Delivered: acc.delivered, Discarded: acc.discarded,
		Queued: int64(acc.waiting + acc.held), InFlight: int64(acc.inFlight), Refused: a.ledger.refused.Load(),
		LightTimes: recent(pushDelivered, "class:light"), HeavyTimes: recent(pushDelivered, "class:heavy"),
		Stages: stages,
		Queues: []queue{
			{a.cfg.Source, acc.backlog + acc.waiting}, {"dispatcher", acc.held},
			{"work", atWork}, {"sending", sending}, {"user away", away}, {"client full", full}, {"sockets", int(endpoint.QueuedFrames)},
		},
		Connections: endpoint.Connections, Channels: endpoint.Channels, Slow: len(endpoint.Slow),
		Clients: clientStatus{
			Open: a.clients.open.Load(), Received: a.clients.received.Load(), Duplicates: a.clients.duplicates.Load(),
			OutOfOrder: a.clients.disorder.Load(), WrongUser: a.clients.wrongUser.Load(),
		},
	}
	// Without work its times would all be 0.
	if a.cfg.Work > 0 {
		worker := recent("pipeline.worker.process_time", "")
		s.Worker = &worker
	}
	s.Rate = a.rates.now()
	return s
}

// stageStatus is a stage with its rate over the last interval of the watch.
type stageStatus struct {
	stage.Snapshot
	Rate float64 `json:"rate"` // events per second
}

// stages returns what every stage is doing.
func (a *app) stages(ctx context.Context) []stageStatus {
	var all []stageStatus
	for _, s := range a.pipeline.Snapshot(ctx).Stages {
		all = append(all, stageStatus{s, a.rates.of(s.Name)})
	}
	return all
}

// events is how many events a stage has got through.
func (s stageStatus) events() int64 {
	// A consumer emits nothing: what it has handled counts.
	if s.Kind == stage.KindConsumer {
		return s.Handled
	}
	return s.Emitted
}

// meter turns samples of a count that only grows into a rate per second.
type meter struct {
	at    time.Time
	count int64
	rate  float64
}

// sample notes the count at a time. The first sample gives no rate.
func (m *meter) sample(now time.Time, count int64) {
	// A zero time is that of no sample: there is nothing to compare with.
	if passed := now.Sub(m.at).Seconds(); !m.at.IsZero() && passed > 0 {
		m.rate = float64(count-m.count) / passed
	}
	m.at, m.count = now, count
}

// rates are the events per second of the whole program and of each stage.
type rates struct {
	// Guards all fields: watch writes them, HTTP handlers read them.
	mu sync.Mutex
	// Of the ledger's accepted and delivered.
	in, out meter
	stages  map[string]*meter
}

// sample notes all counts. Only watch calls it, once a second.
func (r *rates) sample(now time.Time, in, out int64, stages []stageStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.in.sample(now, in)
	r.out.sample(now, out)
	for _, s := range stages {
		m := r.stages[s.Name]
		if m == nil {
			if r.stages == nil {
				r.stages = make(map[string]*meter)
			}
			// A stage is first seen by the first sample, and has a rate from the second on.
			m = new(meter)
			r.stages[s.Name] = m
		}
		m.sample(now, s.events())
	}
}

// now returns the rates of the last interval.
func (r *rates) now() rate {
	r.mu.Lock()
	defer r.mu.Unlock()
	return rate{In: r.in.rate, Out: r.out.rate}
}

// of returns the rate of a stage, 0 before the second sample.
func (r *rates) of(stage string) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.stages[stage]; m != nil {
		return m.rate
	}
	return 0
}

// watch passes the status to progress once a second until ctx is done.
func (a *app) watch(ctx context.Context, progress func(status)) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		// A busy stage must not delay the next status.
		limit, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		a.rates.sample(time.Now(), a.ledger.accepted.Load(), a.ledger.delivered.Load(), a.stages(limit))
		s := a.status(limit)
		cancel()
		// In the first second the rates have only one sample.
		if ctx.Err() == nil && s.Uptime >= 1 {
			progress(s)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
